"""The local store means what AWS Secrets Manager means."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from secrets_actor.backends.local.backend import LocalBackend
from secrets_actor.backends.local.entry_codec import ARN_PREFIX
from secrets_actor.domain.errors import (
    InvalidRequest,
    SecretExists,
    SecretNotFound,
    UnknownMessage,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Delete, Get, List, Operation, Restore, Set
from secrets_actor.domain.results import SecretDescription
from secrets_actor.domain.secret import SetReceipt, Source
from secrets_actor.domain.semantics.stages import MAX_VERSIONS
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import START, WallClock, do, run_python


def token(number: int) -> str:
    return f"{number:032d}"


def names(backend: LocalBackend, *, include_deleted: bool = False) -> list[str]:
    return [info.name for info in do(backend, List(include_deleted=include_deleted))]


@pytest.mark.parametrize("value", ["hunter2", b"\x00\xff binary", "Grüße \0 日本", b"text as bytes", "x" * 65_536])
def test_a_get_after_a_set_returns_the_value_with_its_type(backend: LocalBackend, value: str | bytes) -> None:
    receipt = do(backend, Set("db/password", value))
    secret = do(backend, Get("db/password"))

    assert secret.reveal() == value
    assert type(secret.reveal()) is type(value)
    assert secret.version_id == receipt.version_id
    assert secret.stages == ("AWSCURRENT",)
    assert secret.created_at == START
    assert secret.source is Source.BACKEND
    assert (secret.age, secret.stale) == (0.0, False)


def test_a_set_without_a_token_makes_a_version_id_of_its_own(backend: LocalBackend) -> None:
    first, second = (do(backend, Set("a", "same")) for _ in range(2))

    assert first.version_id != second.version_id
    Get("a", version_id=first.version_id)  # a version id that a get accepts


def test_a_set_moves_current_and_previous(backend: LocalBackend, clock: WallClock) -> None:
    receipts = []
    for number in range(3):
        receipts.append(do(backend, Set("a", f"value {number}", token=token(number))))
        clock.advance(minutes=1)

    assert [receipt.created for receipt in receipts] == [True, False, False]
    assert do(backend, Get("a")).reveal() == "value 2"
    previous = do(backend, Get("a", stage="AWSPREVIOUS"))
    assert (previous.reveal(), previous.stages) == ("value 1", ("AWSPREVIOUS",))
    oldest = do(backend, Get("a", version_id=token(0)))
    assert (oldest.reveal(), oldest.stages, oldest.created_at) == ("value 0", (), START)


def test_a_set_with_a_used_token_and_the_same_value_changes_nothing(backend: LocalBackend) -> None:
    first = do(backend, Set("a", "one", token=token(1)))
    do(backend, Set("a", "two", token=token(2)))

    assert do(backend, Set("a", "one", token=token(1))) == first
    assert first == SetReceipt("a", first.arn, token(1), created=True)
    assert do(backend, Get("a")).reveal() == "two"


@pytest.mark.parametrize("other", ["two", b"one"])
def test_a_set_with_a_used_token_and_another_value_is_refused(backend: LocalBackend, other: str | bytes) -> None:
    do(backend, Set("a", "one", token=token(1)))

    with pytest.raises(SecretExists, match="take a new token"):
        do(backend, Set("a", other, token=token(1)))

    assert do(backend, Get("a")).reveal() == "one"


def test_a_token_belongs_to_one_secret(backend: LocalBackend) -> None:
    do(backend, Set("a", "one", token=token(1)))
    do(backend, Set("b", "two", token=token(1)))

    assert [do(backend, Get(name, version_id=token(1))).reveal() for name in "ab"] == ["one", "two"]


def test_a_set_repeated_after_a_crash_between_commit_and_answer_writes_once(
    folder: Path, backend: LocalBackend
) -> None:
    died = run_python(
        """
