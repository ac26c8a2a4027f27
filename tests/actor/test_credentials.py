"""Keys are fetched once for all who wait, and anew when they are refused; who cannot have any is told."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from msgspec import Struct

from secrets_actor import (
    AccessDenied,
    Credentials,
    CredentialsError,
    DeadlineExceeded,
    SecretNotFound,
    System,
    WorkerCrashed,
)
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import CallContext
from secrets_actor.errors import (
    CredentialsExpired,
    ExpiredToken,
    InvalidAnswer,
    InvalidSignature,
    MetadataServiceError,
    UnrecognizedClient,
)
from tests.actor.rig import RigStore, Watch, eventually, failure, in_background, kill, process, running, settings, whole
from tests.actor.token_credentials import Token


class LeaseEnded(CredentialsError):
    """What a backend of somebody else's may say of its own credentials."""

    code = "lease_ended"
    refused = True


REFUSALS = (ExpiredToken, InvalidSignature, UnrecognizedClient, LeaseEnded)


class Source:
    """Gives key number 1, 2, 3...; `fetch_now` may raise, wait, or give something else."""

    def __init__(self) -> None:
        self.fetched = 0
        self.life: timedelta | None = None
        self.fetch_now: Callable[[], object] = lambda: None

    def fetch(self, deadline: float) -> Token:
        self.fetched += 1
        number = self.fetched
        given = self.fetch_now()
        if given is not None:
            return given  # type: ignore[return-value]
        end = None if self.life is None else datetime.now(UTC) + self.life
        return Token(f"key {number}", end)


@pytest.fixture
def source() -> Source:
    return Source()


def system_with(tmp_path: Path, rig_store: RigStore, source: object, **more: object) -> System:
    return System(settings(tmp_path, **more), backend=rig_store.factory(source))  # type: ignore[arg-type]


def key_of(context: CallContext) -> str:
    assert isinstance(context.credentials, Token), "no request goes without credentials"
    return str(context.credentials.text.reveal())


def refuse(rig_store: RigStore, error: Exception, *refused: str) -> None:
    """Have the store refuse these credentials."""

    def check(_operation: Operation[object], context: CallContext) -> None:
        if key_of(context) in refused:
            raise error

    rig_store.before = check


def test_there_is_one_fetch_for_all_who_wait(tmp_path: Path, rig_store: RigStore, source: Source) -> None:
    go, fetching = threading.Event(), threading.Event()

    def slowly() -> None:
        fetching.set()
        go.wait(10)

    source.fetch_now = slowly
    for name in "abcd":
        rig_store.put(name, name)
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        getting = [in_background(lambda name=name: system.secrets.get(name).reveal()) for name in "abcdabcd"]
        assert fetching.wait(10)
        eventually(lambda: process(system, "secrets").open_calls == 8)
        assert rig_store.seen == []
        go.set()
        assert [one.result(10) for one in getting] == list("abcdabcd")
        system.secrets.set("a", "v")
    assert source.fetched == 1
    assert {key_of(context) for context in rig_store.contexts} == {"key 1"}


def test_a_fetch_that_fails_answers_all_who_wait_and_the_next_call_fetches_anew(
    tmp_path: Path, rig_store: RigStore, source: Source
) -> None:
    go, fetching = threading.Event(), threading.Event()

    def fail() -> None:
        fetching.set()
        go.wait(10)
        raise MetadataServiceError("no role here")

    source.fetch_now = fail
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        getting = [in_background(lambda name=name: system.secrets.get(name)) for name in "abcd"]
        assert fetching.wait(10)
        eventually(lambda: process(system, "secrets").open_calls == 4)
        go.set()
        errors = [one.exception(10) for one in getting]
        assert [type(error) for error in errors] == [MetadataServiceError] * 4
        assert len({id(error) for error in errors}) == 4
        assert source.fetched == 1

        source.fetch_now = lambda: None
        assert type(failure(lambda: system.secrets.get("a"))) is SecretNotFound
        assert source.fetched == 2


