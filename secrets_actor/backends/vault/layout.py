"""What a secret in a KV mount means in our terms: its versions, stages, ids, description, tags and deletion. PURE.

Rule 1: one KV key is one secret, and its KV versions are our versions. Other programs read and write the same keys. So
        nothing is kept that they could not see, and whatever they wrote has a meaning here.
Rule 2: stages are computed, and never stored. AWSCURRENT is on the latest version, because every other program takes
        that one. AWSPREVIOUS is on the highest readable version below it.
Rule 3: the id of a version is the token that it was written with, if the `custom_metadata` knows that token. Else it is
        made of the version's number and time, which stand in every answer. The numbers of a secret that was made anew
        begin at 1 again, but its times differ.
Rule 4: what KV has no room for is in `custom_metadata`, under keys that begin with `sa.`; all other keys are tags.
        The server takes 64 keys, 128 bytes for a key, and 1 to 512 printable bytes for a value. A longer text is cut
        into pieces: `sa.d`, `sa.d.1`, `sa.d.2`.
Rule 5: a secret is deleted if its latest version is deleted and not destroyed. So other programs and we agree about it.
        The mark `sa.deleted` tells for how many days it can be restored, and which versions a restore brings back. The
        days are counted from the server's own date of the deletion: the clock of this machine may be wrong, and a
        secret that was purged is gone. A mark whose versions do not have the latest one among them is of an older
        deletion, and counts for nothing.
Rule 6: a key without a version may be a secret that was created without a value; or a create may have ended between its
        two calls. The second one has left a token for version 1 in `sa.v`, and none for version 0.

    sa.v        0=,7=TOKEN,8=TOKEN    the tokens of versions, the latest ones; version 0: it was created without a value
    sa.d        text                  the description; what is not printable, and %, is percent-encoded
    sa.empty    key,key               the tags whose value is empty, which the server does not take
    sa.deleted  window=30;live=3-4,6  days until it may be purged, and the versions that a restore brings back
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, unquote

from msgspec import Struct

from secrets_actor.backends.vault.names import Mount
from secrets_actor.domain.errors import InvalidAnswer, InvalidRequest, LimitExceeded
from secrets_actor.domain.operations import AWSCURRENT, AWSPREVIOUS
from secrets_actor.domain.semantics import Entry, Version

OURS: Final = "sa."
TOKENS, DESCRIPTION, EMPTY, MARK = "sa.v", "sa.d", "sa.empty", "sa.deleted"
# Limits of `custom_metadata` in OpenBao's and Vault's KV plugin: keys; bytes of a key and of a value.
MAX_KEYS: Final = 64
MAX_KEY_BYTES: Final = 128
MAX_VALUE_BYTES: Final = 512
# How many tokens are kept. Twelve UUIDs with their numbers take 480 bytes, and so fit in one value.
MAX_TOKENS: Final = 12
# The server's numbers of versions have 64 bits.
MAX_DIGITS: Final = 20
# The end of the recovery window of a secret that another program deleted: nobody purges that.
NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
_TOKEN: Final = re.compile(r"[A-Za-z0-9-]{32,64}")
_OWN_ID: Final = re.compile(r"vault-([0-9]{4,})-([0-9]{23})")
_MOMENT: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|[+-]\d\d:\d\d)")
_MARKED: Final = re.compile(r"window=([0-9]{1,3});live=([0-9,-]*)")
_RANGE: Final = re.compile(r"([0-9]{1,20})(?:-([0-9]{0,20}))?")
# How many versions a mark may name. Anybody may have written it, and to read it must not take long.
_MAX_LIVE: Final = 10_000
_NO_CUSTOM: Final[Mapping[str, str]] = {}


class KvVersion(Struct, frozen=True):
    """A version as the server tells of it. *created* and *deleted* are its times as it writes them (RFC 3339, up to
    nanoseconds); *deleted* is empty if it is not, and may lie in the future (`delete_version_after`)."""

    number: int
    created: str
    deleted: str = ""
    destroyed: bool = False

    @property
    def id(self) -> str:
        """The id of the version, if its token is not known (rule 3). It is as a token is: 32 to 64 characters."""
        return f"vault-{self.number:04d}-{_stamp(self.created)}"


class KvSecret(Struct, frozen=True):
    """All that the server tells of the key *name*, without values.

    *current* is the number of the latest version, 0 if there was none yet. *versions* has those that the server keeps,
    the oldest first. *metadata_version* counts changes of the metadata (None: a server that does not count them).
    *partial*: it is known from a read of its value, so only that version is in it.
    """

    name: str
    current: int
    versions: tuple[KvVersion, ...]
    custom: Mapping[str, str]
    created: datetime
    updated: datetime
    metadata_version: int | None = None
    partial: bool = False

    @property
    def latest(self) -> KvVersion | None:
        """The latest version, if the server keeps it."""
        return next((one for one in self.versions if one.number == self.current), None)


class Mark(Struct, frozen=True):
    """The mark of a deletion: *window* in days, and the numbers of the versions that were *live* before it."""

    window: int
    live: frozenset[int]


class Deletion(Struct, frozen=True):
    """A deletion: *since* when, *until* when it can be restored, and the *live* versions that a restore brings back.
    *foreign*: another program deleted the secret, and nobody purges it."""

    since: datetime
    until: datetime
    live: frozenset[int]
    foreign: bool = False


class View(Struct, frozen=True):
    """A secret in our terms. *numbers* has the number of each version by its id."""

    entry: Entry
    numbers: Mapping[str, int]
    deletion: Deletion | None


# --- from the server's terms to ours ------------------------------------------------------------------------------


def view(
    found: KvSecret,
    mount: Mount,
    now: datetime,
    named: Iterable[str] = (),
    lost: Iterable[tuple[int, str]] = (),
) -> View | None:
    """Return *found* in our terms; None if it only looks like a secret (rule 6).

    *named* are ids that the caller has for versions. A version with one of them is told of by that one: a version has
    several ids, of which the caller knows one. *lost* are pairs of number and token that are known to be wrong: another
    write has made that version.
    """
    if not found.current and _is_intent(found.custom):
        return None
    gone = deletion(found, now)
    readable = [one for one in found.versions if not one.destroyed and (is_alive(one, now) or _comes_back(one, gone))]
    pairs = [pair for pair in tokens_of(found.custom) if pair not in frozenset(lost)]
    ids = _ids(readable, pairs, frozenset(named))
    # With a token for version 0, the secret was made without a value, and the first version did not make it.
    first = 0 if (0, "") in tokens_of(found.custom) else 1
    versions = tuple([Version(ids[one.number], moment(one.created), one.number == first) for one in readable])
    stages: dict[str, str] = {}
    below = [*readable]
    if below and below[-1].number == found.current:
        stages[AWSCURRENT] = ids[below.pop().number]
    if below:
        stages[AWSPREVIOUS] = ids[below[-1].number]
    changes = [found.updated, *(one.created_at for one in versions), *(() if gone is None else (gone.since,))]
    entry = Entry(
        found.name,
        mount.arn(found.name),
        found.created,
        # A deletion is the last change (`Entry.deleted_at`), even where another program changed the metadata after it.
        max(changes) if gone is None else gone.since,
        description_of(found.custom),
        tags_of(found.custom),
        None if gone is None else gone.until,
        None,
        versions,
        stages,
    )
    return View(entry, {ids[one.number]: one.number for one in readable}, gone)


def is_alive(version: KvVersion, now: datetime) -> bool:
    """Whether the value of *version* can be read."""
    return not version.destroyed and (not version.deleted or moment(version.deleted) > now)


def deletion(found: KvSecret, now: datetime) -> Deletion | None:
    """Return the deletion of the secret, or None (rule 5)."""
    latest, mark = found.latest, mark_of(found.custom)
    if latest is not None and is_alive(latest, now):
        return None
    if latest is None or latest.destroyed:
        # Nothing tells a deleted secret from one without a value but the mark.
        return None if mark is None else _marked(mark, found.updated)
    if mark is not None and latest.number in mark.live:
        return _marked(mark, moment(latest.deleted))
    return Deletion(moment(latest.deleted), NEVER, frozenset({latest.number}), foreign=True)


def _marked(mark: Mark, since: datetime) -> Deletion:
    return Deletion(since, since + timedelta(days=mark.window), mark.live)


def _comes_back(version: KvVersion, gone: Deletion | None) -> bool:
    return gone is not None and version.number in gone.live


def _ids(readable: Iterable[KvVersion], pairs: list[tuple[int, str]], named: frozenset[str]) -> dict[int, str]:
    ids: dict[int, str] = {}
    for one in readable:
        tokens = [token for number, token in pairs if number == one.number and token and token not in ids.values()]
        known = [text for text in (one.id, *tokens) if text in named]
        ids[one.number] = (*tokens[-1:], one.id)[0] if not known else known[0]
    return ids


def id_of(version: KvVersion, custom: Mapping[str, str]) -> str:
    """Return the id of *version* (rule 3)."""
    return _ids((version,), tokens_of(custom), frozenset())[version.number]


def number_in(version_id: str) -> int | None:
    """Return the number in a version id that is made of number and time; None for any other id."""
    found = _OWN_ID.fullmatch(version_id)
    return None if found is None else int(found[1])


def is_number(text: str) -> bool:
    """Whether *text* can be the number of a version. Python refuses to read numbers of thousands of digits."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


