"""Login as an IAM role or user of AWS: a signed request for GetCallerIdentity, which the server sends to AWS's STS.

The server learns from STS's answer who we are. It never has our keys: the signature is good for that one request, for
15 minutes. With *server_id*, the request names the server that it is meant for, so that another server, which it was
given to, cannot use it to log in there.

Source: HashiCorp, "AWS auth method (API)", IAM login. OpenBao has this method as a plugin of its own.
"""

from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from secrets_actor.backends.aws_credentials import AwsCredentials, AwsCredentialSource
from secrets_actor.backends.sigv4 import HttpRequest, Scope, SigningKeys, sign_headers
from secrets_actor.backends.vault.auth.login import LoginClient, body_of, login_path
from secrets_actor.backends.vault.auth.token_life import Granted
from secrets_actor.clock import utc_now
from secrets_actor.domain.secret import SecretValue

# What every server takes unless it was configured otherwise: the global endpoint, which is signed for in us-east-1.
GLOBAL_HOST: Final = "sts.amazonaws.com"
GLOBAL_REGION: Final = "us-east-1"
BODY: Final = b"Action=GetCallerIdentity&Version=2011-06-15"
CONTENT_TYPE: Final = "application/x-www-form-urlencoded; charset=utf-8"
SERVER_ID_HEADER: Final = "X-Vault-AWS-IAM-Server-ID"
_SERVICE: Final = "sts"
_REFUSED: Final = (
    "the server refuses this identity of AWS: the role (vault.role) is bound to another one, STS refuses the request "
    "(keys, clock, region), or it has to name the server (vault.iam_server_id)"
)


class AwsIamLogin:
    """As *role* (None: the one that has the name of the IAM role or user), signed with the credentials of *source*.

    *host* and *region*: the endpoint of STS that the server asks (its `sts_endpoint`, `sts_region`). None: the global
    one; for a region alone, the endpoint of that region.
    """

    makes_tokens = True
    locks_out = False

    def __init__(
        self,
        source: AwsCredentialSource,
        role: str | None = None,
        *,
        mount: str = "aws",
        server_id: str | None = None,
        region: str | None = None,
        host: str | None = None,
        wall_clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._source, self._role, self._path, self._server_id = source, role, login_path(mount), server_id
        self._scope = Scope(region or GLOBAL_REGION, _SERVICE)
        suffix = "amazonaws.com.cn" if (region or "").startswith("cn-") else "amazonaws.com"
        self._host = host or (f"{_SERVICE}.{region}.{suffix}" if region else GLOBAL_HOST)
        self._wall_clock, self._keys = wall_clock, SigningKeys(2)
        self._signer: AwsCredentials | None = None

    def material(self, deadline: float) -> SecretValue:
        """Return the access key, which is what makes this login another one. Raises what *source* raises."""
        self._signer = signer = self._source.fetch(deadline)
        return body_of({"access_key_id": signer.reveal_id(), "role": self._role or ""})

    def log_in(self, material: SecretValue, client: LoginClient) -> Granted:  # noqa: ARG002  it only names the signer
        """Log in."""
        return client.log_in(self._path, self.signed(self._signer or self._source.fetch(client.deadline)), _REFUSED)

    def signed(self, signer: AwsCredentials) -> SecretValue:
        """Return the body of the login: the signed request. It is as good as a password for some minutes."""
        headers: tuple[tuple[str, str], ...] = (("Host", self._host), ("Content-Type", CONTENT_TYPE))
        if self._server_id is not None:
            headers += ((SERVER_ID_HEADER, self._server_id),)
        request = HttpRequest("POST", "/", "", headers, BODY)
        headers += sign_headers(request, signer, self._scope, self._wall_clock(), self._keys).headers
        login = {
            "iam_http_request_method": "POST",
            "iam_request_url": _base64(f"https://{self._host}/".encode()),
            "iam_request_body": _base64(BODY),
            "iam_request_headers": _base64(msgspec.json.encode({name: [value] for name, value in headers})),
        }
        return body_of(login if self._role is None else {"role": self._role, **login})

    def __repr__(self) -> str:
        return f"<AwsIamLogin {self._path}>"


def _base64(content: bytes) -> str:
    return b64encode(content).decode()