def test_an_expired_token_costs_one_fetch_and_one_more_try_and_the_caller_nothing(
    tmp_path: Path, rig_store: RigStore, source: Source
) -> None:
    rig_store.put("a", "v")
    refuse(rig_store, ExpiredToken("expired"), "key 1")
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        assert system.secrets.get("a").reveal() == "v"
    assert [key_of(context) for context in rig_store.contexts] == ["key 1", "key 2"]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_credentials_that_are_refused_again_are_an_error(
    tmp_path: Path, rig_store: RigStore, source: Source, refusal: type[CredentialsError]
) -> None:
    refuse(rig_store, refusal("wrong"), "key 1", "key 2", "key 3")
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        assert type(failure(lambda: system.secrets.get("a"))) is refusal
        assert source.fetched == 2


def test_many_whose_token_has_expired_share_the_one_new_fetch(
    tmp_path: Path, rig_store: RigStore, source: Source
) -> None:
    for name in "abcdefgh":
        rig_store.put(name, name)
    together = threading.Barrier(8)

    def check(_operation: Operation[object], context: CallContext) -> None:
        if key_of(context) == "key 1":
            together.wait(10)
            raise ExpiredToken("expired")

    rig_store.before = check
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        getting = [in_background(lambda name=name: system.secrets.get(name).reveal()) for name in "abcdefgh"]
        assert [one.result(10) for one in getting] == list("abcdefgh")
    assert source.fetched == 2


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refused_credentials_that_were_replaced_meanwhile_cost_the_caller_nothing(
    tmp_path: Path, rig_store: RigStore, source: Source, refusal: type[CredentialsError]
) -> None:
    rig_store.put("a", "v")
    refuse(rig_store, refusal("wrong"), "key 1")
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        assert system.secrets.get("a").reveal() == "v"
        system.secrets.set("a", "w")
    assert [key_of(context) for context in rig_store.contexts] == ["key 1", "key 2", "key 2"]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refused_credentials_that_are_still_the_same_are_not_tried_twice(
    tmp_path: Path, rig_store: RigStore, source: Source, refusal: type[CredentialsError]
) -> None:
    source.fetch_now = lambda: Token("old")
    refuse(rig_store, refusal("wrong"), "old")
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        for calls in (1, 2):
            error = failure(lambda: system.secrets.get("a"))
            assert (type(error), str(error)) == (refusal, "wrong")
            assert (len(rig_store.contexts), source.fetched) == (calls, calls + 1)


def test_refused_credentials_for_which_there_are_no_others_are_an_error_of_who_gives_them(
    tmp_path: Path, rig_store: RigStore, source: Source
) -> None:
    rig_store.put("a", "v")

    def no_more() -> None:
        if source.fetched == 2:
            raise MetadataServiceError("no role here")

    source.fetch_now = no_more
    refuse(rig_store, UnrecognizedClient("who?"), "key 1")
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        assert type(failure(lambda: system.secrets.get("a"))) is MetadataServiceError
        assert system.secrets.get("a").reveal() == "v"
    assert source.fetched == 3


def test_many_whose_credentials_were_replaced_share_the_one_new_fetch_though_one_was_refused_late(
    tmp_path: Path, rig_store: RigStore, source: Source
) -> None:
    """The second is refused when the new credentials are here already: it goes with them, and drops them not."""
    for name in "ab":
        rig_store.put(name, name)
    held, go = threading.Event(), threading.Event()

    def check(operation: Operation[object], context: CallContext) -> None:
        if key_of(context) == "key 1":
            if getattr(operation, "secret_id", "") == "b":
                held.set()
                go.wait(10)
            raise UnrecognizedClient("who?")

    rig_store.before = check
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        late = in_background(lambda: system.secrets.get("b").reveal())
        assert held.wait(10)
        assert system.secrets.get("a").reveal() == "a"
        go.set()
        assert late.result(10) == "b"
    assert source.fetched == 2


def test_credentials_that_were_not_refused_are_kept(tmp_path: Path, rig_store: RigStore, source: Source) -> None:
    refuse(rig_store, AccessDenied("no"), "key 1")
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        for _ in range(3):
            assert type(failure(lambda: system.secrets.get("a"))) is AccessDenied
    assert source.fetched == 1