def moment(text: str) -> datetime:
    """Return the moment that the server's *text* means, in UTC. Raises `InvalidAnswer`."""
    try:
        if _MOMENT.fullmatch(text) is not None:
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidAnswer("the server's answer has a time that is not in the form of RFC 3339: is this OpenBao or Vault?")


def _stamp(text: str) -> str:
    """Return the server's time *text* as 23 digits. The server leaves zeros at the end out."""
    parts = _MOMENT.fullmatch(text)
    if parts is None:
        moment(text)  # raises
    assert parts is not None
    return "".join(parts.groups()[:6]) + (parts[7] or "").ljust(9, "0")


# --- custom_metadata, read ----------------------------------------------------------------------------------------


def tokens_of(custom: Mapping[str, str]) -> list[tuple[int, str]]:
    """Return the pairs of version number and token, in their order. A token may be empty.

    Several may be for one number: each is noted before its write, and only one of these writes makes the version. The
    others move on with their tokens, unless their programs end. So it is most likely the last one: what was noted
    before it, and is still there, is of a program that has ended.
    """
    pairs = []
    for part in custom.get(TOKENS, "").split(","):
        number, equals, token = part.partition("=")
        if equals and is_number(number) and (not token or _TOKEN.fullmatch(token)):
            pairs.append((int(number), token))
    return pairs


