"""Credentials from the configuration, or from the environment variables that every AWS tool reads."""

import re
from typing import Final

from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.key_source import KeySource
from secrets_actor.domain.errors import CredentialsError, MissingAccessKey, MissingSecretKey
from secrets_actor.domain.secret import SecretValue
from secrets_actor.small_files import Problem

# Visible ASCII: AWS gives out no other characters, and a header may hold no others.
_KEY: Final = re.compile(rb"[!-~]+")


class StaticCredentials:
    """One access key pair, with a session token if there is one. It is read at each fetch, so that a changed file or
    variable counts from the next fetch on.

    Without a configured access key, AWS_ACCESS_KEY_ID is read, and AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN stand in
    for a secret key and a token that are not configured. A configured access key is never paired with a secret key or a
    token from these variables: they may belong to another access key.
    """

    def __init__(
        self,
        access_key: KeySource | None = None,
        secret_key: KeySource | None = None,
        session_token: KeySource | None = None,
    ) -> None:
        if access_key is None:
            access_key = KeySource("env", "AWS_ACCESS_KEY_ID")
            secret_key = secret_key or KeySource("env", "AWS_SECRET_ACCESS_KEY")
            session_token = session_token or KeySource("env", "AWS_SESSION_TOKEN")
        self._access_key, self._secret_key, self._session_token = access_key, secret_key, session_token

    def fetch(self, deadline: float) -> AwsCredentials:  # noqa: ARG002  nothing here waits
        """Return the credentials.

        Raises `MissingAccessKey`, `MissingSecretKey`, and `CredentialsError` for a text that cannot be a key.
        """
        access_key = _read("access_key", self._access_key)
        if access_key is None:
            raise MissingAccessKey(
                f"no AWS access key id in {self._access_key.description}: set aws.access_key or AWS_ACCESS_KEY_ID"
            )
        secret_key = None if self._secret_key is None else _read("secret_key", self._secret_key)
        if secret_key is None:
            place = "" if self._secret_key is None else f" in {self._secret_key.description}"
            raise MissingSecretKey(f"an access key id, but no secret key{place}: set aws.secret_key")
        token = None if self._session_token is None else _read("session_token", self._session_token)
        if token is None and self._session_token is not None and self._session_token.kind == "file":
            raise CredentialsError(f"no session token in {self._session_token.description}: write it, or unset it")
        credentials = AwsCredentials(access_key, SecretValue(secret_key), None if token is None else SecretValue(token))
        what = unsendable(credentials)
        if what is None:
            return credentials
        del access_key, secret_key, token  # a traceback may show the variables of this frame
        sources = {"access key id": self._access_key, "secret key": self._secret_key}
        source = sources.get(what, self._session_token)
        where = "" if source is None else f" in {source.description}"
        raise CredentialsError(
            f"the {what}{where} holds a character that no credential has (a blank, or one outside ASCII): set it anew"
        )

    def __repr__(self) -> str:
        return f"<StaticCredentials [{self._access_key.description}]>"


def _read(name: str, source: KeySource) -> str | None:
    found = source.read()
    if isinstance(found, Problem):
        raise CredentialsError(f"aws.{name}: the {source.description} {found}")
    return found


def checked(credentials: AwsCredentials) -> AwsCredentials:
    """Return *credentials* if all parts can be sent in a header. Raises `CredentialsError`, which quotes none."""
    what = unsendable(credentials)
    if what is not None:
        raise CredentialsError(
            f"the {what} is empty, or holds a character that no credential has (a blank, or one outside ASCII): set it "
            "anew"
        )
    return credentials


def unsendable(credentials: AwsCredentials) -> str | None:
    """Return the name of the part of *credentials* that cannot be sent in a header, or None.

    It returns and does not raise: the frame of a function that raises may be shown by a traceback, with the key in it.
    """
    for what, key in (
        ("access key id", credentials.reveal_id()),
        ("secret key", credentials.secret_key.reveal()),
        ("session token", "-" if credentials.session_token is None else credentials.session_token.reveal()),
    ):
        if _KEY.fullmatch(key if isinstance(key, bytes) else key.encode(errors="surrogatepass")) is None:
            return what
    return None
