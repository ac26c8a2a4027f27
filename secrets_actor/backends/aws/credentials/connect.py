"""Opens the way to metadata services and to STS. httpx is loaded by the first who needs it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from secrets_actor.backends.aws.endpoint import SETTING_NAMES, Endpoint
from secrets_actor.backends.http.proxy import Proxy
from secrets_actor.forks import loading

if TYPE_CHECKING:
    from secrets_actor.backends.http.transport import Transport

Connect = Callable[[Endpoint], "Transport"]


def connect(endpoint: Endpoint) -> "Transport":
    """A connection to *endpoint*, without a proxy, trusting the CAs of the system."""
    return through(None, lambda _: None)(endpoint)


def through(
    ca_bundle: str | None, proxy_of: Callable[[Endpoint], Proxy | None], ca_setting: str = "aws.ca_bundle"
) -> Connect:
    """What connects to an endpoint through the proxy that *proxy_of* names for it, trusting *ca_bundle*, which
    *ca_setting* names, or the CAs of the system."""

    def connect(endpoint: Endpoint) -> "Transport":
        with loading():
            from secrets_actor.backends.http.transport import Tls, Transport

        return Transport(endpoint, Tls(ca_bundle, ca_setting), SETTING_NAMES, proxy_of(endpoint))

    return connect
