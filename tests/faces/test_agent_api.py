"""The agents' face: the tables of their own tests, and what is added here."""

import asyncio
import base64
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from secrets_actor.domain.errors import (
    AccessDenied,
    BackendTimeout,
    BodyReadFailed,
    DecryptionFailed,
    InvalidAnswer,
    InvalidRequest,
    LimitExceeded,
    Overloaded,
    SecretDeleted,
    SecretNotFound,
    SecretsError,
    ServerDown,
    StoreFailure,
    Throttled,
    Unreachable,
    UnrecognizedClient,
    WorkerCrashed,
)
from secrets_actor.domain.tracing import CallerFacts
from secrets_actor.faces.agent_api import TOKEN_HEADERS, AgentApi
from secrets_actor.faces.exchange import Request, Response
from secrets_actor.faces.identity import Identity, Peer
from secrets_actor.faces.policy import Policy, Rule
from secrets_actor.faces.service import Gate
from secrets_actor.faces.watch import Watches
from tests.faces.asking import TCP, UNIX, request
from tests.faces.served_system import Served, served_system

TOKEN: Final = ("X-Aws-Parameters-Secrets-Token", "for-ci")
NAME: Final = "db/password"
GET: Final = f"/secretsmanager/get?secretId={NAME}"


def token_name(given: str) -> str | None:
    return {"for-ci": "ci", "for-web": "web"}.get(given)


class Rig:
    """A face over a system with one secret."""

    def __init__(self, served: Served, **options: Any) -> None:
        self.served, self.store = served, served.store
        self.watches = Watches(served.service, most=2, ping=0.02)
        self.face = AgentApi(served.service, token_name, self.watches, **options)

    def ask(self, target: str, *headers: tuple[str, str], **more: Any) -> Response:
        return asyncio.run(self.answer(request(target, *headers, **more)))

    async def answer(self, asked: Request) -> Response:
        assert self.face.takes(asked) or not asked.path.startswith(("/secretsmanager/", "/v1/"))
        return await self.face.answer(asked)


@pytest.fixture
def rig() -> Iterator[Rig]:
    with served_system() as served:
        served.store.put(NAME, "hunter2")
        yield Rig(served)


def said(response: Response) -> tuple[int, str]:
    return response.status, response.body.decode()


def header(response: Response, name: str) -> str | None:
    return dict(response.headers).get(name)


