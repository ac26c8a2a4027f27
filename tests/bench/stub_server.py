"""python -m tests.bench.stub_server: a very fast stand-in for Secrets Manager, for load alone. It checks no signature.

It prints `ready PORT`, and ends when its standard input does. Every secret `bench/N` exists, of *value_bytes*. Each
answer is *latency_ms* late. GET /_ctl/stats tells the counters, POST /_ctl/config sets these two and zeroes them.
"""

import argparse
import asyncio
import json
import os
import selectors
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
BATCH = 20
UNKNOWN = b'{"__type":"ResourceNotFoundException","Message":"Secrets Manager can\'t find the specified secret."}'


@dataclass
class State:
    """What all connections share."""

    latency: float = 0.0
    value: str = "v" * 64
    operations: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    open: int = 0
    most_open: int = 0
    bodies: dict[str, bytes] = field(default_factory=dict)

    def configure(self, given: dict[str, Any]) -> None:
        """Another latency; the counters begin anew."""
        self.latency = given.get("latency_ms", 0.0) / 1000
        self.value = "v" * given.get("value_bytes", 64)
        self.bodies.clear()
        self.operations.clear()
        self.connections, self.most_open = 0, self.open

    def stats(self) -> bytes:
        """The counters, as JSON."""
        told = {"operations": self.operations, "connections": self.connections, "most_open": self.most_open}
        return json.dumps(told).encode()

    def secret(self, name: str) -> dict[str, Any]:
        """GetSecretValue's answer."""
        return {
            "ARN": f"{ARN}{name}-abc123",
            "CreatedDate": 1_700_000_000,
            "Name": name,
            "SecretString": self.value,
            "VersionId": "00000000-0000-0000-0000-000000000001",
            "VersionStages": ["AWSCURRENT"],
        }

    def answer(self, operation: str, body: bytes) -> tuple[int, bytes]:
        """Status and body."""
        self.operations[operation] += 1
        request = json.loads(body)
        if operation == "GetSecretValue" and request["SecretId"].startswith("bench/"):
            name = request["SecretId"]
            if name not in self.bodies:
                self.bodies[name] = json.dumps(self.secret(name)).encode()
            return 200, self.bodies[name]
        if operation == "DescribeSecret":
            secret = self.secret(request["SecretId"])
            stages = {secret["VersionId"]: secret["VersionStages"]}
            return 200, json.dumps(
                {"ARN": secret["ARN"], "Name": secret["Name"], "VersionIdsToStages": stages}
            ).encode()
        if operation == "BatchGetSecretValue" and len(request.get("SecretIdList", ())) <= BATCH:
            values = [self.secret(name) for name in request["SecretIdList"]]
            return 200, json.dumps({"SecretValues": values, "Errors": []}).encode()
        return 400, UNKNOWN


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive: one request at a time, its length stated."""

    def __init__(self, state: State, loop: asyncio.AbstractEventLoop) -> None:
        self.state, self.loop, self.buffer = state, loop, b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.state.connections += 1
        self.state.open += 1
        self.state.most_open = max(self.state.most_open, self.state.open)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.state.open -= 1
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.buffer[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        size = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) < end + 4 + size:
            return
        head, body = self.buffer[:end], self.buffer[end + 4 : end + 4 + size]
        self.buffer = self.buffer[end + 4 + size :]
        self.handle(head, body)

    def handle(self, head: bytes, body: bytes) -> None:
        """Answer one request."""
        path = head.split(b" ", 2)[1]
        if path == b"/_ctl/stats":
            self.send(200, self.state.stats())
        elif path == b"/_ctl/config":
            self.state.configure(json.loads(body))
            self.send(200, b"{}")
        else:
            at = head.lower().find(b"\r\nx-amz-target:")
            target = head[at + 15 :].split(b"\r\n", 1)[0].strip().decode()
            answer = self.state.answer(target.removeprefix("secretsmanager."), body)
            if self.state.latency:
                self.loop.call_later(self.state.latency, self.send, *answer)
            else:
                self.send(*answer)

    def send(self, status: int, body: bytes) -> None:
        """One answer."""
        if self.transport is not None:
            head = (
                f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\n"
                f"x-amzn-RequestId: 00000000-0000-0000-0000-000000000000\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            self.transport.write(head.encode() + body)


async def serve(port: int) -> None:
    """Until standard input ends."""
    loop, state = asyncio.get_running_loop(), State()
    server = await loop.create_server(lambda: Connection(state, loop), "127.0.0.1", port, backlog=2048)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stub_server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--core", type=int, help="run on this core alone")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    # epoll counts in milliseconds, and rounds up: each answer would be half a one too late, and several come at once.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(serve(options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
