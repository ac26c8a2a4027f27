"""What each refusal of OpenBao and Vault means, and what may help."""

import json
from typing import Any

import pytest

from secrets_actor.backends.vault import failures
from secrets_actor.backends.vault.failures import CheckAndSetFailed, NodeBehind, Refusal, Remedy
from secrets_actor.backends.vault.protocol import VaultCall
from secrets_actor.domain import errors

GET = VaultCall("GET", "kv/data/app/a?version=3")
POST = VaultCall("POST", "kv/data/app/a", b"never-show-this", writes=True)
PATCH = VaultCall("PATCH", "kv/metadata/app/a", b"{}", writes=True, patch=True)
ACTIVE = {"location": "https://10.0.0.1:8200/v1/kv/data/app/a"}
DEAD = "permission denied"
POLICY = "1 error occurred:\n\t* permission denied\n\n"
# Vault since 1.17 (hashicorp/vault#26687).
PATH = "kv/metadata/app/"
DEAD_AT_VAULT = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"


def refusal(
    status: int, *words: str, call: VaultCall = GET, headers: dict[str, str] | None = None, body: Any = None
) -> Refusal | None:
    sent = json.dumps({"errors": list(words)} if body is None else body).encode()
    return failures.refusal_of(call, status, headers or {}, sent)


def raw(status: int, body: bytes, call: VaultCall = GET, headers: dict[str, str] | None = None) -> Refusal | None:
    return failures.refusal_of(call, status, headers or {}, body)


@pytest.mark.parametrize(
    ("found", "kind", "remedy"),
    [
        (refusal(400, "check-and-set parameter did not match the current version"), CheckAndSetFailed, Remedy.NONE),
        (
            refusal(400, "metadata check-and-set parameter does not match the current version"),
            CheckAndSetFailed,
            Remedy.NONE,
        ),
        (refusal(400, "check-and-set parameter required for this call"), errors.InvalidRequest, Remedy.NONE),
        (
            refusal(400, "Waiting for the primary to upgrade from non-versioned to versioned data. This backend will"),
            errors.StoreFailure,
            Remedy.PREPARED,
        ),
        (refusal(400, "no data provided"), errors.InvalidRequest, Remedy.NONE),
        (refusal(400, 'failed to decode "X-Vault-Index"'), errors.InvalidRequest, Remedy.NO_INDEX),
        (raw(400, b"Client sent an HTTP request to an HTTPS server.\n"), errors.InvalidAnswer, Remedy.NONE),
        (raw(400, b"<html>"), errors.InvalidAnswer, Remedy.NONE),
        (refusal(403, POLICY), errors.AccessDenied, Remedy.NONE),
        (refusal(403, DEAD), errors.AccessDenied, Remedy.ASK_WHY),
        (refusal(403, DEAD_AT_VAULT), errors.AccessDenied, Remedy.ASK_WHY),
        (raw(403, b"<html>"), errors.AccessDenied, Remedy.ASK_WHY),
        (
            refusal(404, 'no handler for route "nomount/data/a". route entry not found.'),
            errors.InvalidRequest,
            Remedy.NONE,
        ),
        (refusal(404, "namespace not found"), errors.InvalidRequest, Remedy.NONE),
        (
            refusal(404, body={"data": None, "warnings": ["Invalid path for a versioned K/V secrets engine."]}),
            errors.InvalidRequest,
            Remedy.NONE,
        ),
        (raw(404, b"<html>"), errors.InvalidAnswer, Remedy.NONE),
        (raw(404, b""), errors.InvalidAnswer, Remedy.NONE),
        (refusal(405), errors.InvalidRequest, Remedy.NONE),
        (refusal(413), errors.InvalidRequest, Remedy.NONE),
        (refusal(415), errors.InvalidRequest, Remedy.NONE),
        (refusal(418, "a teapot"), errors.InvalidRequest, Remedy.NONE),
        (refusal(418, body={"no": "errors"}), errors.InvalidAnswer, Remedy.NONE),
        (refusal(412, "required index state not present"), NodeBehind, Remedy.ACTIVE_NODE),
        (refusal(429, headers={"retry-after": "1"}), NodeBehind, Remedy.ACTIVE_NODE),
        (refusal(429, headers={}), errors.Throttled, Remedy.SLOWER),
        (
            refusal(429, 'request path "kv/data/a": rate limit quota exceeded', headers={"retry-after": "1"}),
            errors.Throttled,
            Remedy.SLOWER,
        ),
        (raw(429, b"slow down"), errors.Throttled, Remedy.SLOWER),
        (raw(307, b"", headers=ACTIVE), errors.NoActiveNode, Remedy.ELECTION),
        (raw(308, b"", headers=ACTIVE), errors.NoActiveNode, Remedy.ELECTION),
        (raw(307, b"", headers={"location": "/v1/kv/data/a"}), errors.InvalidAnswer, Remedy.NONE),
        (raw(307, b""), errors.InvalidAnswer, Remedy.NONE),
        (raw(301, b"", headers=ACTIVE), errors.InvalidAnswer, Remedy.NONE),
        (
            refusal(500, "local node not active but active cluster node not found"),
            errors.NoActiveNode,
            Remedy.ELECTION,
        ),
        (refusal(503, "no active Vault instance found"), errors.NoActiveNode, Remedy.ELECTION),
        (refusal(503, "node is not active"), errors.NoActiveNode, Remedy.ELECTION),
        (refusal(503, "Vault is sealed"), errors.StoreFailure, Remedy.ELSEWHERE),
        (refusal(500, "internal error"), errors.StoreFailure, Remedy.ELSEWHERE),
        (raw(502, b"<html>"), errors.StoreFailure, Remedy.ELSEWHERE),
        (raw(501, b""), errors.StoreFailure, Remedy.NONE),
        (raw(505, b""), errors.StoreFailure, Remedy.NONE),
    ],
)
def test_each_refusal_is_the_error_that_it_means(
    found: Refusal | None, kind: type[errors.SecretsError], remedy: Remedy
) -> None:
    assert found is not None
    assert (type(found.error), found.remedy) == (kind, remedy)
    assert "never-show-this" not in str(found.error)
    assert found.error.retryable == (remedy not in (Remedy.NONE, Remedy.NO_INDEX, Remedy.ASK_WHY))