def test_a_job_that_waited_for_a_worker_while_its_credentials_were_refused_goes_with_new_ones(
    tmp_path: Path, rig_store: RigStore, source: Source
) -> None:
    for name in "abc":
        rig_store.put(name, name)
    go, held = threading.Event(), threading.Event()

    def check(_operation: Operation[object], context: CallContext) -> None:
        if key_of(context) == "key 1":
            held.set()
            go.wait(10)
            raise InvalidSignature("wrong")

    rig_store.before = check
    with running(system_with(tmp_path, rig_store, source, max_workers=1), rig_store) as system:
        first = in_background(lambda: system.secrets.get("a").reveal())
        assert held.wait(10)
        rest = [in_background(lambda name=name: system.secrets.get(name).reveal()) for name in "bc"]
        eventually(lambda: process(system, "secrets").open_calls == 3)
        go.set()
        assert [one.result(10) for one in (first, *rest)] == list("abc")
    assert [key_of(context) for context in rig_store.contexts] == ["key 1", "key 2", "key 2", "key 2"]


def test_credentials_that_are_expired_when_they_come_are_an_error_and_not_an_endless_fetch(
    tmp_path: Path, rig_store: RigStore, source: Source
) -> None:
    source.life = timedelta(seconds=-1)
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        error = failure(lambda: system.secrets.get("a"))
        assert type(error) is CredentialsExpired
        assert error.refused
        assert "clock" in str(error)
    assert source.fetched == 1
    assert rig_store.seen == []


def test_credentials_that_are_due_are_used_while_new_ones_are_fetched(
    tmp_path: Path, rig_store: RigStore, source: Source
) -> None:
    """A life so short that credentials are due at once, for its last quarter begins after 0.15 s."""
    source.life = timedelta(seconds=0.2)
    rig_store.put("a", "v")
    with running(system_with(tmp_path, rig_store, source, ttl_seconds=0), rig_store) as system:
        system.secrets.get("a")
        eventually(lambda: system.secrets.get("a") and source.fetched >= 3)
        assert rig_store.count("get") >= 3


def test_a_source_that_crashes_its_worker_three_times_is_given_up(
    tmp_path: Path, rig_store: RigStore, source: Source
) -> None:
    def crash() -> None:
        raise RuntimeError("hunter2")

    source.fetch_now = crash
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        for fetches in (3, 6):
            error = failure(lambda: system.secrets.get("a"))
            assert type(error) is WorkerCrashed
            assert error.error_type == "RuntimeError"
            assert source.fetched == fetches


NAIVE = datetime(2030, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class Odd(Credentials):
    """Credentials that raise when they are compared, and once they have been asked for their *end*."""

    def __init__(self, end: datetime | None, asked: int = 1) -> None:
        self.end, self.left = end, asked

    @property
    def expires_at(self) -> datetime | None:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("hunter2")
        return self.end

    def __eq__(self, other: object) -> bool:
        raise SystemExit("hunter2")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "given",
    ["text", Token("k", NAIVE), Token("k", "soon"), Token("k", None, NAIVE), Odd(None, asked=0)],  # type: ignore[arg-type]
    ids=["text", "naive", "no time", "naive renewal", "raises"],
)
def test_what_is_no_set_of_credentials_is_an_error_of_who_waits_and_ends_nobody(
    tmp_path: Path, rig_store: RigStore, source: Source, given: object, watch: Watch
) -> None:
    source.fetch_now = lambda: given
    with running(System(settings(tmp_path), backend=rig_store.factory(source), observer=watch), rig_store) as system:
        error = failure(lambda: system.secrets.get("a"))
        assert type(error) is InvalidAnswer
        assert "the source of credentials of rig answers wrongly" in str(error)
        assert "hunter2" not in str(error)
        assert watch.count("ProcessCrashed") == 0


