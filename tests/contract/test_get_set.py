"""Set, then get: values come back as they were given, and a token makes one version."""

from datetime import UTC, datetime, timedelta

import pytest

from secrets_actor.domain.errors import InvalidAnswer, SecretExists, SecretNotFound
from secrets_actor.domain.operations import AWSCURRENT, Delete, Describe, Get, Put, Set
from secrets_actor.domain.secret import SecretValue, SetReceipt, Source
from tests.contract.store import Store, failure, new_token, outcome


def test_a_get_after_a_set_returns_the_value(store: Store) -> None:
    receipt = store.set(store.name(), "hunter2")

    secret = store.get(store.name())

    assert secret.reveal() == "hunter2"
    assert (secret.name, secret.arn, secret.version_id) == (store.name(), receipt.arn, receipt.version_id)
    assert secret.stages == (AWSCURRENT,)
    assert (secret.age, secret.stale, secret.source) == (0.0, False, Source.BACKEND)


def test_a_version_was_made_just_now_in_utc(store: Store) -> None:
    store.set(store.name(), "hunter2")

    made = store.get(store.name()).created_at

    assert made.tzinfo is UTC
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=1)


def test_the_first_set_creates_and_the_second_does_not(store: Store) -> None:
    first = store.set(store.name(), "one")
    second = store.set(store.name(), "two")

    assert (first.created, second.created) == (True, False)
    assert (first.name, second.name) == (store.name(), store.name())
    assert first.arn == second.arn
    assert first.version_id != second.version_id


def test_a_get_after_a_second_set_returns_the_second_value(store: Store) -> None:
    store.set(store.name(), "one")
    receipt = store.set(store.name(), "two")

    secret = store.get(store.name())

    assert (secret.reveal(), secret.version_id) == ("two", receipt.version_id)


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "pass word\n\twith\r\nblanks ",
        'quotes " and \\ and {"json": [1, 2.50]}',
        "Grüße, 世界, \N{PILE OF POO}, e\N{COMBINING ACUTE ACCENT}, \N{RIGHT-TO-LEFT OVERRIDE}, \x00\x1f\x7f, \ufffd",
        bytes(range(256)),
        b"\x00",
        b"text that stays bytes",
        b"\xff\xfe\xed\xa0\x80",
    ],
    ids=["a", "blanks", "quotes", "unicode", "all-bytes", "zero", "ascii-bytes", "not-utf8"],
)
def test_a_value_comes_back_as_it_was_given(store: Store, value: str | bytes) -> None:
    store.set(store.name(), value)

    assert store.get(store.name()).value == SecretValue(value)


@pytest.mark.parametrize(
    "value", ["x" * 65_536, "\N{EURO SIGN}" * 21_845 + "x", bytes(range(256)) * 256], ids=["ascii", "unicode", "bytes"]
)
def test_a_value_of_the_greatest_size_comes_back_whole(store: Store, value: str | bytes) -> None:
    store.set(store.name(), value)

    assert store.get(store.name()).value == SecretValue(value)


def test_text_may_become_bytes_and_bytes_text(store: Store) -> None:
    store.set(store.name(), "text")
    store.set(store.name(), b"bytes")
    assert store.get(store.name()).reveal() == b"bytes"

    store.set(store.name(), "text again")

    assert store.get(store.name()).reveal() == "text again"


def test_a_secret_is_found_by_its_arn_too(store: Store) -> None:
    receipt = store.set(store.name(), "hunter2")

    secret = store.get(receipt.arn)

    assert (secret.reveal(), secret.name, secret.arn) == ("hunter2", store.name(), receipt.arn)


def test_a_secret_is_set_by_its_arn_too(store: Store) -> None:
    arn = store.set(store.name(), "one").arn

    receipt = store.set(arn, "two")

    assert (receipt.name, receipt.arn, receipt.created) == (store.name(), arn, False)
    assert store.get(store.name()).reveal() == "two"


@pytest.mark.parametrize("suffix", ["a", "A", "with/slashes/in.it", "_+=.@-", "ends-in-abc123", "x" * 480])
def test_every_name_that_the_rules_allow_is_kept_apart(store: Store, suffix: str) -> None:
    store.set(store.name("a-neighbour"), "neighbour")
    store.set(store.name(suffix), "own")

    assert store.get(store.name(suffix)).reveal() == "own"
    assert store.get(store.name("a-neighbour")).reveal() == "neighbour"


def test_names_differ_by_case(store: Store) -> None:
    store.set(store.name("Case"), "upper")
    store.set(store.name("case"), "lower")

    assert store.get(store.name("Case")).reveal() == "upper"
    assert store.get(store.name("case")).reveal() == "lower"


def test_the_token_of_a_set_becomes_the_version_id(store: Store) -> None:
    tokens = [new_token(), new_token()]

    receipts = [store.set(store.name(), "value", token=token) for token in tokens]

    if store.diverges("token-is-version-id"):
        assert not {receipt.version_id for receipt in receipts} & set(tokens)
    else:
        assert [receipt.version_id for receipt in receipts] == tokens
    assert store.get(store.name()).version_id == receipts[1].version_id


