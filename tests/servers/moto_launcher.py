"""Runs moto under cheroot behind the front door: `python -m tests.servers.moto_launcher PORT [CHAIN KEY]`.

moto's own server closes each connection after one answer; under cheroot connections live, as they do at AWS.
"""

import os
import signal
import sys

from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from tests.servers.moto_door import FrontDoor, MotoDirectory


def main(port: int, tls_files: list[str]) -> None:
    """Serve until told to end."""
    directory = MotoDirectory(os.environ["DOOR_ROOT_ACCESS_KEY_ID"], os.environ["DOOR_ROOT_SECRET_KEY"])
    door = FrontDoor(DomainDispatcherApplication(create_backend_app), directory)
    server = Server(("127.0.0.1", port), door, numthreads=16, request_queue_size=128)
    if tls_files:
        server.ssl_adapter = BuiltinSSLAdapter(*tls_files)

    def end(_number: int, _frame: object) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    try:
        server.start()
    finally:
        server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
