"""What callers may prove to hold: named tokens, and key pairs that AWS's SDKs sign with. Both are read from files or
variables.

Rule 1: a file that has changed is read anew. The value before it stays good for `GRACE` seconds, because the caller and
        the daemon do not see the new file at the same moment.
Rule 2: a file that is gone, empty or unreadable later changes nothing: the value that was read last stays good, and the
        observer is told. At the start it is an error.
Rule 3: at most once in `LOOK` seconds a request looks whether the files have changed, which is one `stat` for each.
Rule 4: a token is compared with all tokens in constant time. Its SHA-256 is kept, and not the token.
Rule 5: no repr, event or error shows a token or a key; they name it, and say where it comes from.
"""

import hashlib
import hmac
import os
import re
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.local.files import create_once
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.events import FACES, TokenReadFailed, TokenRenewed
from secrets_actor.faces.sigv4_check import FoundKey, KeyOwner, Keys
from secrets_actor.otp import Observer
from secrets_actor.paths import NoPlace, expanded
from secrets_actor.small_files import Problem, read

# Seconds for which a token or key is still good after its file has got another one.
GRACE: Final = 60.0
# Seconds between two looks at the files.
LOOK: Final = 1.0
MINT_KEY_BYTES: Final = 32
# Characters of a token or key: as much as a header of the daemon may have, with room for the others.
_MAX_TOKEN: Final = 4096
# What a header can carry, without blanks at the ends.
_TOKEN: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")


class _Renewed:
    """One value that is read anew when its file changes (rules 1 and 2). For one thread at a time."""

    def __init__(self, subject: str, source: KeySource, observe: Observer) -> None:
        self._subject, self._source, self._observe = subject, source, observe
        self._path = _path_of(source)
        self._seen = self._state()
        self._told: str | None = None
        found = _value_in(source)
        if isinstance(found, str):
            raise ConfigurationError((f"daemon: {subject}: {found}",))
        self._current, self._before = found, list[tuple[SecretValue, float]]()

    def follow(self, before: "_Renewed", now: float) -> None:
        """Keep what *before*, of the same subject in the configuration before, has good at *now* (clock seconds)."""
        self._before = [(value, end) for value, end in before._before if now < end and value != self._current]
        if before._current != self._current:
            self._before.append((before._current, now + GRACE))

    def look(self, now: float) -> bool:
        """Read the value anew if its file has changed, at *now* (clock seconds). Return whether what is good has
        changed."""
        left = [(value, end) for value, end in self._before if now < end]
        changed, self._before = len(left) != len(self._before), left
        seen = self._state()
        if seen == self._seen:
            return changed
        self._seen = seen
        found = _value_in(self._source)
        if isinstance(found, str):
            self._tell(found)
            return changed
        self._told = None
        if found != self._current:
            self._before.append((self._current, now + GRACE))
            self._current, changed = found, True
            self._observe(TokenRenewed(FACES, self._subject))
        return changed

    def good(self) -> tuple[SecretValue, ...]:
        """Return the values that are good now, the newest first."""
        return (self._current, *[value for value, _ in reversed(self._before)])

    def _tell(self, problem: str) -> None:
        if problem != self._told:  # once, and not once a second
            self._told = problem
            self._observe(TokenReadFailed(FACES, self._subject, problem))

    def _state(self) -> tuple[int, int, int, int] | None:
        """Return which file is there and in which state; None if there is none."""
        if self._path is None:
            return None
        try:
            found = os.stat(self._path)
        except (OSError, ValueError):
            return None
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


class _Watched:
    """Values that are read anew together (rule 3). For any thread.

    *named* has the subject and the place of each. Of a value that has kept its subject, what *before* has good, the
    values of the configuration before, stays good for a while.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, KeySource]],
        clock: Callable[[], float],
        observe: Observer,
        before: "_Watched | None",
    ) -> None:
        self._now = clock
        self._looking = threading.Lock()
        self._look_at = clock() + LOOK
        self._values = {subject: _Renewed(subject, source, observe) for subject, source in named}
        for subject, value in self._values.items():
            if before is not None and subject in before._values:
                value.follow(before._values[subject], clock())

    def _look(self) -> bool:
        """Look at the files if it is time to. Return whether a value has changed. A thread that comes while another one
        looks goes on with what is known."""
        now = self._now()
        if now < self._look_at or not self._looking.acquire(blocking=False):
            return False
        try:
            self._look_at = now + LOOK
            changes = [value.look(now) for value in self._values.values()]  # each of them, also after one has changed
            return any(changes)
        finally:
            self._looking.release()


class Tokens(_Watched):
    """Named tokens, such as the one that the clients of the agent's face send in a header.

    *named* has a name and a place for each. *before* are those of the configuration before: of a token that has kept
    its name, the value before is good for a while. Raises `ConfigurationError` if a value is missing, empty,
    unreadable, or the same as another one.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, KeySource]],
        clock: Callable[[], float],
        observe: Observer,
        before: "Tokens | None" = None,
    ) -> None:
        given = tuple(named)
        self._names = {f"token {name}": name for name, _ in given}
        super().__init__([(f"token {name}", source) for name, source in given], clock, observe, before)
        current = {subject: value.good()[0] for subject, value in self._values.items()}
        for subject, one in current.items():
            first = next(other for other, value in current.items() if value == one)
            if first != subject:
                raise ConfigurationError((f"daemon: {subject}: the same as {first}; make another one",))
        self._digests = self._known()

    @property
    def names(self) -> frozenset[str]:
        """The names of all tokens."""
        return frozenset(self._names.values())

    def name_of(self, given: str) -> str | None:
        """Return the name of the token *given*, a header's value decoded as Latin-1; None if there is no such token."""
        if self._look():
            self._digests = self._known()
        digest = hashlib.sha256(given.encode("latin-1", "replace")).digest()
        found = None
        for known, name in self._digests:  # all of them: the time tells nothing of which one it is
            if hmac.compare_digest(known, digest) and found is None:
                found = name
        return found

    def _known(self) -> tuple[tuple[bytes, str], ...]:
        """Return the digests of all values that are good, with their names. Those that were replaced come last: what
        one token was before may be another's now."""
        good = {name: self._values[subject].good() for subject, name in self._names.items()}
        newest = [(values[0], name) for name, values in good.items()]
        replaced = [(value, name) for name, values in good.items() for value in values[1:]]
        return tuple([(hashlib.sha256(value.bytes()).digest(), name) for value, name in (*newest, *replaced)])

    def __repr__(self) -> str:
        return f"<Tokens [{', '.join(sorted(self.names))}]>"