import os, pathlib, signal, sys, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.operations import Set
from secrets_actor.domain.ports import CallContext
backend = local_backend_factory(path=pathlib.Path(sys.argv[1]), recovery_window=30).connect()
backend.perform(Set("a", "one", token=sys.argv[2]), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30))
os.kill(os.getpid(), signal.SIGKILL)
""",
        str(folder),
        token(1),
    )

    assert died.returncode == -9, died.stderr
    receipt = do(backend, Set("a", "one", token=token(1)))
    assert (receipt.version_id, receipt.created) == (token(1), True)
    with pytest.raises(SecretNotFound):  # no second version pushed the first one back
        do(backend, Get("a", stage="AWSPREVIOUS"))


def test_a_secret_is_found_by_its_arn_whole_or_without_the_suffix(backend: LocalBackend) -> None:
    arn = do(backend, Set("db/password", "hunter2")).arn

    assert SecretId(arn).is_arn
    assert SecretId(arn).lanes[0] == "db/password"
    assert arn.startswith(f"{ARN_PREFIX}db/password-")
    for secret_id in (arn, arn[:-7]):
        found = do(backend, Get(secret_id))
        assert (found.name, found.arn, found.reveal()) == ("db/password", arn, "hunter2")


def test_a_name_as_awss_services_give_them_is_of_no_secret_here(backend: LocalBackend) -> None:
    for operation in (Get("rds!db"), Set("rds!db", "new"), Delete("rds!db"), Restore("rds!db")):
        with pytest.raises(SecretNotFound):
            do(backend, operation)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:secretsmanager:us-east-1:000000000000:secret:db/password-aaaaaa",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:db/password-AbCdEf",
        "arn:aws:secretsmanager:us-east-1:000000000000:secret:nothing",
    ],
)
def test_an_arn_of_another_secret_is_not_found(backend: LocalBackend, arn: str) -> None:
    do(backend, Set("db/password", "hunter2"))

    for operation in (Get(arn), Set(arn, "new"), Delete(arn), Restore(arn)):
        with pytest.raises(SecretNotFound):
            do(backend, operation)


def test_a_name_that_looks_like_an_arn_s_end_is_told_apart(backend: LocalBackend) -> None:
    arn = do(backend, Set("a", "short name")).arn
    do(backend, Set("a" + arn[-7:], "long name"))

    assert do(backend, Get(arn)).reveal() == "short name"


def test_a_set_by_arn_updates_the_secret(backend: LocalBackend) -> None:
    first = do(backend, Set("a", "one"))

    second = do(backend, Set(first.arn, "two"))

    assert (second.name, second.arn, second.created) == ("a", first.arn, False)
    assert do(backend, Get("a")).reveal() == "two"


def test_what_is_missing_is_not_found(backend: LocalBackend) -> None:
    do(backend, Set("a", "one", token=token(1)))
    missing: list[Operation[object]] = [
        Get("b"),
        Get("A"),
        Get("a", version_id=token(9)),
        Get("a", stage="AWSPENDING"),
        Delete("b"),
        Restore("b"),
    ]

    for operation in missing:
        with pytest.raises(SecretNotFound):
            do(backend, operation)


def test_version_and_stage_must_agree(backend: LocalBackend) -> None:
    do(backend, Set("a", "one", token=token(1)))
    do(backend, Set("a", "two", token=token(2)))

    assert do(backend, Get("a", version_id=token(1), stage="AWSPREVIOUS")).reveal() == "one"
    with pytest.raises(InvalidRequest, match="does not have stage AWSCURRENT"):
        do(backend, Get("a", version_id=token(1), stage="AWSCURRENT"))


def test_old_versions_without_a_stage_are_pruned(backend: LocalBackend) -> None:
    for number in range(MAX_VERSIONS + 3):
        do(backend, Set("a", f"value {number}", token=token(number)))

    assert do(backend, Get("a", version_id=token(3))).reveal() == "value 3"
    for number in range(3):
        with pytest.raises(SecretNotFound):
            do(backend, Get("a", version_id=token(number)))


def test_a_list_is_sorted_and_tells_all_but_the_value(backend: LocalBackend, clock: WallClock) -> None:
    made = {name: do(backend, Set(name, "hunter2", description=f"about {name}")) for name in ("c", "a", "b/b")}
    clock.advance(days=1)
    second = {"a": do(backend, Set("a", "hunter3")), "b/b": do(backend, Set("b/b", "hunter3", description="anew"))}
    do(backend, Delete("c", recovery_window=8))

    later = START + timedelta(days=1)

    def told(name: str, description: str, deleted_at: datetime | None = None) -> SecretDescription:
        first, versions = made[name], {made[name].version_id: ("AWSCURRENT",)}
        if name in second:
            versions = {first.version_id: ("AWSPREVIOUS",), second[name].version_id: ("AWSCURRENT",)}
        return SecretDescription(
            name,
            first.arn,
            description,
            created_at=START,
            changed_at=later,
            deleted_at=deleted_at,
            versions=versions,
        )

    assert do(backend, List(include_deleted=True, page_size=1)) == (
        told("a", "about a"),
        told("b/b", "anew"),
        told("c", "about c", later),
    )
    assert names(backend) == ["a", "b/b"]


def test_what_one_connection_writes_another_reads_at_once(connect: Connect) -> None:
    one, other = connect(), connect()
    do(one, Set("a", "one"))
    do(other, Set("a", "two"))

    assert do(one, Get("a")).reveal() == "two"
    assert do(one, Get("a", stage="AWSPREVIOUS")).reveal() == "one"


def test_an_operation_of_another_kind_is_refused(backend: LocalBackend) -> None:
    class Rotate(Operation[None]):
        kind = "rotate"

    with pytest.raises(UnknownMessage, match="Rotate"):
        do(backend, Rotate())
