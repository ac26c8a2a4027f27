"""The secrets of a KV mount as `domain.semantics` wants them: records that it reads, and changes that it wishes for.

Rule 1: nothing is changed here. The semantics decide on what the server says, and the changes that they wish for are
        collected; `writes.py` carries them out, under check-and-set.
Rule 2: one object serves one look: if another writer comes between, a new look is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from secrets_actor.backends.vault import layout
from secrets_actor.backends.vault.kv_session import KvSession
from secrets_actor.backends.vault.layout import KvSecret, View
from secrets_actor.backends.vault.names import checked, common_folder
from secrets_actor.backends.vault.values import fields_of, value_of
from secrets_actor.domain.operations import (
    AWSPREVIOUS,
    FilterKey,
    Get,
    ListPage,
    MoveStage,
    Operation,
    token_of,
)
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics import Entry


class KvRecords:
    """What *operation* sees in the mount, and what it wishes to change there. It is a `semantics.Records`.

    After `find`: `name` is the name that was looked for, `found` what the server knows of it, and `view` the same in
    our terms (None: no secret). After the operation: `kept` is the entry as it should be, `put` the id and value of a
    new version, `removed` whether the secret is to go.
    """

    def __init__(self, session: KvSession, operation: Operation[Any]) -> None:
        self.store_name, self.arn_prefix = session.mount.store_name, session.mount.arn_prefix
        self.name = ""
        self.found: KvSecret | None = None
        self.view: View | None = None
        self.kept: Entry | None = None
        self.put: tuple[str, SecretValue] | None = None
        self.removed = False
        self._session, self._operation = session, operation

    @property
    def is_over(self) -> bool:
        """Whether the secret's recovery window has ended, so that it does not exist for anybody any more."""
        gone = None if self.view is None else self.view.deletion
        return gone is not None and gone.until <= self._session.now

    def find(self, name: str) -> Entry | None:
        session = self._session
        self.name = checked(name)
        found = session.find(name, fresh=self._operation.writes)
        if found is not None and found.partial and isinstance(self._operation, Get):
            found = self._completed(found, self._operation)
        self.found, self.view = found, None
        if found is not None:
            named, lost = _ids(self._operation), session.lost
            self.view = layout.view(found, session.mount, session.now, named, lost)
        return None if self.view is None else self.view.entry

    def _completed(self, found: KvSecret, get: Get) -> KvSecret:
        """Return *found*, which has the latest version only, with the one that is asked for."""
        number = None if get.version_id is None else layout.number_in(get.version_id)
        if number is None and get.version_id is not None:
            number = next((one for one, token in layout.tokens_of(found.custom) if token == get.version_id), None)
        if get.stage == AWSPREVIOUS and number is None:
            number = found.current - 1
        if number is None or not 1 <= number < found.current:
            return found
        other = self._session.find_version(found.name, number)
        return found if other is None else _with_versions(found, (*other.versions, *found.versions))

    def every(self) -> Iterator[Entry]:
        session = self._session
        for found in session.every(_folder(self._operation)):
            seen = layout.view(found, session.mount, session.now)
            if seen is not None:
                yield seen.entry

    def overdue(self, _now: datetime) -> Iterable[Entry]:
        return ()  # nobody purges a mount on the way; `writes.py` does before a name is used anew

    def new_suffix(self) -> str:
        return self._session.mount.suffix(self.name)

    def keep(self, entry: Entry) -> None:
        self.kept = entry

    def remove(self, _entry: Entry) -> None:
        self.removed = True

    def value(self, _entry: Entry, version_id: str) -> SecretValue:
        assert self.view is not None
        session = self._session
        fields = session.fields(self.name, self.view.numbers[version_id], fresh=self._operation.writes)
        given = getattr(self._operation, "value", None)
        # A JSON object that was written as fields comes back as another text. It is the same value nevertheless, and
        # the semantics compare texts.
        if isinstance(given, SecretValue) and fields == fields_of(given, session.store.write_json):
            return given
        return value_of(fields)

    def put_value(self, _entry: Entry, version_id: str, value: SecretValue) -> None:
        self.put = version_id, value

    def drop_values(self, _entry: Entry, _version_ids: Iterable[str]) -> None:
        """The server itself drops the oldest versions (`max_versions`)."""

    def accessed(self, _entry: Entry, _now: datetime) -> None:
        """A KV mount does not know when a value was read."""


def _with_versions(found: KvSecret, versions: tuple[layout.KvVersion, ...]) -> KvSecret:
    return KvSecret(found.name, found.current, versions, found.custom, found.created, found.updated, None, True)


def _folder(operation: Operation[Any]) -> str:
    """Return the folder that has all secrets that *operation* may list. A policy may allow to list only that one."""
    if not isinstance(operation, ListPage):
        return ""
    by_name = [one.values for one in operation.filters if one.key is FilterKey.NAME]
    folders = [common_folder(values) for values in by_name if not any(value.startswith("!") for value in values)]
    return max(folders, key=len, default="")


def _ids(operation: Operation[Any]) -> list[str]:
    """Return the version ids that *operation* names; its token becomes one."""
    named: tuple[str | None, ...] = (token_of(operation),)
    if isinstance(operation, Get):
        named = (operation.version_id,)
    elif isinstance(operation, MoveStage):
        named = (operation.to, operation.remove_from)
    return [one for one in named if one is not None]
