"""python -m tests.bench.stub_server: a very fast stand-in for Secrets Manager, and for a KV mount of OpenBao that is
only read, for load alone. It checks no signature and no token.

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
AT = "2026-01-01T00:00:00.000000001Z"
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

    def kv(self, path: bytes) -> tuple[int, bytes]:
        """The answer to a GET of OpenBao's API. A token has no end."""
        self.operations[path.split(b"/")[2].decode()] += 1
        if path.startswith(b"/v1/auth/token/"):
            data: dict[str, Any] = {"ttl": 0, "renewable": False, "expire_time": None, "type": "service"}
        elif path.startswith(b"/v1/secret/data/bench/"):
            about = {"created_time": AT, "deletion_time": "", "destroyed": False, "version": 1, "custom_metadata": None}
            data = {"data": {"value": self.value}, "metadata": about}
        else:
            return 404, b'{"errors":[]}'
        return 200, json.dumps({"request_id": "00000000-0000-0000-0000-000000000000", "data": data}).encode()


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
        elif path.startswith(b"/v1/"):
            self.late(*self.state.kv(path))
        else:
            at = head.lower().find(b"\r\nx-amz-target:")
            target = head[at + 15 :].split(b"\r\n", 1)[0].strip().decode()
            self.late(*self.state.answer(target.removeprefix("secretsmanager."), body))

    def late(self, status: int, body: bytes) -> None:
        """One answer, in its time."""
        if self.state.latency:
            self.loop.call_later(self.state.latency, self.send, status, body)
        else:
            self.send(status, body)

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
