"""Runs a command behind a relay, for tests: python -m tests.delivery.relayed VALUE[,VALUE...] COMMAND...

It does what `exec --mask` does, without a store and without supervision. At SIGUSR1 the values become NEW_VALUE."""

import os
import signal
import subprocess
import sys

from secrets_actor.cli.signals import next_signals, signals
from secrets_actor.delivery.terminal import open_relay


def main(values: str, *argv: str) -> int:
    relay = open_relay(values.encode().split(b","))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        # Through a pipe: a handler of Python waits until the main thread comes back from the kernel.
        with signals((signal.SIGWINCH, signal.SIGCONT), children=True) as (read, _):
            relay.start()
            stdin, stdout, stderr = relay.child_stdio()
            command = subprocess.Popen([*relay.launcher, *argv], stdin=stdin, stdout=stdout, stderr=stderr)
            while (code := command.poll()) is None:
                for number in next_signals(read, None):
                    if number == signal.SIGWINCH:
                        relay.resized()
                    elif number == signal.SIGCONT:
                        relay.continued()
    finally:
        relay.finish()
    if os.environ.get("CRASH"):
        raise RuntimeError("crash")
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
