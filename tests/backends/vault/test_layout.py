"""What a KV key means in our terms, and what is written so that it means that."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from secrets_actor.backends.vault import layout
from secrets_actor.backends.vault.layout import KvSecret, KvVersion, Mark
from secrets_actor.backends.vault.names import Mount
from secrets_actor.domain.errors import InvalidAnswer, InvalidRequest, LimitExceeded
from secrets_actor.domain.operations import AWSCURRENT, AWSPREVIOUS
from secrets_actor.domain.operations.limits import check_token
from secrets_actor.domain.semantics import Entry

MOUNT = Mount("secret")
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
T1, T2, T3 = "1" * 32, "2" * 32, "3" * 32
PAST, FUTURE = "2026-11-29T12:00:00.5Z", "2026-12-29T12:00:00Z"


def made_at(number: int) -> str:
    return f"2026-11-{number:02}T10:00:00.961362809Z"


def version(number: int, deleted: str = "", destroyed: bool = False) -> KvVersion:
    return KvVersion(number, made_at(number), deleted, destroyed)


def kv(*versions: KvVersion, current: int | None = None, **custom: str) -> KvSecret:
    latest = (versions[-1].number if versions else 0) if current is None else current
    found = {key.replace("_", "."): text for key, text in custom.items()}
    return KvSecret("db/password", latest, versions, found, datetime(2026, 11, 1, tzinfo=UTC), NOW - timedelta(days=2))


def seen(found: KvSecret, *named: str, lost: tuple[tuple[int, str], ...] = ()) -> layout.View:
    view = layout.view(found, MOUNT, NOW, named, lost)
    assert view is not None
    return view


def own(number: int) -> str:
    return f"vault-{number:04}-202611{number:02}100000961362809"


# --- versions, stages, ids --------------------------------------------------------------------------------------------


def test_the_latest_version_is_current_and_the_one_below_it_the_previous_one() -> None:
    entry = seen(kv(version(1), version(2), version(3))).entry

    assert [one.id for one in entry.versions] == [own(1), own(2), own(3)]
    assert dict(entry.stages) == {AWSCURRENT: own(3), AWSPREVIOUS: own(2)}
    assert [one.made_secret for one in entry.versions] == [True, False, False]
    assert (entry.name, entry.arn, entry.accessed_at) == ("db/password", MOUNT.arn("db/password"), None)
    assert (entry.created_at, entry.changed_at) == (datetime(2026, 11, 1, tzinfo=UTC), NOW - timedelta(days=2))
    assert entry.versions[0].created_at == datetime(2026, 11, 1, 10, 0, 0, 961362, tzinfo=UTC)


def test_a_version_that_cannot_be_read_is_left_out() -> None:
    found = kv(version(1), version(2, PAST), version(3, destroyed=True), version(4, FUTURE))

    view = seen(found)

    assert dict(view.entry.stages) == {AWSCURRENT: own(4), AWSPREVIOUS: own(1)}
    assert dict(view.numbers) == {own(1): 1, own(4): 4}
    assert view.deletion is None


def test_a_secret_whose_latest_version_was_destroyed_has_no_current_one() -> None:
    view = seen(kv(version(1), version(2, destroyed=True)))

    assert dict(view.entry.stages) == {AWSPREVIOUS: own(1)}
    assert view.entry.deletion_date is None


def test_a_secret_may_have_no_version_and_a_version_may_be_gone() -> None:
    assert seen(kv()).entry.versions == ()
    assert dict(seen(kv()).entry.stages) == {}
    assert dict(seen(kv(version(1), current=2)).entry.stages) == {AWSPREVIOUS: own(1)}


def test_a_version_has_the_token_that_it_was_written_with() -> None:
    found = kv(version(1), version(2), version(3), sa_v=f"2={T2},3={T3}")

    view = seen(found)

    assert dict(view.numbers) == {own(1): 1, T2: 2, T3: 3}
    assert dict(seen(found, own(2)).numbers) == {own(1): 1, own(2): 2, T3: 3}
    assert layout.id_of(version(3), found.custom) == T3
    assert layout.id_of(version(1), found.custom) == own(1)


def test_of_several_tokens_the_last_one_is_the_version_s_unless_another_is_named() -> None:
    found = kv(version(1), version(2), sa_v=f"2={T1},2={T2}")

    assert dict(seen(found).numbers) == {own(1): 1, T2: 2}
    assert dict(seen(found, T1).numbers) == {own(1): 1, T1: 2}
    assert dict(seen(found, lost=((2, T2),)).numbers) == {own(1): 1, T1: 2}


def test_a_token_is_the_id_of_one_version_only() -> None:
    assert dict(seen(kv(version(1), version(2), sa_v=f"1={T1},2={T1}")).numbers) == {T1: 1, own(2): 2}


@pytest.mark.parametrize("noted", ["", "2", "x=1", "2=short", f"²={T1}", f"-2={T1}", f"2={T1}!", "=,=", f"2 ={T1}"])
def test_notes_that_are_none_of_ours_count_for_nothing(noted: str) -> None:
    assert dict(seen(kv(version(1), version(2), sa_v=noted)).numbers) == {own(1): 1, own(2): 2}


@given(st.integers(1, 10**9), st.datetimes(), st.integers(0, 999_999_999))
def test_an_id_of_number_and_time_is_a_token_and_leads_back(number: int, at: datetime, nanos: int) -> None:
    fraction = f".{nanos:09}".rstrip("0").rstrip(".")  # as Go writes it
    made = KvVersion(number, f"{at.isoformat(timespec='seconds')}{fraction}Z")

    check_token("version_id", made.id)
    assert layout.number_in(made.id) == number
    assert made.id.endswith(f"{nanos:09}")


def test_other_ids_have_no_number() -> None:
    assert layout.number_in(T1) is None
    assert layout.number_in("vault-0001-2026") is None


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-30", "2026-11-30T00:00:00"])
def test_a_time_that_is_none_is_a_wrong_answer(text: str) -> None:
    for wrong in (text, "2026-13-30T00:00:00Z", "9999-12-31T23:00:00-02:00"):
        with pytest.raises(InvalidAnswer, match="RFC 3339"):
            layout.moment(wrong)
    with pytest.raises(InvalidAnswer, match="RFC 3339"):
        _ = KvVersion(1, text).id


def test_times_are_in_utc() -> None:
    assert layout.moment("2026-11-30T12:00:00+02:00") == datetime(2026, 11, 30, 10, tzinfo=UTC)
    assert layout.moment("2026-11-30T12:00:00.123456789Z").microsecond == 123456


# --- keys without a version -------------------------------------------------------------------------------------------


def test_a_key_without_a_version_is_a_secret_unless_a_create_ended_halfway() -> None:
    assert seen(kv()).entry.name == "db/password"
    assert seen(kv(team="db")).entry.tags == {"team": "db"}
    assert seen(kv(sa_v=f"0=,1={T1}")).entry.versions == ()
    assert layout.view(kv(sa_v=f"1={T1}"), MOUNT, NOW) is None
    assert layout.view(kv(sa_v="1="), MOUNT, NOW) is None
    assert layout.view(kv(version(1), sa_v="1="), MOUNT, NOW) is not None


def test_a_secret_that_was_created_empty_was_not_made_by_its_first_version() -> None:
    (first,) = seen(kv(version(1), sa_v=f"0=,1={T1}")).entry.versions

    assert (first.id, first.made_secret) == (T1, False)


# --- deletions --------------------------------------------------------------------------------------------------------


def test_a_marked_deletion_ends_its_days_after_the_server_s_date() -> None:
    view = seen(kv(version(1, PAST), version(2), version(3, PAST), sa_deleted="window=7;live=2-3"))

    gone = view.deletion
    assert gone is not None
    assert gone.since == datetime(2026, 11, 29, 12, 0, 0, 500000, tzinfo=UTC)
    assert gone.until == gone.since + timedelta(days=7)
    assert (gone.live, gone.foreign) == (frozenset({2, 3}), False)
    # It is told of as it will be after a restore.
    assert dict(view.entry.stages) == {AWSCURRENT: own(3), AWSPREVIOUS: own(2)}
    assert (view.entry.deletion_date, view.entry.deleted_at) == (gone.until, gone.since)
    # Even if another program has changed the metadata since.
    changed = replace(kv(version(1, PAST), sa_deleted="window=7;live=1"), updated=NOW)
    assert seen(changed).entry.deleted_at == gone.since


def test_a_deletion_by_another_program_has_no_end() -> None:
    view = seen(kv(version(1), version(2, PAST)))

    assert view.deletion is not None
    assert (view.deletion.until, view.deletion.foreign, view.deletion.live) == (layout.NEVER, True, frozenset({2}))
    assert dict(view.entry.stages) == {AWSCURRENT: own(2), AWSPREVIOUS: own(1)}


def test_a_mark_of_an_older_deletion_counts_for_nothing() -> None:
    marked = "window=7;live=1-2"

    assert seen(kv(version(1), version(2), sa_deleted=marked)).deletion is None
    written_since = seen(kv(version(2, PAST), version(3), sa_deleted=marked))
    assert written_since.deletion is None
    deleted_since = seen(kv(version(2, PAST), version(3, PAST), sa_deleted=marked)).deletion
    assert deleted_since is not None
    assert deleted_since.foreign


def test_a_secret_without_a_readable_version_is_deleted_if_it_is_marked() -> None:
    for found in (kv(sa_deleted="window=7;live="), kv(version(1, destroyed=True), sa_deleted="window=7;live=1")):
        gone = seen(found).deletion
        assert gone is not None
        assert gone.until == found.updated + timedelta(days=7)
    assert seen(kv(version(1, destroyed=True))).deletion is None


@pytest.mark.parametrize("marked", ["", "window=7", "window=x;live=1", "window=7;live=a", "window=7777;live=1"])
def test_a_mark_that_is_none_of_ours_counts_for_nothing(marked: str) -> None:
    assert layout.mark_of({"sa.deleted": marked}) is None


@pytest.mark.parametrize(
    ("live", "numbers"), [("", set()), ("-", set()), ("2", {2}), ("2-", {2}), ("1,3-4", {1, 3, 4})]
)
def test_the_versions_of_a_mark(live: str, numbers: set[int]) -> None:
    assert layout.mark_of({"sa.deleted": f"window=30;live={live}"}) == Mark(30, frozenset(numbers))


def test_a_mark_with_a_great_number_takes_no_great_memory() -> None:
    for live in ("1-999999999999", "1-99999," * 4000):
        pieces = {f"sa.deleted.{place}": live[at : at + 500] for place, at in enumerate(range(0, len(live), 500), 1)}
        mark = layout.mark_of({"sa.deleted": "window=30;live=", **pieces})

        assert mark is not None
        assert len(mark.live) == 10_000


def test_a_number_of_thousands_of_digits_is_none() -> None:
    pieces = {f"sa.deleted.{place}": "9" * 500 for place in range(1, 20)}

    assert layout.mark_of({"sa.deleted": "window=30;live=3,", **pieces}) == Mark(30, frozenset({3}))
    assert layout.tokens_of({"sa.v": f"{'9' * 9000}={T1},3={T1}"}) == [(3, T1)]


# --- what is written --------------------------------------------------------------------------------------------------


TAGS = st.dictionaries(
    st.text(st.sampled_from("ab +-=._:/@é"), min_size=1, max_size=20).filter(lambda key: not key.startswith("sa.")),
    st.text(st.sampled_from("ab +-=._:/@é"), max_size=40),
    max_size=10,
)


def entry(**given: Any) -> Entry:
    return Entry("db/password", MOUNT.arn("db/password"), NOW, NOW, **given)


def custom(
    before: Mapping[str, str], after: Entry, *tokens: tuple[int, str], mark: Mark | None = None
) -> dict[str, str]:
    return layout.custom_with(before, after, tokens, mark)


@given(st.none() | st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=600), TAGS)
def test_what_is_written_is_read_back(description: str | None, tags: dict[str, str]) -> None:
    mark = Mark(12, frozenset({1, 2, 3, 5, 7, 8}))

    written = custom({}, entry(description=description, tags=tags), (7, T1), (8, T2), mark=mark)

    assert (layout.description_of(written), layout.tags_of(written)) == (description, tags)
    assert layout.tokens_of(written) == [(7, T1), (8, T2)]
    assert layout.mark_of(written) == mark
    for key, text in written.items():  # what the server takes
        assert 1 <= len(text.encode()) <= 512
        assert text.isprintable()
        assert len(key.encode()) <= 128


def test_the_longest_description_fits() -> None:
    for longest in ("x" * 2048, "€" * 2048, "\n" * 2048):
        written = custom({}, entry(description=longest))
        assert layout.description_of(written) == longest
        assert len(written) <= 17


def test_a_patch_has_what_is_new_and_takes_off_what_is_gone() -> None:
    before = {"a": "1", "b": "2", "sa.d": "old", "sa.d.1": "er", "sa.later": "kept", "sa.deleted": "window=7;live=1"}

    wanted = custom(before, entry(description="new", tags={"b": "3", "c": ""}))
    patch = layout.changes(before, wanted)

    assert patch == {"a": None, "b": "3", "sa.d": "new", "sa.d.1": None, "sa.empty": "c", "sa.deleted": None}
    assert layout.changes(wanted, wanted) == {}
    assert not layout.is_housekeeping(patch)
    assert layout.is_housekeeping({"sa.v": "1="})
    assert not layout.is_housekeeping({"sa.deleted": None})
    assert [key for key in patch if layout.is_mark(key)] == ["sa.deleted"]
    assert layout.is_mark("sa.deleted.1")


def test_what_the_server_would_not_take_is_refused_before_it_is_sent() -> None:
    for tags in ({"a\N{NO-BREAK SPACE}b": "x"}, {"a": "b\N{IDEOGRAPHIC SPACE}"}):
        with pytest.raises(InvalidRequest, match="leave it out"):
            custom({}, entry(tags=tags))
    for tags in ({"é" * 65: "x"}, {"a": "€" * 171}):
        with pytest.raises(InvalidRequest, match="too long"):
            custom({}, entry(tags=tags))
    assert custom({"a": "€" * 171}, entry(tags={"a": "€" * 171})), "the server has it already"
    many = {f"{number}": "x" for number in range(60)}
    with pytest.raises(LimitExceeded, match="take tags off"):
        custom({}, entry(tags=many, description="x" * 2600))
    crowded = {f"{number}": "x" for number in range(70)}
    assert custom(crowded, entry(tags=crowded)) == crowded, "nothing is added"
    assert custom({}, entry(tags=many, description="x")), "just so many fit"


def test_tokens_give_way_to_tags() -> None:
    full = {f"{number}": "x" for number in range(64)}
    most = {f"{number}": "x" for number in range(63)}

    assert layout.custom_with(full, entry(tags=full), [(3, T1)], None) == full
    assert layout.custom_with(most, entry(tags=most), [(3, T1)], None) == {**most, "sa.v": f"3={T1}"}
    with pytest.raises(LimitExceeded):
        layout.custom_with(full, entry(tags=full), [(3, T1)], Mark(30, frozenset({1})))


def test_tags_of_ours_are_refused() -> None:
    layout.check_tag_keys(["a", "sa", "saa.b"])
    with pytest.raises(InvalidRequest, match="another key"):
        layout.check_tag_keys(["a", "sa.v"])


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_moves_on_with_its_write() -> None:
    assert layout.tokens_with([], 1, T1) == [(1, T1)]
    assert layout.tokens_with([(1, T1), (2, T2)], 3, T2) == [(1, T1), (3, T2)]
    assert layout.tokens_with([(1, T1), (2, T2)], 2, T2) == [(1, T1), (2, T2)]
    assert layout.tokens_with([(1, "")], 1, "") == [(1, "")]
    assert layout.tokens_with([(1, "")], 2, "") == [(1, ""), (2, "")]


def test_the_latest_tokens_are_kept_and_that_it_was_created_empty() -> None:
    uuids = [f"{number:08}-c745-4ea0-9c9d-a34923929b59" for number in range(30)]
    short = [f"{number:032}" for number in range(30)]
    long = [f"{number:064}" for number in range(30)]
    for tokens, kept in ((uuids, 12), (short, 12), (long, 7)):
        noted: list[tuple[int, str]] = [(0, "")]
        for number, token in enumerate(tokens, 1):
            noted = layout.tokens_with(noted, number, token)
        assert noted[0] == (0, "")
        assert noted[-1] == (30, tokens[-1])
        assert len(noted) == kept + 1
        assert len(custom({}, entry(), *noted)["sa.v"]) <= 512


def test_records_can_be_copied() -> None:
    assert replace(kv(version(1)), partial=True).latest == version(1)
