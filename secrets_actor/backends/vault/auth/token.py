"""Login with a token that somebody else has made: from the configuration, the environment, or a file.

The file may be `~/.vault-token`, which `bao login` writes, or the sink of an agent, which writes another one now and
then. So it is read at each fetch.
"""

from collections.abc import Sequence

from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.auth.login import LoginClient, first_part
from secrets_actor.backends.vault.auth.token_life import Granted, token_of
from secrets_actor.domain.errors import AccessDenied, ExpiredToken, LoginIncomplete
from secrets_actor.domain.secret import SecretValue


class TokenLogin:
    """The token in the first of *places* that has one."""

    makes_tokens = False
    locks_out = False

    def __init__(self, places: Sequence[KeySource]) -> None:
        self._places = tuple(places)

    def material(self, deadline: float) -> SecretValue:  # noqa: ARG002  nothing here waits
        """Return the token. Raises `LoginIncomplete`."""
        text, source = first_part("token", self._places, or_else="set vault.token or BAO_TOKEN, or run `bao login`")
        token = token_of(text.text())
        if token is None:
            raise LoginIncomplete(f"the token in {source.description} has a character that no token has: set it anew")
        return token

    def log_in(self, material: SecretValue, client: LoginClient) -> Granted:
        """Ask the server about the token. Raises `ExpiredToken` if it is not alive."""
        error: ExpiredToken | LoginIncomplete
        try:
            found = client.look_up(material)
            if found.uses >= 0:
                return found
            error = ExpiredToken(
                "the token was good for one more request, which has found that out: give another", status=403
            )
        except AccessDenied:
            # It is alive. What it may not ask, such as its end, stays unknown: it is used until it is refused.
            return Granted(material)
        except ExpiredToken as exc:
            text = "the token in {} has ended, was revoked, or is not this server's: put another there"
            error = ExpiredToken(text.format(" or ".join([one.description for one in self._places])), status=exc.status)
            error.origin = exc.origin
        raise error

    def __repr__(self) -> str:
        return f"<TokenLogin {list(self._places)}>"