class StaticKeys(_Watched):
    """Key pairs from the configuration.

    *named* has a name, an access key id and the place of the secret key for each. *before* are those of the
    configuration before: of a pair that has kept name and id, the secret key before is good for a while. Raises
    `ConfigurationError` as `Tokens` does.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, str, KeySource]],
        clock: Callable[[], float],
        observe: Observer,
        before: "StaticKeys | None" = None,
    ) -> None:
        given = tuple(named)
        self._owners = {access_key_id: KeyOwner(name) for name, access_key_id, _ in given}
        subjects = [(_subject(access_key_id, name), source) for name, access_key_id, source in given]
        super().__init__(subjects, clock, observe, before)

    def find(self, access_key_id: str, session_token: str | None, _now: datetime) -> FoundKey | None:
        """Do what `Keys.find` says. A static key has no session token."""
        self._look()
        owner = self._owners.get(access_key_id)
        if owner is None or session_token is not None:
            return None
        return FoundKey(owner, self._values[_subject(access_key_id, owner.key)].good())

    def __repr__(self) -> str:
        return f"<StaticKeys [{', '.join(sorted([owner.key for owner in self._owners.values()]))}]>"


def _subject(access_key_id: str, name: str) -> str:
    return f"key {name} ({access_key_id})"


class HasNames(Protocol):
    """What knows the names of the tokens that are good."""

    @property
    def names(self) -> frozenset[str]:
        """The names of all tokens."""


class AllKeys:
    """The keys that requests may be signed with: those of the configuration, and minted ones. A minted key whose caller
    had shown a token ends when the configuration has no token of that name any more."""

    def __init__(self, static: Keys, minted: Keys, tokens: HasNames) -> None:
        self._static, self._minted, self._tokens = static, minted, tokens

    def find(self, access_key_id: str, session_token: str | None, now: datetime) -> FoundKey | None:
        """Do what `Keys.find` says."""
        if session_token is None:
            return self._static.find(access_key_id, None, now)
        found = self._minted.find(access_key_id, session_token, now)
        if found is not None and found.owner.token is not None and found.owner.token not in self._tokens.names:
            return None
        return found


_ANEW: Final = ": remove it, and start the daemon again, which makes another"


def mint_key(path: Path) -> SecretValue:
    """Return the key of the mint in the file *path*, which is made if there is none: minted keys survive a restart of
    the daemon. Raises `ConfigurationError`."""
    found: bytes | Problem | None = None
    try:
        create_once(path, lambda: os.urandom(MINT_KEY_BYTES))
    except OSError as error:
        problem = (
            f"cannot be made ({error.strerror}): see that the daemon may write to its folder, and that there is room"
        )
    else:
        found = read(path, MINT_KEY_BYTES, private=True)
        if isinstance(found, bytes):
            if len(found) == MINT_KEY_BYTES:
                return SecretValue(found)
            problem = f"has {len(found)} bytes in place of {MINT_KEY_BYTES}{_ANEW}"
        else:
            problem = f"{'is gone again' if found is None else found}{_ANEW}"
    del found  # a traceback may show the variables of this frame
    raise ConfigurationError((f"{path} {problem}",))


def _path_of(source: KeySource) -> Path | None:
    if source.kind != "file":
        return None
    try:
        return expanded(source.reveal())
    except NoPlace:
        return None  # reading it tells so


def _value_in(source: KeySource) -> SecretValue | str:
    """Return the value in *source*, or a text that says what is wrong."""
    found = source.read()
    if found is None:
        return f"no value in {source.description}; write one to it"
    if not isinstance(found, str):
        return f"{source.description} {found}"
    if len(found) <= _MAX_TOKEN and _TOKEN.fullmatch(found) is not None:
        return SecretValue(found)
    return f"{source.description} holds a line break, or what no header may, or more than {_MAX_TOKEN} characters"