@pytest.mark.parametrize("there_before", [False, True], ids=["new-secret", "new-version"])
def test_the_same_token_and_value_again_change_nothing(store: Store, there_before: bool) -> None:
    if there_before:
        store.set(store.name(), "before")
    token = new_token()
    first = store.set(store.name(), "value", token=token)

    again = store.set(store.name(), "value", token=token)

    if store.diverges("same-token-same-value"):
        assert again.version_id != first.version_id
    else:
        assert (again.version_id, again.arn) == (first.version_id, first.arn)
    assert store.get(store.name()).version_id == again.version_id


def test_a_set_repeated_late_does_not_undo_a_newer_one(store: Store) -> None:
    token = new_token()
    store.set(store.name(), "one", token=token)
    newer = store.set(store.name(), "two")

    store.set(store.name(), "one", token=token)

    current = store.get(store.name())
    if store.diverges("same-token-same-value"):
        assert current.reveal() == "one"
    else:
        assert (current.reveal(), current.version_id) == ("two", newer.version_id)


@pytest.mark.parametrize("there_before", [False, True], ids=["new-secret", "new-version"])
def test_the_same_token_with_another_value_is_refused(store: Store, there_before: bool) -> None:
    if there_before:
        store.set(store.name(), "before")
    token = new_token()
    store.set(store.name(), "value", token=token)

    if store.diverges("same-token-other-value"):
        store.set(store.name(), "other", token=token)
        assert store.get(store.name()).reveal() == "other"
    else:
        refusal = failure(lambda: store.set(store.name(), "other", token=token))
        assert type(refusal) is SecretExists
        assert store.get(store.name()).reveal() == "value"


def test_eight_sets_with_one_token_at_once_make_one_version(store: Store) -> None:
    token = new_token()
    store.set(store.name(), "before")

    answers = store.at_once([Set(store.name(), SecretValue("value"), token) for _ in range(8)])

    versions = {answer.version_id for answer in answers if isinstance(answer, SetReceipt)}
    assert [answer for answer in answers if isinstance(answer, BaseException)] == []
    assert len(versions) == (8 if store.diverges("same-token-same-value") else 1)
    assert store.get(store.name()).reveal() == "value"


def test_eight_sets_of_a_new_name_at_once_all_end_and_one_creates(store: Store) -> None:
    answers = store.at_once([Set(store.name(), SecretValue(f"value {one}"), new_token()) for one in range(8)])

    odd = [answer for answer in answers if not isinstance(answer, SetReceipt)]
    if store.diverges("token-is-version-id"):  # whose version is gone at once, too, cannot be told from a stray answer
        odd = [answer for answer in odd if not isinstance(answer, InvalidAnswer)]
    assert odd == []
    assert sum(answer.created for answer in answers if isinstance(answer, SetReceipt)) <= 1
    store.sees(store.names, [store.name()])


def test_readers_beside_a_writer_see_whole_values(store: Store) -> None:
    values = ["a" * 60_000, "b" * 60_000]
    store.set(store.name(), values[0])

    answers = store.at_once(
        [Set(store.name(), SecretValue(values[1]), new_token()), *(Get(store.name()) for _ in range(5))]
    )

    assert {answer.reveal() for answer in answers[1:]} <= set(values)
    assert store.get(store.name()).reveal() == values[1]


def test_connections_of_one_kit_see_each_others_writes(store: Store) -> None:
    other = store.factory.connect()
    try:
        store.set(store.name(), "hunter2")
        theirs = Store(store.where, store.factory, other, store.prefix)
        assert theirs.get(store.name()).reveal() == "hunter2"

        theirs.set(store.name(), "changed")

        assert store.get(store.name()).reveal() == "changed"
    finally:
        other.close()


def test_a_secret_is_found_by_its_name_its_arn_and_its_arn_without_suffix(store: Store) -> None:
    arn = store.set(store.name(), "hunter2").arn

    for secret_id in (store.name(), arn, arn[:-7]):
        assert (store.get(secret_id).name, store.get(secret_id).arn) == (store.name(), arn)
    assert type(failure(lambda: store.get(f"{arn[:-7]}-XxXxXx"))) is SecretNotFound


@pytest.mark.parametrize("suffix", ["prod-apikey", "prod-a_b.c="])
def test_an_arn_without_suffix_that_reads_like_a_whole_one_is_taken_for_one(store: Store, suffix: str) -> None:
    """The user guide: a name that ends in a hyphen and six characters is not to be looked for by such an ARN."""
    arn = store.set(store.name(suffix), "hunter2").arn
    store.set(store.name("prod"), "another")
    assert store.get(arn).name == store.name(suffix)

    for operation in (
        Get(arn[:-7]),
        Describe(arn[:-7]),
        Put(arn[:-7], "two", token=new_token()),
        Delete(arn[:-7]),
    ):
        found = outcome(lambda operation=operation: store.ask(operation).value.name)
        if store.diverges("partial-arn-like-a-whole-one"):
            assert found == store.name(suffix)
        else:
            assert type(found) is SecretNotFound