@pytest.mark.parametrize("hours", [-5, 0, 5])
@pytest.mark.parametrize("edge", [datetime.min, datetime.max])  # noqa: DTZ901  the zone comes below
def test_an_end_at_the_edge_of_what_a_date_can_be_is_the_past_or_far_away(
    tmp_path: Path, rig_store: RigStore, source: Source, watch: Watch, edge: datetime, hours: int
) -> None:
    rig_store.put("a", "v")
    end = edge.replace(tzinfo=timezone(timedelta(hours=hours)))
    source.fetch_now = lambda: Odd(end)
    with running(System(settings(tmp_path), backend=rig_store.factory(source), observer=watch), rig_store) as system:
        if edge.year > 9000:
            assert system.secrets.get("a").reveal() == "v"
        else:
            assert type(failure(lambda: system.secrets.get("a"))) is CredentialsExpired
        assert watch.count("ProcessCrashed") == 0


def test_the_actor_asks_credentials_for_nothing_that_could_raise(
    tmp_path: Path, rig_store: RigStore, source: Source, watch: Watch
) -> None:
    source.fetch_now = lambda: Odd(datetime.now(UTC) + timedelta(hours=1))

    def refuse(_operation: Operation[object], _context: CallContext) -> None:
        raise ExpiredToken("log in again")

    rig_store.before = refuse
    with running(System(settings(tmp_path), backend=rig_store.factory(source), observer=watch), rig_store) as system:
        assert type(failure(lambda: system.secrets.get("a"))) is ExpiredToken
        assert source.fetched == 2, "what cannot be compared counts as new"
        assert watch.count("ProcessCrashed") == 0


def test_a_fetch_that_hangs_is_cut_off_and_its_callers_told(
    tmp_path: Path, rig_store: RigStore, source: Source
) -> None:
    go = threading.Event()
    source.fetch_now = lambda: go.wait(20) and None
    rig_store.put("a", "v")
    with running(system_with(tmp_path, rig_store, source, call_timeout_seconds=0.4), rig_store) as system:
        assert type(failure(lambda: system.secrets.get("a"))) is DeadlineExceeded
        eventually(lambda: system.tree().disowned)
        go.set()
        eventually(lambda: not system.tree().disowned)
        assert system.secrets.get("a", timeout=10).reveal() == "v"


def test_while_a_fetch_hangs_there_is_no_other_for_a_while_and_nobody_waits_for_it(
    tmp_path: Path, rig_store: RigStore, source: Source
) -> None:
    go = threading.Event()
    source.fetch_now = lambda: go.wait(20) and None
    rig_store.put("a", "v")
    with running(system_with(tmp_path, rig_store, source, call_timeout_seconds=0.4), rig_store) as system:
        try:
            assert type(failure(lambda: system.secrets.get("a", timeout=5))) is DeadlineExceeded
            begun = clock_now()
            for _ in range(10):
                error = failure(lambda: system.secrets.get("a", timeout=5))
                assert type(error) is DeadlineExceeded
                assert "hangs" in str(error)
            assert clock_now() - begun < 0.8
            assert (source.fetched, len(system.tree().disowned)) == (1, 1)
        finally:
            go.set()
        eventually(lambda: not system.tree().disowned)
        assert system.secrets.get("a").reveal() == "v"


def test_the_next_actor_fetches_its_own(tmp_path: Path, rig_store: RigStore, source: Source) -> None:
    rig_store.put("a", "v")
    with running(system_with(tmp_path, rig_store, source), rig_store) as system:
        system.secrets.get("a")
        kill(system, "secrets")
        assert system.secrets.get("a", refresh=True).reveal() == "v"
        eventually(lambda: whole(system))
    assert source.fetched == 2


def test_the_repr_of_credentials_of_anybody_shows_when_they_end_and_nothing_else() -> None:
    class Careless(Credentials):
        def __init__(self, text: str) -> None:
            self.text = text

    class Record(Struct, Credentials):
        text: str
        expires_at: datetime | None = None

    end = datetime(2030, 1, 1, tzinfo=UTC)

    assert repr(Careless("hunter2")) == "Careless(expires_at=None)"
    assert repr(Token("hunter2", end)) == f"Token(expires_at={end!r})"
    assert Record("a", end).expires_at is end
