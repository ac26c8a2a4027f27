"""What counts as an outage, and what is served then."""

import pytest

from secrets_actor.actor.cache import Cache
from secrets_actor.actor.cache_keys import CacheRules
from secrets_actor.actor.stale_answers import is_outage, stale_answer
from secrets_actor.domain import errors
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import Describe, Get
from tests.actor.test_cache import secret

OUTAGES = [
    errors.ConnectionFailed("x"),
    errors.TlsFailed("x"),
    errors.RequestFailed("x"),
    errors.BodyReadFailed("x"),
    errors.BackendTimeout("x"),
    errors.CircuitOpen("x"),
    errors.Throttled("x"),
    errors.StoreFailure("x"),
    errors.InvalidAnswer("x"),
    errors.DeadlineExceeded("x"),
    errors.WorkerCrashed("x", error_type="X"),
    errors.MetadataServiceError("x"),
    errors.LoginUnavailable("x"),
    errors.StoreUnavailable("x", path="p"),
    errors.StoreDamaged("x", path="p"),
]


class VaultIsSealed(errors.CredentialsError):
    """What somebody else's source of credentials may say: it is not the store that refuses."""

    code = "vault_is_sealed"
    outage = True


OUTAGES.append(VaultIsSealed("x"))
NOES = [
    errors.CredentialsExpired("x"),
    errors.AccessDenied("x"),
    errors.SecretDeleted("x"),
    errors.SecretNotFound("x"),
    errors.DecryptionFailed("x"),
    errors.InvalidRequest("x"),
    errors.InvalidSignature("x"),
    errors.ExpiredToken("x"),
    errors.LoginRefused("x"),
    errors.UnrecognizedClient("x"),
    errors.NoCredentials(("here", "none")),
    errors.WrongKey("x", path="p"),
    errors.Overloaded("x"),
]


@pytest.fixture
def table() -> Cache:
    """One secret, past its TTL at 120."""
    cache = Cache(CacheRules(ttl=10.0, max_stale=60.0))
    cache.writer().store(Get("a"), secret("a"), 100.0)
    return cache


@pytest.mark.parametrize("error", OUTAGES, ids=lambda error: error.code)
def test_when_the_store_could_not_answer_the_past_is_served_and_marked(error: SecretsError, table: Cache) -> None:
    found = stale_answer(table, Get("a"), error, 120.0)

    assert is_outage(error)
    assert found is not None
    assert (found.stale, found.age) == (True, 20.0)
    assert stale_answer(table, Describe("a"), error, 120.0) is None


@pytest.mark.parametrize("error", NOES, ids=lambda error: error.code)
def test_when_it_said_no_nothing_is(error: SecretsError, table: Cache) -> None:
    assert not is_outage(error)
    assert stale_answer(table, Get("a"), error, 120.0) is None
