"""The questions of one operation to a KV mount, and what all connections of a factory have learnt about the mount.

Rule 1: what can be learnt is learnt once, and shared: whether the server can scan, whether metadata may be patched, and
        whether the mount is one of version 2.
Rule 2: the server dates deletions by its own clock, and this machine's may be behind it. A version that is deleted must
        not be taken for one that will be deleted later. So no moment here is earlier than the date of the last answer.
Rule 3: to read metadata takes a permission of its own. Where it is missing, a secret is looked up by a read of its
        value, which tells of the latest version only.
"""

import random
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from secrets_actor.backends.http.http_date import http_date
from secrets_actor.backends.vault import answers, requests
from secrets_actor.backends.vault.layout import KvSecret
from secrets_actor.backends.vault.names import Mount
from secrets_actor.backends.vault.protocol import VaultAnswer, VaultCall
from secrets_actor.backends.vault.values import WriteJson
from secrets_actor.clock import utc_now
from secrets_actor.domain.errors import AccessDenied, InvalidRequest, SecretNotFound
from secrets_actor.domain.operations import Operation, Set, is_minted, token_of

if TYPE_CHECKING:
    from secrets_actor.backends.vault.call_runner import CallRunner

# Seconds before a node that is behind is asked again. It takes tens of milliseconds to catch up.
BEHIND: Final = 0.02
# Seconds: the most that an operation waits which another writer has overtaken, for the first time and at the longest.
# A write takes some milliseconds. Without pauses of random length, programs that set one secret start over in step: one
# set was seen to take seven seconds.
OVERTAKEN: Final = 0.01
LONGEST_OVERTAKEN: Final = 0.25
# A Date header leaves the fraction of the second out.
_FRACTION: Final = timedelta(seconds=1)
# Where the tokens of writes are kept: in the metadata; or nowhere, if the token was made for the message.
Idempotency = Literal["metadata", "cas"]


