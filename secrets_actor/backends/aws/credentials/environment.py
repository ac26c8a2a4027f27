"""Credentials from the environment variables that every AWS tool reads.

One file for each place that credentials come from. Source of the names and their order: botocore's `EnvProvider`.
"""

import os
from typing import Final

from secrets_actor.backends.aws.credentials.json_credentials import moment
from secrets_actor.backends.aws.credentials.static import unsendable
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.domain.errors import CredentialsError, MissingSecretKey, NoCredentials
from secrets_actor.domain.secret import SecretValue

NAME: Final = "environment"
# The first of these that is set holds the token. The older name goes first, as in botocore.
TOKENS: Final = ("AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")


class EnvironmentCredentials:
    """Reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_CREDENTIAL_EXPIRATION at each fetch."""

    def fetch(self, deadline: float) -> AwsCredentials:  # noqa: ARG002  nothing here waits
        """Return the credentials.

        Raises `NoCredentials` without AWS_ACCESS_KEY_ID, `MissingSecretKey` with it alone, and `CredentialsError` for
        a text that cannot be a key, a token or a moment.
        """
        access_key = os.environ.get("AWS_ACCESS_KEY_ID", "").strip()
        if not access_key:
            raise NoCredentials((NAME, "AWS_ACCESS_KEY_ID is not set"))
        secret_key = os.environ.get("AWS_SECRET_ACCESS_KEY", "").strip()
        if not secret_key:
            raise MissingSecretKey("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not: set both, or none")
        by = next((name for name in TOKENS if os.environ.get(name, "").strip()), TOKENS[-1])
        token = os.environ.get(by, "").strip() or None
        end = os.environ.get("AWS_CREDENTIAL_EXPIRATION", "").strip()
        expires_at = moment(end) if end else None
        if end and expires_at is None:
            raise CredentialsError(
                "AWS_CREDENTIAL_EXPIRATION is no moment in ISO 8601 with a time zone, as 2026-01-31T12:00Z: mend it"
            )
        value = None if token is None else SecretValue(token)
        credentials = AwsCredentials(access_key, SecretValue(secret_key), value, expires_at)
        what = unsendable(credentials)
        if what is not None:
            named = {"access key id": "AWS_ACCESS_KEY_ID", "secret key": "AWS_SECRET_ACCESS_KEY"}.get(what, by)
            raise CredentialsError(
                f"{named}: it holds a character that no credential has (a blank, or one outside ASCII): set it anew"
            )
        return credentials

    def __repr__(self) -> str:
        return "<EnvironmentCredentials>"
