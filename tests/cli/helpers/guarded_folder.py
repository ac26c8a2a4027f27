"""A folder that is to be had by HTTP, with a password; and where tools find our programs."""

import base64
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

# Where git and others find our programs, and what they need themselves.
SCRIPTS_PATH: Final = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"


class Door(SimpleHTTPRequestHandler):
    """Serves files to user `u` with the password `p`."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == f"Basic {base64.b64encode(b'u:p').decode()}":
            super().do_GET()
            return
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address, with port, at which *folder* is to be had."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Door, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