# --- the agents' own tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "headers", "method", "status", "text"),
    [
        # The token, which is looked at before the method and the path.
        (GET, [], "GET", 403, "Bad Token"),
        (GET, [(TOKEN[0], "wrong")], "GET", 403, "Bad Token"),
        (GET, [(TOKEN[0], "")], "GET", 403, "Bad Token"),
        (GET, [(TOKEN[0], "for-ci ")], "GET", 403, "Bad Token"),
        (GET, [("Authorization", "for-ci")], "GET", 403, "Bad Token"),
        (GET, [], "POST", 403, "Bad Token"),
        ("/badpath", [], "GET", 403, "Bad Token"),
        ("/v1/", [("X-Vault-Token", "wrong")], "GET", 403, "Bad Token"),
        # A forwarded request, which is refused before the token is looked at.
        (GET, [("X-Forwarded-For", "10.0.0.1")], "GET", 400, "Forwarded"),
        (GET, [("X-Forwarded-For", ""), TOKEN], "GET", 400, "Forwarded"),
        ("/badpath", [("X-Forwarded-For", "10.0.0.1")], "POST", 400, "Forwarded"),
        ("/ping", [("X-Forwarded-For", "10.0.0.1")], "GET", 200, "healthy"),
        # The method.
        *[(GET, [TOKEN], method, 405, "Not allowed") for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS")],
        *[("/ping", [], method, 405, "Not allowed") for method in ("POST", "HEAD", "TRACE")],
        ("/badpath", [TOKEN], "POST", 405, "Not allowed"),
        # The path.
        ("/ping", [], "GET", 200, "healthy"),
        ("/", [TOKEN], "GET", 404, "Not found"),
        ("/badpath", [TOKEN], "GET", 404, "Not found"),
        ("/secretsmanager", [TOKEN], "GET", 404, "Not found"),
        ("/secretsmanager/put?secretId=x", [TOKEN], "GET", 404, "Not found"),
        ("/secretsmanager/get/?secretId=x", [TOKEN], "GET", 404, "Not found"),
        ("/secretsmanager//get?secretId=x", [TOKEN], "GET", 404, "Not found"),
        ("/Secretsmanager/Get?secretId=x", [TOKEN], "GET", 404, "Not found"),
        # The parameters.
        ("/secretsmanager/get", [TOKEN], "GET", 400, "missing parameter secretId"),
        ("/secretsmanager/get?", [TOKEN], "GET", 400, "missing parameter secretId"),
        ("/secretsmanager/get?versionId=x", [TOKEN], "GET", 400, "missing parameter secretId"),
        ("/secretsmanager/get?secretid=x", [TOKEN], "GET", 400, "unknown parameter: secretid"),
        (f"{GET}&abc=1", [TOKEN], "GET", 400, "unknown parameter: abc"),
        (f"{GET}&a%0D%0Ab=1", [TOKEN], "GET", 400, "unknown parameter: a??b"),
        (f"{GET}&refreshNow=yes", [TOKEN], "GET", 400, "invalid refreshNow value"),
        (f"{GET}&refreshNow=", [TOKEN], "GET", 400, "invalid refreshNow value"),
        (f"{GET}&refreshNow", [TOKEN], "GET", 400, "invalid refreshNow value"),
        ("/v1/", [TOKEN], "GET", 400, "missing secret ID"),
        ("/v1/?versionId=x", [TOKEN], "GET", 400, "missing secret ID"),
        ("/v1/x?secretId=y", [TOKEN], "GET", 400, "unknown parameter: secretId"),
        *[
            (
                f"{GET}&roleArn={role}",
                [TOKEN],
                "GET",
                400,
                "invalid roleArn format, expected arn:<partition>:iam::<account>:role/<name>",
            )
            for role in ("", "x", "arn:aws:iam::12345:role/x", "arn:aws:iam::123456789012:user/x")
        ],
        (
            f"{GET}&roleArn=arn:aws:iam::123456789012:role/path/x",
            [TOKEN],
            "GET",
            400,
            "roleArn is not allowed here: the daemon asks in its own role",
        ),
        # Ours.
        ("/v1/x/%2e%2E/y", [TOKEN], "GET", 400, "the secret ID has a segment of dots"),
        ("/v1/./y", [TOKEN], "GET", 400, "the secret ID has a segment of dots"),
        (f"{GET}&wait=61", [TOKEN], "GET", 400, "invalid wait value, expected seconds, 0 to 60"),
        (f"{GET}&wait=-1", [TOKEN], "GET", 400, "invalid wait value, expected seconds, 0 to 60"),
        (f"{GET}&wait=9&versionStage=X", [TOKEN], "GET", 400, "wait is for the current version only"),
        (f"{GET}&missing=410", [TOKEN], "GET", 400, "invalid missing value, expected 404"),
        ("/secretsmanager/watch?secretId=x&wait=1", [TOKEN], "GET", 400, "a watch has the parameter secretId only"),
        ("/secretsmanager/watch?missing=404&secretId=x", [TOKEN],
         "GET", 400, "a watch has the parameter secretId only"),
    ],
)  # fmt: skip
def test_a_request_is_answered_as_the_agents_tests_expect(
    rig: Rig, target: str, headers: list[tuple[str, str]], method: str, status: int, text: str
) -> None:
    response = rig.ask(target, *headers, method=method)

    assert said(response) == (status, text)
    assert header(response, "content-type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize("name", ["X-Aws-Parameters-Secrets-Token", "x-vault-token"])
@pytest.mark.parametrize(
    "target",
    [
        *(GET, GET.replace("/password", "%2Fpassword"), f"/v1/{NAME}", "/v1/db%2Fpassword", f"{GET}&refreshNow=TRUE"),
        *(f"{GET}&refreshNow=0", f"{GET}&versionStage=AWSCURRENT", f"{GET}&secretId={NAME}"),
        f"/secretsmanager/get?secretId=another&secretId={NAME}",
    ],
)
def test_a_secret_is_given_as_the_agents_write_it(rig: Rig, name: str, target: str) -> None:
    secret = rig.served.system.secrets.get(NAME)

    response = rig.ask(target, (name, "for-ci"))

    assert response.status == 200
    assert header(response, "content-type") == "application/json"
    assert list(json.loads(response.body).items()) == [
        ("ARN", secret.arn),
        ("Name", NAME),
        ("VersionId", secret.version_id),
        ("SecretString", "hunter2"),
        ("VersionStages", ["AWSCURRENT"]),
        ("CreatedDate", f"{secret.created_at.timestamp():.6f}".rstrip("0").rstrip(".")),
    ]


def test_a_binary_secret_is_in_base64(rig: Rig) -> None:
    rig.store.put("raw", b"\x00\xff")

    found = json.loads(rig.ask("/v1/raw", TOKEN).body)

    assert found["SecretBinary"] == base64.b64encode(b"\x00\xff").decode()
    assert "SecretString" not in found


def test_any_text_arrives_whole(rig: Rig) -> None:
    text = 'quotes " and \\, lines \r\n, \u00e9, \U0001f511 and \x7f'
    rig.store.put("odd", text)

    assert json.loads(rig.ask("/v1/odd", TOKEN).body)["SecretString"] == text


def test_versions_are_asked_for_by_id_and_stage(rig: Rig) -> None:
    rig.store.put(NAME, "newer")
    old, new = rig.store.version_ids(NAME)

    found = [
        json.loads(rig.ask(f"{GET}&{query}", TOKEN).body)["SecretString"]
        for query in (f"versionId={old}", f"versionId={new}", "versionStage=AWSPREVIOUS", "versionStage=AWSCURRENT")
    ]

    assert found == ["hunter2", "newer", "hunter2", "newer"]


def test_refresh_now_asks_the_store(rig: Rig) -> None:
    rig.ask(GET, TOKEN)
    rig.store.put(NAME, "newer")

    assert json.loads(rig.ask(GET, TOKEN).body)["SecretString"] == "hunter2"
    assert json.loads(rig.ask(f"{GET}&refreshNow=1", TOKEN).body)["SecretString"] == "newer"


# --- what clients do not notice -----------------------------------------------------------------------------------


def test_an_answer_says_where_it_comes_from_and_how_old_it_is(rig: Rig) -> None:
    facts = []
    for _ in range(2):
        response = rig.ask(GET, TOKEN)
        facts.append((header(response, "x-secrets-actor-source"), header(response, "age")))
        rig.served.clock.advance(7.9)
    facts.append((None, header(rig.ask(GET, TOKEN), "age")))

    assert facts == [("backend", "0"), ("cache", "7"), (None, "15")]
    assert header(response, "x-secrets-actor-stale") is None
    assert header(response, "cache-control") == "no-store"


def test_a_stale_answer_says_so() -> None:
    with served_system(ttl_seconds=10, max_stale_seconds=1000) as served:
        rig = Rig(served)
        served.store.put(NAME, "hunter2")
        rig.ask(GET, TOKEN)
        served.clock.advance(20)
        with served.store.failing(StoreFailure("down")):
            response = rig.ask(GET, TOKEN)

    assert response.status == 200
    assert header(response, "x-secrets-actor-source") == "stale"
    assert header(response, "x-secrets-actor-stale") == "1"


@pytest.mark.parametrize("tag", ['"{}"', 'W/"{}"', '"other", "{}"', "*"])
def test_a_version_that_the_client_has_is_not_sent_again(rig: Rig, tag: str) -> None:
    [version_id] = rig.store.version_ids(NAME)
    assert header(rig.ask(GET, TOKEN), "etag") == f'"{version_id}"'

    response = rig.ask(GET, TOKEN, ("If-None-Match", tag.format(version_id)))

    assert (response.status, response.body) == (304, b"")
    assert header(response, "etag") == f'"{version_id}"'


@pytest.mark.parametrize("tag", ['"another"', "{}", ""])
def test_a_version_that_the_client_has_not_is_sent(rig: Rig, tag: str) -> None:
    [version_id] = rig.store.version_ids(NAME)

    assert rig.ask(GET, TOKEN, ("If-None-Match", tag.format(version_id))).status == 200


def test_a_caller_that_goes_by_the_status_asks_for_404_where_there_is_no_secret(rig: Rig) -> None:
    asked = "/v1/{}?missing=404"
    assert rig.ask(asked.format(NAME), TOKEN).status == 200
    for error in (SecretNotFound("x"), SecretDeleted("x")):
        with rig.store.failing(error):
            plain, told = rig.ask("/v1/gone", TOKEN), rig.ask(asked.format("gone"), TOKEN)
        assert (plain.status, told.status) == (400, 404)
        assert plain.body == told.body
    with rig.store.failing(Throttled("x")):
        assert rig.ask(asked.format("busy"), TOKEN).status == 400


# --- who asks -----------------------------------------------------------------------------------------------------


def test_on_a_unix_socket_no_token_is_needed(rig: Rig) -> None:
    assert rig.ask(GET, peer=UNIX).status == 200


def test_a_certificate_does_as_well() -> None:
    with served_system(Rule(("spiffe://example.org/billing",), ("**",), ("get",))) as served:
        served.store.put(NAME, "hunter2")

        found = Rig(served).ask(GET, peer=Peer(address="10.0.0.1:1", certificate="spiffe://example.org/billing"))

    assert found.status == 200


def test_a_wrong_token_is_refused_on_a_unix_socket_too(rig: Rig) -> None:
    assert said(rig.ask(GET, (TOKEN[0], "wrong"), peer=UNIX)) == (403, "Bad Token")


def test_one_right_token_of_two_will_do(rig: Rig) -> None:
    assert rig.ask(GET, ("X-Vault-Token", "wrong"), TOKEN).status == 200
    assert rig.ask(GET, TOKEN, ("X-Vault-Token", "wrong")).status == 200


def test_who_shows_no_good_token_is_in_the_audit_log_without_the_token() -> None:
    with served_system() as served:
        rig = Rig(served)
        for headers in ((), ((TOKEN[0], "tried-token"),)):
            assert said(rig.ask(GET, *headers)) == (403, "Bad Token")
        rig.ask(GET, (TOKEN[0], "tried-token"), peer=UNIX)

    assert [(one.operation, one.secret_id, one.outcome, one.source) for one in served.audit.kept] == [
        ("get", None, "access_denied", "proof")
    ] * 3
    callers = [dict(one.caller.facts) for one in served.audit.kept if isinstance(one.caller, CallerFacts)]
    assert [(one.get("address"), one.get("pid"), one["by"]) for one in callers] == [
        (TCP.address, None, "nothing"),
        (TCP.address, None, "nothing"),
        (None, UNIX.pid, "peer"),
    ]
    assert "tried-token" not in repr(served.audit.kept)


def test_what_the_policy_does_not_allow_is_refused_and_audited() -> None:
    with served_system(Rule(("token:ci",), ("shared/*",), ("get",))) as served:
        rig = Rig(served)
        served.store.put(NAME, "hunter2")

        there, missing = rig.ask(GET, TOKEN), rig.ask("/v1/billing/nothing", TOKEN)

        assert [there.status, missing.status] == [403, 403]
        facts = json.loads(there.body)
        assert facts["__type"] == "AccessDeniedException"
        assert "token:ci" in facts["message"]
        assert missing.body.replace(b"billing/nothing", NAME.encode()) == there.body
        assert [(one.operation, one.secret_id, one.outcome) for one in served.audit.kept] == [
            ("get", NAME, "access_denied"),
            ("get", "billing/nothing", "access_denied"),
        ]
        assert served.store.calls["get"] == 0


def test_an_arn_meets_the_rule_of_its_name() -> None:
    with served_system(Rule(("token:ci",), (NAME,), ("get",))) as served:
        rig = Rig(served)
        for name in (NAME, "db/other"):
            served.store.put(name, "hunter2")
        arns = [served.system.secrets.get(name).arn for name in (NAME, "db/other")]

        assert [rig.ask(f"/v1/{arn}", TOKEN).status for arn in arns] == [200, 403]


class TrustsArns:
    """A gate that takes any ARN for one that is allowed, as one whose knowledge of it is too old."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.may, self.check_any, self.in_force = gate.may, gate.check_any, gate.in_force

    async def check(self, identity: Identity, action: str, secret_id: str) -> None:
        if not secret_id.startswith("arn:"):
            await self._gate.check(identity, action, secret_id)


def test_the_secret_that_an_answer_is_about_is_judged_too(rig: Rig) -> None:
    arn = rig.served.system.secrets.get(NAME).arn
    service = replace(rig.served.service, gate=TrustsArns(rig.served.service.gate))
    face = AgentApi(service, token_name, rig.watches)
    rig.served.policy = Policy([Rule(("token:ci",), ("other/*",), ("get",))])

    assert asyncio.run(face.answer(request(f"/v1/{arn}", TOKEN))).status == 403


# --- when there is no answer --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code", "message"),
    [
        (SecretNotFound("x"), 400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
        (SecretDeleted("x"), 400, "InvalidRequestException", "You can't perform this operation on the secret because "
            "it was marked for deletion."),
        (InvalidRequest("x"), 400, "InvalidRequestException", None),
        (InvalidRequest("x", aws_code="InvalidParameterException"), 400, "InvalidParameterException", None),
        (DecryptionFailed("x"), 400, "DecryptionFailure", None),
        (AccessDenied("x"), 400, "AccessDeniedException", None),
        (Throttled("x"), 400, "ThrottlingException", "Rate exceeded"),
        (LimitExceeded("x"), 400, "LimitExceededException", None),
        (StoreFailure("x"), 500, "InternalServiceError", None),
        (UnrecognizedClient("x"), 500, "InternalServiceError", None),
        (Overloaded("x"), 400, "ThrottlingException", None),
        (ServerDown("x"), 503, "ServiceUnavailable", None),
        (BackendTimeout("x"), 504, "TimeoutError", "Timeout"),
        (BodyReadFailed("x"), 502, "ConnectionError", "Read Error"),
        (Unreachable("x"), 502, "ConnectionError", "Read Error"),
        (InvalidAnswer("x", status=400), 502, "ConnectionError", "Response Error"),
    ],
)  # fmt: skip
def test_an_error_of_the_store_is_told_as_the_agents_tell_it(
    error: SecretsError, status: int, code: str, message: str | None
) -> None:
    with served_system() as served, served.store.failing(error):
        response = Rig(served).ask(GET, TOKEN)

    found = json.loads(response.body)
    assert (response.status, found["__type"]) == (status, code)
    assert message in (None, found["message"])
    assert header(response, "content-type") == "application/json"


def test_any_other_error_has_no_message(rig: Rig) -> None:
    with rig.store.failing(WorkerCrashed("x", error_type="KeyError")):
        response = rig.ask(GET, TOKEN)

    assert said(response) == (500, '{"__type":"InternalFailure"}')
    assert said(rig.face.broken(request(GET))) == (500, '{"__type":"InternalFailure"}')


@pytest.mark.parametrize("name", ["", "a b", "%ff", "a" * 513])
def test_a_bad_name_is_refused_in_awss_words(rig: Rig, name: str) -> None:
    response = rig.ask(f"/secretsmanager/get?secretId={name}", TOKEN)

    assert response.status == 400
    assert json.loads(response.body) == {
        "__type": "ValidationException",
        "message": "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: "
        "-/_+=.@!",
    }


def test_another_bad_parameter_is_refused(rig: Rig) -> None:
    response = rig.ask(f"{GET}&versionId=short", TOKEN)

    assert response.status == 400
    assert json.loads(response.body)["__type"] == "InvalidParameterException"


def test_a_request_whose_time_is_over_is_told_so(rig: Rig) -> None:
    response = rig.ask(GET, TOKEN, deadline=rig.served.clock.now())

    assert (response.status, json.loads(response.body)["__type"]) == (504, "TimeoutError")


# --- the extension for Lambda -------------------------------------------------------------------------------------


@pytest.fixture
def extension() -> Iterator[Rig]:
    with served_system() as served:
        served.store.put(NAME, "hunter2")
        yield Rig(served, dialect="lambda")


@pytest.mark.parametrize("value", ["hunter2", b"\x00"])
def test_the_extension_writes_dates_and_absent_values_its_own_way(extension: Rig, value: str | bytes) -> None:
    extension.store.put("x", value)
    secret = extension.served.system.secrets.get("x")

    found = json.loads(extension.ask("/secretsmanager/get?secretId=x", TOKEN).body)

    is_text = isinstance(value, str)
    assert list(found.items()) == [
        ("ARN", secret.arn),
        ("CreatedDate", secret.created_at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"),
        ("Name", "x"),
        ("SecretBinary", None if is_text else "AA=="),
        ("SecretString", value if is_text else None),
        ("VersionId", secret.version_id),
        ("VersionStages", ["AWSCURRENT"]),
        ("ResultMetadata", {}),
    ]


def test_the_extension_refuses_a_wrong_token_with_401(extension: Rig) -> None:
    assert extension.ask(GET).status == 401


def test_the_path_prefix_is_a_setting(rig: Rig) -> None:
    face = AgentApi(rig.served.service, token_name, rig.watches, path_prefix="/my/")

    assert asyncio.run(face.answer(request(f"/my/{NAME}", TOKEN))).status == 200
    assert not face.takes(request(f"/v1/{NAME}"))
    assert face.takes(request(f"/my/{NAME}"))
    assert face.takes(request("/ping"))
    assert not face.takes(request("/"))


# --- a get that waits ---------------------------------------------------------------------------------------------


def version_of(rig: Rig) -> str:
    return rig.store.version_ids(NAME)[-1]


def test_a_get_that_waits_is_answered_when_the_secret_changes(rig: Rig) -> None:
    async def both() -> Response:
        asked = request(f"{GET}&wait=60", TOKEN, ("If-None-Match", f'"{version_of(rig)}"'))
        waiting = asyncio.create_task(rig.answer(asked))
        while rig.watches.waiting == 0:
            await asyncio.sleep(0)
        await rig.served.system.async_secrets.set(NAME, "newer")
        return await waiting

    response = asyncio.run(both())

    assert json.loads(response.body)["SecretString"] == "newer"
    assert rig.watches.waiting == 0


def test_a_get_that_waited_is_judged_by_the_policy_of_then(rig: Rig) -> None:
    async def both() -> Response:
        asked = request(f"{GET}&wait=60", TOKEN, ("If-None-Match", f'"{version_of(rig)}"'))
        waiting = asyncio.create_task(rig.answer(asked))
        while rig.watches.waiting == 0:
            await asyncio.sleep(0)
        rig.served.policy = Policy([Rule(("token:ci",), ("other/*",), ("get",))])
        await rig.served.system.async_secrets.set(NAME, "newer")
        return await waiting

    assert asyncio.run(both()).status == 403


def test_a_get_that_waited_is_refused_if_its_token_is_gone_by_then(rig: Rig) -> None:
    names = {"ci"}
    watches = Watches(rig.served.service, lambda: frozenset(names))
    face = AgentApi(rig.served.service, token_name, watches)

    async def both() -> Response:
        asked = request(f"{GET}&wait=60", TOKEN, ("If-None-Match", f'"{version_of(rig)}"'))
        waiting = asyncio.create_task(face.answer(asked))
        while watches.waiting == 0:
            await asyncio.sleep(0)
        names.clear()
        await rig.served.system.async_secrets.set(NAME, "newer")
        return await waiting

    assert said(asyncio.run(both())) == (403, "Bad Token")


def test_a_get_that_waited_in_vain_is_answered_with_304(rig: Rig) -> None:
    asked = (f"{GET}&wait=60", TOKEN, ("If-None-Match", f'"{version_of(rig)}"'))

    response = rig.ask(*asked, deadline=rig.served.clock.now() + 0.55)

    assert response.status == 304
    assert rig.watches.waiting == 0


@pytest.mark.parametrize("tag", [None, '"another"'])
def test_a_get_that_need_not_wait_does_not(rig: Rig, tag: str | None) -> None:
    headers = [TOKEN] if tag is None else [TOKEN, ("If-None-Match", tag)]

    assert rig.ask(f"{GET}&wait=60", *headers).status == 200


def test_of_too_many_that_wait_the_next_is_refused(rig: Rig) -> None:
    asked = request(f"{GET}&wait=60", TOKEN, ("If-None-Match", f'"{version_of(rig)}"'))

    async def three() -> Response:
        waiting = [asyncio.create_task(rig.answer(asked)) for _ in range(2)]
        while rig.watches.waiting < 2:
            await asyncio.sleep(0)
        refused = await rig.answer(asked)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return refused

    response = asyncio.run(three())

    assert said(response) == (429, "Watch limit exceeded")
    assert header(response, "retry-after") == "1"
    assert rig.watches.waiting == 0


# --- any request whatsoever ---------------------------------------------------------------------------------------

parts = st.sampled_from(
    ["secretId", "=", "&", "versionId", "versionStage", "refreshNow", "wait", "roleArn", "true", NAME]
)
queries = st.lists(parts | st.text("%&=+;/.0aF\xff ", max_size=4), max_size=8).map("".join)
paths = st.sampled_from(["/ping", "/secretsmanager/get", "/secretsmanager/watch", "/v1/"]).flatmap(
    lambda path: st.text("/.%2aeEfF\xff", max_size=6).map(lambda more: path + more)
)


def test_any_request_has_an_answer(rig: Rig) -> None:
    @given(paths, queries, st.lists(st.tuples(st.sampled_from([*TOKEN_HEADERS, "if-none-match"]), st.text(max_size=3))))
    def answered(path: str, query: str, headers: list[tuple[str, str]]) -> None:
        response = rig.ask(f"{path}?{query}", *headers, peer=UNIX, deadline=rig.served.clock.now() + 0.5)
        if response.stream is not None:
            asyncio.run(response.stream.aclose())  # type: ignore[attr-defined]
        assert response.status in (200, 304, 400, 403, 404)

    answered()
    assert rig.watches.waiting == 0


def test_long_queries_do_not_stay_in_memory(rig: Rig) -> None:
    """Each is another one, so that a cache of them would keep them all: callers choose them."""
    rig.ask(f"/secretsmanager/get?secretId={NAME}", TOKEN)
    tracemalloc.start()
    try:
        for number in range(60):
            query = f"secretId={'x' * 50_000}{number}&secretId={NAME}"
            assert rig.ask(f"/secretsmanager/get?{query}", TOKEN).status == 200
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000


def test_a_query_that_is_longer_than_most_is_answered_as_well(rig: Rig) -> None:
    asked = "&".join(["secretId=another"] * 100)

    assert rig.ask(f"/secretsmanager/get?{asked}&secretId={NAME}", TOKEN).status == 200
    assert rig.ask(f"/v1/{NAME}?{'&'.join(['refreshNow=0'] * 100)}", TOKEN).status == 200
