"""The signed request of a login with an IAM identity, as botocore signs the same one, and as an STS answers it."""

import base64
import json
from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.vault.auth.aws_iam import AwsIamLogin
from secrets_actor.domain.errors import CredentialsError
from secrets_actor.domain.secret import SecretValue
from tests.servers.account import ROOT_KEYS, Keys
from tests.servers.ministack import Ministack
from tests.servers.moto import MotoServer

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
KEYS = ("AKIAEXAMPLE", "hunter2/hunter2+hunter2", "session-hunter2")


class Source:
    """One pair of keys, temporary or not."""

    def __init__(self, token: str | None = KEYS[2]) -> None:
        self.token, self.fetched = token, 0

    def fetch(self, deadline: float) -> AwsCredentials:
        self.fetched += 1
        return AwsCredentials(KEYS[0], SecretValue(KEYS[1]), None if self.token is None else SecretValue(self.token))


def parts(body: SecretValue) -> dict[str, str]:
    """The login, with what is base64 decoded."""
    found = json.loads(body.bytes())
    return {
        name: base64.b64decode(value).decode() if name in ("iam_request_url", "iam_request_body") else value
        for name, value in found.items()
    }


def headers_in(body: SecretValue) -> dict[str, str]:
    """The headers of the signed request."""
    found = json.loads(base64.b64decode(json.loads(body.bytes())["iam_request_headers"]))
    return {name: value for name, [value] in found.items()}


@pytest.mark.parametrize("token", [None, KEYS[2]])
@pytest.mark.parametrize("region", [None, "eu-central-1", "cn-north-1"])
@pytest.mark.parametrize("server_id", [None, "vault.example.com"])
def test_the_request_is_the_one_that_botocore_signs(
    monkeypatch: pytest.MonkeyPatch, token: str | None, region: str | None, server_id: str | None
) -> None:
    source = Source(token)
    method = AwsIamLogin(source, "web", server_id=server_id, region=region, wall_clock=lambda: NOW)
    body = method.signed(source.fetch(0.0))
    said, headers = parts(body), headers_in(body)
    request = AWSRequest("POST", said["iam_request_url"], {}, said["iam_request_body"])
    for name in ("Host", "Content-Type", "X-Vault-AWS-IAM-Server-ID"):
        if name in headers:
            request.headers[name] = headers[name]
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: NOW)
    SigV4Auth(Credentials(KEYS[0], KEYS[1], token), "sts", region or "us-east-1").add_auth(request)

    assert headers["Authorization"] == request.headers["Authorization"]
    assert headers.get("X-Amz-Security-Token") == request.headers.get("X-Amz-Security-Token")
    assert ("x-vault-aws-iam-server-id" in headers["Authorization"]) == (server_id is not None)
    assert said["role"] == "web"
    assert said["iam_http_request_method"] == "POST"
    hosts = {
        None: "sts.amazonaws.com",
        "eu-central-1": "sts.eu-central-1.amazonaws.com",
        "cn-north-1": "sts.cn-north-1.amazonaws.com.cn",
    }
    assert headers["Host"] == hosts[region]


def ask(url: str, body: SecretValue) -> str:
    """What the STS at *url* answers to the request in *body*, which goes there as it is, as a server would send it."""
    said = parts(body)
    with urlopen(Request(url, said["iam_request_body"].encode(), headers_in(body))) as answer:
        return answer.read().decode()


def signed_by(keys: Keys, *, secret_key: str | None = None) -> SecretValue:
    token = None if keys.session_token is None else SecretValue(keys.session_token)
    signer = AwsCredentials(keys.access_key_id, SecretValue(secret_key or keys.secret_key), token)
    return AwsIamLogin(Source(), server_id="vault.example.com").signed(signer)


def test_an_sts_that_checks_signatures_answers_exactly_that_request(moto_server: MotoServer) -> None:
    assert "<GetCallerIdentityResponse" in ask(moto_server.url, signed_by(ROOT_KEYS))
    with pytest.raises(HTTPError):
        ask(moto_server.url, signed_by(ROOT_KEYS, secret_key="another"))


def test_an_sts_knows_the_role_behind_temporary_keys(ministack: Ministack) -> None:
    assert ":assumed-role/" in ask(ministack.url, signed_by(ministack.account.role_session()))


def test_the_credentials_are_had_anew_for_each_login_and_another_key_is_another_login() -> None:
    source = Source()
    method = AwsIamLogin(source)

    assert method.material(0.0) == method.material(0.0)
    assert source.fetched == 2
    assert method.material(0.0) != AwsIamLogin(source, "web").material(0.0)


def test_without_credentials_of_aws_there_is_no_login() -> None:
    class Nobody:
        def fetch(self, deadline: float) -> AwsCredentials:
            raise CredentialsError("no keys today")

    with pytest.raises(CredentialsError, match="no keys today"):
        AwsIamLogin(Nobody()).material(0.0)


def test_nothing_shows_keys_or_the_signed_request() -> None:
    source = Source()
    method = AwsIamLogin(source, wall_clock=lambda: NOW + timedelta(hours=1))
    body = method.signed(source.fetch(0.0))

    for shown in (repr(body), repr(method), repr(method.material(0.0))):
        assert "hunter2" not in shown
        assert "Signature" not in shown
        assert KEYS[0] not in shown
