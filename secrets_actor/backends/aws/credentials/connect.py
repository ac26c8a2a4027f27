"""Makes connections to metadata services and to STS, which are spoken to through httpx.

TLS and httpx are loaded when the first connection is made: credentials from the environment need none.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from secrets_actor.backends.aws.endpoint import SETTING_NAMES, Endpoint
from secrets_actor.backends.http.proxy import Proxy
from secrets_actor.forks import loading

if TYPE_CHECKING:
    from secrets_actor.backends.http.httpx_transport import HttpxTransport

Connect = Callable[[Endpoint], "HttpxTransport"]


def connect(endpoint: Endpoint) -> "HttpxTransport":
    """Return a connection to *endpoint*, without a proxy, that trusts the default CAs.

    For metadata services: they are link-local, and a proxy must not see their tokens.
    """
    return through(None, lambda _: None)(endpoint)


def through(
    ca_bundle: str | None, proxy_of: Callable[[Endpoint], Proxy | None], ca_setting: str = "aws.ca_bundle"
) -> Connect:
    """Return a function that connects to an endpoint, through the proxy that *proxy_of* returns for it.

    The connection trusts *ca_bundle*, or the default CAs when that is None. *ca_setting* is the setting that names the
    bundle; errors quote it.
    """

    def connect(endpoint: Endpoint) -> "HttpxTransport":
        with loading():
            from secrets_actor.backends.http.httpx_transport import HttpxTransport
            from secrets_actor.backends.http.transport import Tls, Transport

        transport = Transport(endpoint, Tls(ca_bundle, ca_setting), SETTING_NAMES, proxy_of(endpoint))
        return HttpxTransport(transport)

    return connect
