"""A daemon with a live page and something to see on it; and a window on the page that notices every complaint."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from secrets_actor.clock import now as clock_now
from tests.canaries.canary_forms import canary, forms
from tests.daemon.rig import PATIENCE, ask
from tests.servers.daemon import Daemon, toml
from tests.servers.process import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Response

SECRETS: Final = 60
# The name of a process: the listener of a socket that is called like this.
MARKUP: Final = "<img src=x onerror=alert(1)>"
# What Chromium itself writes when the daemon is away, or refuses the page's session.
_AWAY: Final = re.compile(r"net::ERR_|status of 40[13]")
DESKTOP: Final[dict[str, Any]] = {"viewport": {"width": 1440, "height": 1000}}
PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


class LiveDaemon:
    """The daemon, its sockets, and the values that nobody may see."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "a.sock"
        self.port = free_port()
        self.values = [canary() for _ in range(SECRETS)]
        listen = [
            {"address": f"unix:{self.socket}"},
            {"address": f"unix:{folder / MARKUP}", "faces": ["health"]},
            {"address": f"127.0.0.1:{self.port}", "faces": ["health", "live"]},
        ]
        table = {
            "local": {"path": folder / "store"},
            "log": {"output": folder / "daemon.log"},
            "daemon": {"listen": listen, "drain_seconds": 0.2},
        }
        self.daemon = Daemon(folder, toml(table), count=len(listen))

    def __enter__(self) -> Self:
        self.daemon.start()
        for number, value in enumerate(self.values):
            self.create(f"app{number % 5}/secret-{number}", value)
        self.load()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.daemon.stop()

    def create(self, name: str, value: str) -> None:
        """Create a secret."""
        headers = {"X-Amz-Target": "secretsmanager.CreateSecret", "Content-Type": "application/x-amz-json-1.1"}
        token = f"{name.replace('/', '-'):0<36}"
        body = json.dumps({"Name": name, "SecretString": value, "ClientRequestToken": token})
        made = ask(self.socket, "/", "POST", body=body.encode(), headers=headers)
        assert made.status == 200, made.body

    def load(self, times: int = 2) -> None:
        """Get all secrets, *times* times."""
        for _ in range(times):
            for number in range(SECRETS):
                self.get(f"app{number % 5}/secret-{number}")

    def get(self, name: str) -> None:
        """Get a secret, which is in memory then."""
        assert ask(self.socket, f"/secretsmanager/get?secretId={name}").status == 200

    def address(self) -> str:
        """An address that opens the page once, as `secrets-actor live` gets it."""
        answer = ask(self.socket, "/control/live/key", "POST")
        [url] = answer.json["urls"]
        return str(url)

    def state(self, context: BrowserContext) -> dict[str, Any]:
        """The state as the page of *context* is told it, read by a client of our own with the same cookie."""
        cookies = "; ".join(f"{one['name']}={one['value']}" for one in context.cookies())
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/live/events", headers={"Cookie": cookies})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            while line := answer.readline():
                if line.startswith(b"data:") and line.removeprefix(b"data:").lstrip().startswith(b"{"):
                    found: dict[str, Any] = json.loads(line.removeprefix(b"data:"))
                    if "tree" in found:
                        return found
        finally:
            connection.close()
        raise AssertionError("the stream ended before there was a state")


class Window:
    """A page in a context of its own, opened at *address*, with the complaints of its console and the headers of all
    answers."""

    def __init__(self, browser: Browser, address: str, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.context.set_default_timeout(PATIENCE * 1000)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.headers: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{error.name}: {error.message}"))
        self.page.on("response", self._take)
        self.page.goto(address)

    def connection(self, state: str) -> None:
        """Return when the page says that its connection is in *state*."""
        self.page.locator(f"body[data-connection={state}]").wait_for()

    def ready(self) -> Self:
        """Return when the page shows the daemon's state."""
        self.connection("live")
        self.page.locator("#secrets tbody tr").first.wait_for()
        return self

    def process(self, name: str) -> Locator:
        """The rows of the processes that are called *name*."""
        name_of_row = self.page.locator(".name", has_text=re.compile(f"^{re.escape(name)}$"))
        return self.page.locator(".process", has=name_of_row)

    def draw(self, scheme: Literal["light", "dark"]) -> None:
        """Have it drawn in this scheme of colours. Raises `AssertionError` if it looks as before."""
        self.page.emulate_media(color_scheme=scheme)
        ground = self.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground))) < 3 * 128) == (scheme == "dark"), ground

    def close(self) -> None:
        """Close it. Raises `AssertionError` if the console complained."""
        self.context.close()
        assert not self.complaints, self.complaints

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("warning", "error") and not _AWAY.search(message.text):
            self.complaints.append(f"{message.type}: {message.text}")

    def _take(self, response: Response) -> None:
        self.headers.append(f"{response.url} {response.headers}")


def leaks(values: list[str], *texts: str) -> list[str]:
    """The forms of *values* that are in *texts*, by what they are called."""
    whole = "\n".join(texts).encode()
    return [what for value in values for form, what in forms(value).items() if form in whole]


def until(holds: Any, what: str) -> None:
    """Return when *holds* is true of what it reads from the page: each reading waits for the browser. Raises
    `AssertionError`."""
    end = clock_now() + PATIENCE
    while not holds():
        assert clock_now() < end, f"{what} did not come about"
