"""THE door to botocore, an extra, for the two kinds of profile that this package cannot follow: SSO and login sessions.

botocore is imported when such a profile is met, and never otherwise. Its errors may quote an answer, so ours tell the
type of such an error, and not its text.
"""

from datetime import UTC, datetime
from typing import Any

from secrets_actor.backends.aws.credentials.static import checked
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.domain.errors import CredentialsError
from secrets_actor.domain.secret import SecretValue
from secrets_actor.forks import loading


class BotocoreCredentials:
    """Fetches the credentials of *profile* through botocore's provider *method*: `sso` or `login`."""

    def __init__(self, method: str, profile: str) -> None:
        self._method, self._profile = method, profile

    def fetch(self, deadline: float) -> AwsCredentials:  # noqa: ARG002  botocore knows no deadline: the actor's alarm does
        """Fetch the credentials. Raises `CredentialsError`."""
        place, problem = f"profile {self._profile} ({self._method})", ""
        try:
            with loading():
                from botocore.session import Session

            return _loaded(Session(profile=self._profile), self._method)
        except ImportError:
            problem = "it needs botocore (pip install 'secrets-actor[botocore]')"
        except CredentialsError as exc:
            problem = str(exc)
        except Exception as exc:  # noqa: BLE001  no text of a botocore error may leave
            problem = f"botocore says {type(exc).__name__}"
        raise CredentialsError(f"{place}: {problem}; try `aws {self._method} login`, or see the profile")

    def __repr__(self) -> str:
        return f"<BotocoreCredentials [{self._method}]>"


def _loaded(session: Any, method: str) -> AwsCredentials:
    found = session.get_component("credential_provider").get_provider(method).load()
    if found is None:
        raise CredentialsError("botocore finds no credentials")
    credentials = found.get_frozen_credentials()
    end: datetime | None = getattr(found, "_expiry_time", None)  # it has no public name
    token = None if credentials.token is None else SecretValue(credentials.token)
    expires_at = None if end is None else end.astimezone(UTC)
    return checked(AwsCredentials(credentials.access_key, SecretValue(credentials.secret_key), token, expires_at))
