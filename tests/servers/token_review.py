"""The part of Kubernetes' API that a login at Vault needs: it says whose a service account's token is."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

_PATH: Final = "/apis/authentication.k8s.io/v1/tokenreviews"


class TokenReviews:
    """Answers `POST …/tokenreviews` at `url`. `good` are the tokens that it knows; all are one account's, the one
    named `default/app`. `asked` counts."""

    def __init__(self, *good: str) -> None:
        self.good, self.asked = set(good), 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked += 1
                user = {"username": "system:serviceaccount:default:app", "uid": "uid-1"}
                known = self.path == _PATH and body["spec"]["token"] in server.good
                # Without audiences, which older versions of Kubernetes leave out, the server takes nobody.
                found = {"user": user, "audiences": ["openbao"]} if known else {"error": "unknown"}
                answer = json.dumps({"status": {"authenticated": known, **found}}).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """End it: from now on Kubernetes cannot be reached. May be called again."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()
