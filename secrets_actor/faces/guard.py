"""The defences that stand before every face: against web pages, and against servers that can be talked into passing
something on. PURE.

Rule 1: a request that came through a proxy is refused. A web server that can be made to fetch a URL of an attacker's
        choice (SSRF), or that serves our address to others by mistake, often says so by a header.
Rule 2: a request that a web page made is refused: pages of any site can have a browser send requests to this machine.
        Browsers say so by headers that no script can set or leave out. There are no CORS headers in any answer.
Rule 3: on TCP, the Host must be a name that this machine is meant by. A page whose own name was made to point here (DNS
        rebinding) is of the same origin to the browser, but the Host gives it away. A Unix socket has no name: clients
        send what their endpoint says, and no browser can connect there.
        The live page is the exception: it is ours, and says in its requests what it is the page of. That must be
        the very place that is asked. A browser may come to it through a Unix socket, too, if somebody forwards one (ssh
        -L), so that its Host counts there.
Rule 4: what decides must stand once. Of two Host headers, each program on the way could take another.
"""

from typing import Final

from msgspec import Struct

from secrets_actor.faces.exchange import Request

# The names of this machine that every listener on TCP goes by.
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
# Load balancers ask for it through a proxy, and it says nothing (aws-secretsmanager-agent: the same exception).
PING: Final = "/ping"
# The paths of the live page begin so.
LIVE: Final = "/live"
_FORWARDING: Final = frozenset({"forwarded", "via", "x-real-ip", "x-original-url", "x-rewrite-url", "true-client-ip"})
_FORWARDED: Final = "x-forwarded-"
# Fetch Metadata, W3C: `none` is a request that a user made, and `same-origin` comes from a page of ours.
_OF_OTHERS: Final = frozenset({"cross-site", "same-site"})
_MOST_PORT: Final = 5  # digits


class Refused(Struct, frozen=True):
    """A request that no face sees. *text* is the body of the answer; it quotes nothing of the request."""

    status: int
    text: str


# aws-secretsmanager-agent answers with the same word.
FORWARDED: Final = Refused(400, "Forwarded")
BAD_TARGET: Final = Refused(400, "Bad request target: give a path that begins with /")
BAD_HOST: Final = Refused(400, "Bad Host header: give one, once")
WRONG_HOST: Final = Refused(421, "Wrong Host: this machine is not meant, or the name is not in daemon.hosts")
FROM_A_PAGE: Final = Refused(403, "Requests of web pages are refused")


def refusal(request: Request, hosts: frozenset[str] = LOOPBACK, pages: str | None = None) -> Refused | None:
    """Return why *request* is refused before any face sees it; None if it is not.

    *hosts* are the names, in lower case and without a port, that a Host header on TCP may have. *pages* is the scheme,
    `http` or `https`, of the live page, where the listener serves it.
    """
    if not request.path.startswith("/"):
        return BAD_TARGET
    of_ours = pages is not None and _is_live(request.path)
    for name, value in request.headers:
        if (name in _FORWARDING or name.startswith(_FORWARDED)) and request.path != PING:
            return FORWARDED
        # `Origin: null` is that of a page in a sandbox: the mere header is enough.
        if name == "origin" and of_ours and _is_own(value, request, pages):
            continue
        if name == "origin" or (name == "sec-fetch-site" and value.strip().lower() in _OF_OTHERS):
            return FROM_A_PAGE
    return _host_refusal(request, hosts, of_ours=of_ours)


def _is_live(path: str) -> bool:
    return path == LIVE or path.startswith(f"{LIVE}/")


def _is_own(origin: str, request: Request, scheme: str | None) -> bool:
    """Whether *origin* is that of a page of the very place that *request* is for: scheme, host and port."""
    host = request.all("host")
    return len(host) == 1 and len(request.all("origin")) == 1 and origin == f"{scheme}://{host[0]}"


def _host_refusal(request: Request, hosts: frozenset[str], *, of_ours: bool) -> Refused | None:
    given = request.all("host")
    if len(given) > 1:
        return BAD_HOST
    if request.peer.address is None and not of_ours:  # a Unix socket (rule 3)
        return None
    if not given:
        return BAD_HOST
    return None if _without_port(given[0].strip().lower()) in hosts else WRONG_HOST


def _without_port(host: str) -> str:
    """Return *host* without its port. What is no port stays, and then no name matches."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and port.isascii() and len(port) <= _MOST_PORT else host