@pytest.mark.parametrize(
    ("status", "words", "told"),
    [
        (404, "namespace not found", "check vault.namespace"),
        (404, "no handler for route", "at kv/data/app/a: check vault.mount"),
        (403, POLICY, "allow read on kv/data/app/a in one"),
        (503, "Vault is sealed", "unseal it"),
        (503, "node is not active", "not among vault.addresses"),
        (429, "quota exceeded", "ask less often"),
        (400, "check-and-set parameter required for this call", "cas_required"),
        (400, "secret words", "kv/data/app/a"),
    ],
)
def test_an_error_says_what_to_do_and_quotes_nothing_of_the_server(status: int, words: str, told: str) -> None:
    found = refusal(status, words)

    assert found is not None
    assert told in str(found.error)
    assert "secret words" not in str(found.error)
    assert isinstance(found.error, errors.StoreError)
    assert found.error.status == status


@pytest.mark.parametrize(
    ("method", "query", "capability"),
    [
        ("GET", "?version=3", "read"),
        ("GET", "?list=true", "list"),
        ("GET", "?scan=true", "scan"),
        ("GET", "?list=true&limit=8&after=scan%3Dtrue", "list"),
        ("POST", "", "create and update"),
        ("PATCH", "", "patch"),
        ("DELETE", "", "delete"),
    ],
)
def test_a_refusal_names_the_capability_as_policies_do(method: str, query: str, capability: str) -> None:
    assert f": allow {capability} on kv/metadata/app/ in" in str(failures.denied(VaultCall(method, PATH + query)))