def _is_intent(custom: Mapping[str, str]) -> bool:
    numbers = {number for number, _ in tokens_of(custom)}
    return bool(numbers) and 0 not in numbers


def description_of(custom: Mapping[str, str]) -> str | None:
    """Return the description, or None."""
    return unquote(_joined(custom, DESCRIPTION)) or None


def tags_of(custom: Mapping[str, str]) -> dict[str, str]:
    """Return the tags."""
    tags = {key: text for key, text in custom.items() if not key.startswith(OURS)}
    empty = _joined(custom, EMPTY)
    return {**tags, **{unquote(key): "" for key in empty.split(",") if key}}


def mark_of(custom: Mapping[str, str]) -> Mark | None:
    """Return the mark of a deletion, or None."""
    found = _MARKED.fullmatch(_joined(custom, MARK))
    if found is None:
        return None
    live: list[int] = []
    for part in found[2].split(","):
        run = _RANGE.fullmatch(part)
        if run is not None:
            first, last = int(run[1]), int(run[2] or run[1])
            live += range(first, min(last + 1, first + _MAX_LIVE - len(live)))
    return Mark(int(found[1]), frozenset(live))


def _joined(custom: Mapping[str, str], key: str) -> str:
    pieces, place = [custom.get(key, "")], 1
    while f"{key}.{place}" in custom:
        pieces.append(custom[f"{key}.{place}"])
        place += 1
    return "".join(pieces)


# --- custom_metadata, to be written -------------------------------------------------------------------------------


