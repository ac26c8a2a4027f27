"""Runs a module as a program that ends when its parent does: `python -m tests.servers.ends_with_parent MODULE [ARGUMENT
...]`.

The parent holds the other end of our standard input. However it dies, that end closes, and we follow. A clean-up at
the parent's exit cannot promise that: a killed interpreter runs none.
"""

import os
import runpy
import signal
import sys
import threading


def _follow_the_parent() -> None:
    while os.read(0, 4096):
        pass
    impatient = threading.Timer(3.0, os._exit, (1,))
    impatient.daemon = True
    impatient.start()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_follow_the_parent, name="tether", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