def test_http_sent_to_https_is_told() -> None:
    found = raw(400, b"Client sent an HTTP request to an HTTPS server.\n")

    assert found is not None
    assert "write https://" in str(found.error)


@pytest.mark.parametrize(
    ("call", "body"),
    [
        (GET, b'{"errors":[]}'),
        (GET, b'{"data":{"data":null,"metadata":{"deletion_time":"2026-11-30T04:40:28Z","version":1}}}'),
        (GET, b'{"warnings":["something else"]}'),
        (GET, b'{"errors":null,"warnings":null}'),
        (PATCH, b""),
    ],
)
def test_a_404_without_a_reason_is_an_answer(call: VaultCall, body: bytes) -> None:
    assert raw(404, body, call) is None


def test_only_a_redirect_to_the_active_node_is_a_hint() -> None:
    found = raw(307, b"", POST, ACTIVE)
    assert found is not None
    assert found.hint == ACTIVE["location"]
    sealed = refusal(503, "Vault is sealed")
    assert sealed is not None
    assert (sealed.hint, sealed.is_sealed) == (None, True)
    assert failures.not_active("https://a:8200").hint == "https://a:8200"


@pytest.mark.parametrize(
    ("status", "body", "alive"),
    [
        (200, b"{}", True),
        (403, json.dumps({"errors": [DEAD]}).encode(), False),
        (403, json.dumps({"errors": [POLICY]}).encode(), True),
        (403, json.dumps({"errors": [DEAD_AT_VAULT]}).encode(), False),
        (403, b"<html>", None),
        (403, b'{"errors":[]}', None),
        (503, json.dumps({"errors": ["Vault is sealed"]}).encode(), None),
    ],
)
def test_a_token_is_alive_or_not_or_nothing_is_known(status: int, body: bytes, alive: bool | None) -> None:
    assert failures.token_is_alive(status, body) is alive


@pytest.mark.parametrize(
    ("error", "in_doubt"),
    [
        (errors.ConnectionFailed("x"), False),
        (errors.TlsFailed("x"), False),
        (errors.RequestFailed("x"), True),
        (errors.BodyReadFailed("x"), True),
        (errors.BackendTimeout("x"), True),
        (errors.NoActiveNode("x"), True),
        (errors.StoreFailure("x"), True),
        (errors.StoreFailure("x", status=503), True),
        (errors.StoreFailure("x", status=400), False),
        (errors.NoActiveNode("x", status=307), True),
        (NodeBehind("x", status=412), False),
        (errors.InvalidAnswer("x"), True),
        (errors.Throttled("x"), False),
        (errors.AccessDenied("x"), False),
        (CheckAndSetFailed("x"), False),
    ],
)
def test_a_write_is_in_doubt_unless_it_was_not_sent_or_was_refused(error: errors.SecretsError, in_doubt: bool) -> None:
    assert failures.may_have_taken_effect(error) is in_doubt


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (errors.RequestFailed("x"), Remedy.ELSEWHERE),
        (errors.TlsFailed("x"), Remedy.ELSEWHERE),
        (errors.InvalidAnswer("x"), Remedy.ELSEWHERE),
        (errors.ConfigurationError(("x",)), Remedy.NONE),
    ],
)
def test_what_came_in_place_of_an_answer_may_not_come_from_another_node(
    error: errors.SecretsError, remedy: Remedy
) -> None:
    assert failures.remedy_for(error) is remedy


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff", b"[" * 5000, b'{"a":' * 1000 + b"1" + b"}" * 1000])
def test_what_is_no_json_object_is_none(body: bytes) -> None:
    assert failures.json_object(body) is None


def test_a_dead_token_is_one_that_others_are_fetched_for() -> None:
    assert failures.ended().refused
    assert "log in again" in str(failures.ended())


def test_an_answer_older_than_our_own_last_write_is_asked_for_at_another_node() -> None:
    found = failures.outdated()

    assert isinstance(found.error, NodeBehind)
    assert found.error.retryable
    assert found.remedy is Remedy.ELSEWHERE