def custom_with(
    before: Mapping[str, str], entry: Entry, tokens: Iterable[tuple[int, str]], mark: Mark | None
) -> dict[str, str]:
    """Return the `custom_metadata` of a secret that is to be as *entry* says. Keys of ours that this file does not know
    are kept as they are in *before*: a later version of this program may have written them. The tokens are left out if
    there is no room for them: no write has to fail for that.

    Raises `InvalidRequest` and `LimitExceeded` for what the server would not take.
    """
    known = {TOKENS, DESCRIPTION, EMPTY, MARK}
    wanted = {key: text for key, text in before.items() if key.startswith(OURS) and _base(key) not in known}
    wanted |= {key: text for key, text in entry.tags.items() if text}
    kept = ",".join([f"{number}={token}" for number, token in tokens])
    empty = ",".join([_escaped(key) for key, text in entry.tags.items() if not text])
    described = _escaped(entry.description or "")
    marked = "" if mark is None else f"window={mark.window};live={_ranges(mark.live)}"
    for key, text in ((TOKENS, kept), (DESCRIPTION, described), (EMPTY, empty), (MARK, marked)):
        for place, piece in enumerate(_pieces(text)):
            wanted[f"{key}.{place}" if place else key] = piece
    if len(wanted) > MAX_KEYS and TOKENS not in before:
        wanted.pop(TOKENS, None)
    _check(entry.name, before, wanted)
    return wanted


def changes(before: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str | None]:
    """Return what makes *wanted* of *before*, as a JSON merge patch has it: None removes a key."""
    added: dict[str, str | None] = {key: text for key, text in wanted.items() if before.get(key) != text}
    return {**added, **{key: None for key in before if key not in wanted}}


def is_housekeeping(patch: Mapping[str, str | None]) -> bool:
    """Whether *patch* only keeps a token: nothing that anybody asked for is lost without it."""
    return patch.keys() <= {TOKENS}


def is_mark(key: str) -> bool:
    """Whether *key* has the mark of a deletion, or a piece of it."""
    return _base(key) == MARK


def tokens_with(before: Iterable[tuple[int, str]], number: int, token: str) -> list[tuple[int, str]]:
    """Return the tokens *before* with *token* for the version *number*. A token is for one version: that of an earlier
    try, which another write came before, is removed."""
    left = [pair for pair in before if pair[1] != token or not token]
    own = (number, token)
    after = left if own in left else [*left, own]
    first = [pair for pair in after[:1] if pair[0] == 0]  # that it was created without a value stays known
    rest = after[len(first) :][-MAX_TOKENS:]
    while len(",".join([f"{one}={text}" for one, text in (*first, *rest)])) > MAX_VALUE_BYTES:
        rest = rest[1:]
    return [*first, *rest]


def _check(name: str, before: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for key, text in wanted.items():
        if before.get(key) == text:
            continue  # the server took it before
        if not (key.isprintable() and text.isprintable()):
            raise InvalidRequest(
                f"a tag of secret {name} has a character that OpenBao and Vault do not take, such as a space that is "
                "not the ordinary one: leave it out"
            )
        if len(key.encode()) > MAX_KEY_BYTES or len(text.encode()) > MAX_VALUE_BYTES:
            raise InvalidRequest(
                f"a tag of secret {name} is too long for OpenBao and Vault: a key has {MAX_KEY_BYTES} bytes of UTF-8 "
                f"at most, a value {MAX_VALUE_BYTES}"
            )
    if len(wanted) > MAX_KEYS and wanted.keys() != before.keys():
        raise LimitExceeded(
            f"secret {name} would have {len(wanted)} keys of metadata, and OpenBao and Vault take {MAX_KEYS}: our own "
            "notes are among them, also the description; take tags off"
        )


def check_tag_keys(tags: Iterable[str]) -> None:
    """Raise `InvalidRequest` if one of the keys is kept for us."""
    if any(key.startswith(OURS) for key in tags):
        raise InvalidRequest(f"a tag whose key begins with {OURS} is one of this program's own notes: take another key")


def _base(key: str) -> str:
    """Return the key that *key* is a piece of: `sa.d` for `sa.d.3`."""
    base, _, place = key.rpartition(".")
    return base if base and place.isdigit() else key


def _escaped(text: str) -> str:
    return "".join([one if one.isprintable() and one != "%" else quote(one, safe="") for one in text])


def _pieces(text: str) -> list[str]:
    """Cut *text* into pieces that fit into one value each. An empty text has none."""
    pieces, size = list[list[str]](), MAX_VALUE_BYTES
    for one in text:
        length = len(one.encode())
        if size + length > MAX_VALUE_BYTES:
            pieces.append([])
            size = 0
        pieces[-1].append(one)
        size += length
    return ["".join(piece) for piece in pieces]


def _ranges(numbers: Iterable[int]) -> str:
    """Return *numbers* as text, such as `3-4,6`."""
    runs = list[list[int]]()
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join([f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs])