class KvStore:
    """One KV mount, as all connections of a factory share it. For any thread.

    *recovery_window* is in days, for deletes that name none. *on_tokens_lost* is called once, when it turns out that
    the token of no write can be kept, because metadata may not be patched.
    """

    def __init__(
        self,
        mount: Mount,
        *,
        recovery_window: int,
        write_json: WriteJson = "value",
        idempotency: Idempotency = "metadata",
        on_tokens_lost: Callable[[], object] = lambda: None,
        wall_clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.mount, self.recovery_window, self.write_json = mount, recovery_window, write_json
        self.wall_clock = wall_clock
        self._idempotency, self._on_tokens_lost = idempotency, on_tokens_lost
        self._lock = threading.Lock()
        self._keeps_tokens = True
        # Each is set once, by whoever finds out; two may find out the same.
        self.scans = True
        self.is_known = False
        # The folders that a policy forbids to scan.
        self.unscannable = set[str]()
        # The folders whose secrets the server does not tell of by one call: Vault's, and those that a policy closes.
        self.closed_folders = set[str]()

    def keeps_token(self, operation: Operation[object]) -> bool:
        """Whether the token of *operation* is to be kept, so that a late repeat of it is known."""
        if token_of(operation) is None or not self._keeps_tokens:
            return False
        return self._idempotency == "metadata" or not (isinstance(operation, Set) and is_minted(operation))

    def tokens_are_lost(self) -> None:
        """Metadata may not be patched: from now on no token is kept."""
        with self._lock:
            first, self._keeps_tokens = self._keeps_tokens, False
        if first:
            self._on_tokens_lost()


class KvSession:
    """The exchanges of one operation. `request_id` and `origin` are those of the last answer.

    *pause* waits for seconds, unless the connection is closed. *repeated*: the operation may have taken effect before,
    because a worker ended over it. `lost` has the numbers of versions, with our token, that another write has made.
    """

    def __init__(self, store: KvStore, runner: "CallRunner", pause: Callable[[float], None], *, repeated: bool) -> None:
        self.store, self.mount, self.repeated = store, store.mount, repeated
        self.request_id: str | None = None
        self.origin: str | None = None
        self.lost: set[tuple[int, str]] = set()
        self._runner, self._pause = runner, pause
        self._overtaken = 0
        self._date: str | None = None

    @property
    def now(self) -> datetime:
        """The moment, in UTC (rule 2)."""
        here, there = self.store.wall_clock(), http_date(self._date)
        return here if there is None else max(here, there + _FRACTION)

    @property
    def in_doubt(self) -> bool:
        """Whether an earlier attempt of this operation may have taken effect."""
        return self.repeated or self._runner.in_doubt

    def run(self, call: VaultCall) -> VaultAnswer:
        """Return the answer to *call*: one of success, or one of 404. Raises only `SecretsError`s."""
        answer = self._runner.run(call)
        self.request_id, self.origin = answer.request_id or self.request_id, answer.origin or self.origin
        self._date = answer.date or self._date
        return answer

    def pause(self) -> None:
        """Wait a moment, for a node that is behind."""
        self._pause(BEHIND)

    def give_way(self) -> None:
        """Wait for a random time, because another writer has come between. The time grows with each call."""
        ceiling = min(OVERTAKEN * 2.0 ** min(self._overtaken, 16), LONGEST_OVERTAKEN)
        self._overtaken += 1
        self._pause(ceiling * random.random())  # noqa: S311  jitter

    def find(self, name: str, *, fresh: bool = False) -> KvSecret | None:
        """Return what the server knows of the secret; None if there is none (rule 3)."""
        try:
            answer = self.run(requests.metadata_call(self.mount, name, fresh=fresh))
        except AccessDenied:
            pass
        else:
            found = answers.metadata(name, answer)
            if found is None:
                self.check_mount()
            return found
        return self.find_version(name, fresh=fresh)

    def find_version(self, name: str, number: int | None = None, *, fresh: bool = False) -> KvSecret | None:
        """Return what a read of a version (None: the latest one) tells of the secret; None if there is none."""
        return answers.version_read(name, self.run(requests.read_call(self.mount, name, number, fresh=fresh)))

    def fields(self, name: str, number: int, *, fresh: bool = False) -> object:
        """Return the fields of a version. Raises `SecretNotFound` if it cannot be read any more."""
        answer = self.run(requests.read_call(self.mount, name, number, fresh=fresh))
        if answer.status == 404:
            raise SecretNotFound(f"version {number} of secret {name} in {self.mount.store_name} was just removed")
        return answers.value_in(answer)

    def every(self, folder: str = "") -> Iterator[KvSecret]:
        """Iterate over all secrets in *folder* and below it, and perhaps over others: by one call, where the server can
        scan, else by a call for each folder and each secret."""
        # A policy may allow to scan the root, and not the folder: then the caller picks what it wants from more.
        for place in dict.fromkeys((folder, "")):
            answer = self._scanned(place)
            if answer is not None:
                found = list(answers.all_secrets(place, answer))
                if not found:  # a KV mount of version 1 answers a scan like an empty one of version 2
                    self.check_mount()
                yield from found
                return
        yield from self._walk(folder)

    def _scanned(self, folder: str) -> VaultAnswer | None:
        """Return the answer to a scan of *folder*; None if there is none to be had."""
        store = self.store
        if not store.scans or folder in store.unscannable:
            return None
        try:
            return self.run(requests.scan_call(self.mount, folder))
        except InvalidRequest:  # Vault knows no scan
            store.scans = False
        except AccessDenied:  # a policy may allow `list` only, or the scan of other folders
            store.unscannable.add(folder)
        return None

    def _walk(self, folder: str) -> Iterator[KvSecret]:
        folders = [folder]
        while folders:
            here = folders.pop()
            names, below = answers.names_in(here, self.run(requests.list_call(self.mount, here)))
            folders += below
            for name in names:
                found = answers.metadata(name, self.run(requests.metadata_call(self.mount, name)))
                if found is not None:  # it may have gone meanwhile
                    yield found
        self.check_mount()

    def check_mount(self) -> None:
        """Raise `InvalidRequest` if the mount is not a KV mount of version 2.

        It is asked once, and not before something is not found: a mount of version 1 answers as if it were empty.
        """
        if self.store.is_known:
            return
        try:
            version = answers.mount_version(self.run(requests.mount_call(self.mount)))
        except (AccessDenied, InvalidRequest):  # the token may not ask: then nothing is known against the mount
            self.store.is_known = True
            return
        if version != "2":
            what = "no KV mount" if version is None else f"a KV mount of version {version}"
            raise InvalidRequest(
                f"{self.mount.store_name} is {what}, and this program needs version 2: check vault.mount, or upgrade "
                f"it: bao kv enable-versioning {self.mount.path}"
            )
        self.store.is_known = True
