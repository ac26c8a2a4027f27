"""Carries out the operations that change something. What each means, `domain.semantics` decides.

Rule 1: every operation looks at the secret first, at the active node. The semantics decide on what is seen; then the
        changes are made, under the condition that nothing has changed since (check-and-set, of the versions and of the
        metadata). If something has, the operation looks and decides anew.
Rule 2: the order of the calls is such that an end between any two of them does no harm, and a repeat heals it. The
        token, tags and description of a write come before its value: a key without a version reads as no secret. The
        mark of a deletion comes before the deletion, and a restore brings the versions back before it takes the mark
        off: without the mark, nobody would know which versions those are.
Rule 3: a write whose check-and-set parameter was refused, and that may have taken effect before, is looked for (doubt).
Rule 4: to keep a token takes the permission to change metadata, and room there. Where the permission is missing, or
        the server does not change metadata as we ask, this is told once. The write goes on without: check-and-set alone
        makes one version of it, unless it is repeated after others wrote.
Rule 5: before a name is used anew whose recovery window has ended, the old secret is removed. That cannot be undone, so
        the server's own clock decides, and not that of this machine.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from secrets_actor.backends.vault import answers, doubt, layout, requests
from secrets_actor.backends.vault.doubt import Seen, Verdict
from secrets_actor.backends.vault.failures import CheckAndSetFailed
from secrets_actor.backends.vault.kv_records import KvRecords
from secrets_actor.backends.vault.kv_session import KvSession
from secrets_actor.backends.vault.layout import Deletion, KvSecret, KvVersion, Mark
from secrets_actor.backends.vault.reads import deleted
from secrets_actor.backends.vault.values import fields_of, value_of
from secrets_actor.domain.errors import AccessDenied, InvalidRequest, SecretDeleted, SecretExists, StoreFailure
from secrets_actor.domain.operations import (
    AWSCURRENT,
    Create,
    CreateEmpty,
    Delete,
    MoveStage,
    Operation,
    Put,
    Set,
    Tag,
    token_of,
)
from secrets_actor.domain.results import ChangeReceipt, NamedReceipt, VersionReceipt
from secrets_actor.domain.secret import DeleteReceipt, SetReceipt
from secrets_actor.domain.semantics import Entry, perform
from secrets_actor.uuids import new_uuid


class _Overtaken(Exception):
    """Raised when something has changed since the operation looked (rule 1). It never leaves this file."""


def carry_out(session: KvSession, operation: Operation[Any]) -> object:
    """Carry *operation* out, and return its answer. Raises what the semantics and the runner raise."""
    _refuse(operation)
    while True:  # until the deadline, which the runner keeps
        records, refused = KvRecords(session, operation), None
        try:
            receipt = decided(session, records, operation)
            return _Change(session, records, operation).make(receipt)
        except (_Overtaken, CheckAndSetFailed):
            session.give_way()
            continue
        except (SecretExists, InvalidRequest) as error:
            refused = error.clone()
        is_of_token = isinstance(refused, SecretExists) and refused.token_used_in is not None
        if is_of_token and _was_overtaken(session, records, operation):
            continue
        receipt = _receipt_of_earlier(session, records, operation)
        if receipt is None:
            raise refused
        return receipt


def decided(session: KvSession, records: KvRecords, operation: Operation[Any]) -> object:
    """Return the answer of the semantics to *operation*, for reads and writes."""
    try:
        return perform(
            records,
            operation,
            session.now,
            new_id=new_uuid() if operation.writes else "",
            recovery_window=session.store.recovery_window,
            choose=secrets.randbelow,
            repeated=session.in_doubt,
        )
    except SecretDeleted as error:
        gone = None if records.view is None else records.view.deletion
        refused = error.clone() if gone is None else deleted(records.name, gone)
    raise refused


def _refuse(operation: Operation[Any]) -> None:
    """Raise `InvalidRequest` for what a KV mount cannot mean."""
    if isinstance(operation, Put) and operation.stages not in ((), (AWSCURRENT,)):
        raise InvalidRequest(
            "OpenBao and Vault have no stages: the newest version is the current one for every reader. Put it without "
            "stages; to try a value first, use a secret of another name"
        )
    if isinstance(operation, MoveStage) and (operation.stage != AWSCURRENT or operation.to is None):
        raise InvalidRequest(
            f"OpenBao and Vault have no stages: only {AWSCURRENT} can be moved, to an older version, whose value is "
            "then written as a new one"
        )
    if isinstance(operation, (Set, Create, CreateEmpty, Tag)):
        layout.check_tag_keys(operation.tags)


def _was_overtaken(session: KvSession, records: KvRecords, operation: Operation[Any]) -> bool:
    """Whether *operation* was refused because its token is at a version that another write has made, which came before
    it. Notes that version, so that the token moves on.

    A token is noted before its write. So it is at the version of another write if that one noted its own token there,
    too; or if a try of this operation ended before it could move it. Any other value of that version means that the
    token was used for another operation, and the refusal stands.
    """
    token, view = token_of(operation), records.view
    number = None if view is None or token is None else view.numbers.get(token)
    if records.found is None or token is None or number is None:
        return False
    noted = [other for at, other in layout.tokens_of(records.found.custom) if at == number]
    if len(noted) < 2 and not session.in_doubt:
        return False
    session.lost.add((number, token))
    return True


def _receipt_of_earlier(
    session: KvSession, records: KvRecords, operation: Operation[Any]
) -> SetReceipt | NamedReceipt | None:
    """Return the receipt of an operation that is refused because an earlier try of it took effect, although no token
    tells so (doubt). None if it did not, as far as one can see."""
    found, view = records.found, records.view
    if not session.in_doubt or found is None or view is None:
        return None
    entry, kept = view.entry, session.store.keeps_token(operation)
    if isinstance(operation, Create):
        if found.current != 1 or not doubt.done_before(
            repeated=True,
            token_kept=kept,
            value_is_current=_fields(session, found.name, 1) == fields_of(operation.value, session.store.write_json),
        ):
            return None
        return SetReceipt(entry.name, entry.arn, entry.versions[-1].id, created=True)
    number = view.numbers.get(operation.to or "") if isinstance(operation, MoveStage) else None
    if number is None or number >= found.current:
        return None
    moved = _fields(session, found.name, number)
    is_current = moved is not None and moved == _fields(session, found.name, found.current)
    return NamedReceipt(entry.name, entry.arn) if is_current else None


def _fields(session: KvSession, name: str, number: int) -> object:
    """Return the fields of a version; None if it cannot be read."""
    answer = session.run(requests.read_call(session.mount, name, number, fresh=True))
    return None if answer.status == 404 else answers.value_in(answer)


class _Change:
    """The calls that make the changes that the semantics wish for in *records*."""

    def __init__(self, session: KvSession, records: KvRecords, operation: Operation[Any]) -> None:
        self._session, self._records, self._operation = session, records, operation
        self._mount, self._name, self._before = session.mount, records.name, records.found
        # The secret as it exists for callers: not if its window is over.
        self._was = None if records.view is None or records.is_over else records.view.entry
        self._keeps = session.store.keeps_token(operation)

    def make(self, receipt: Any) -> object:
        """Make them, and return *receipt* with what only the server knows."""
        session, records = self._session, self._records
        if records.removed or (isinstance(self._operation, Delete) and self._operation.force):
            if self._before is not None:
                session.run(requests.remove_call(self._mount, self._name))
            return receipt
        kept = records.kept
        if kept is None:
            return receipt
        if self._was is None and records.is_over:
            self._purge()
        fields = self._new_fields(kept)
        if fields is not None and self._is_done_before(fields):
            assert self._before is not None
            assert self._before.latest is not None
            return self._named(receipt, self._before.latest, repeats=True)
        if kept.deletion_date is not None:
            return self._schedule(kept, receipt)
        # A mark is taken off by a restore only. Without one, it is of a deletion that is under way, and may be all that
        # tells which versions that takes; or it counts for nothing (layout.py, rule 5).
        mark = None if self._before is None else layout.mark_of(self._before.custom)
        if self._was is not None and self._was.deletion_date is not None:
            self._bring_back()
            mark = None
        self._write_metadata(kept, mark, writes_value=fields is not None)
        if fields is None:
            return receipt
        made = self._write_value(fields)
        return self._named(receipt, made)

    # --- values ---------------------------------------------------------------------------------------------------

    @property
    def _follows(self) -> int:
        return 0 if self._before is None else self._before.current

    def _new_fields(self, kept: Entry) -> Mapping[str, Any] | None:
        records, session = self._records, self._session
        if records.put is not None:
            return fields_of(records.put[1], session.store.write_json)
        wished = kept.stages.get(AWSCURRENT)
        if records.view is None or self._was is None or wished in (None, self._was.stages.get(AWSCURRENT)):
            return None
        # Moved to an older version: it is written anew, field by field, for another program may read the fields.
        fields = session.fields(self._name, records.view.numbers[wished], fresh=True)
        value_of(fields)  # what cannot be read here is not made the current version
        assert isinstance(fields, Mapping)
        return fields

    def _is_done_before(self, fields: Mapping[str, Any]) -> bool:
        session = self._session
        if not session.repeated or self._keeps or not self._follows or self._was is None:
            return False
        is_current = _fields(session, self._name, self._follows) == fields
        return doubt.done_before(repeated=True, token_kept=False, value_is_current=is_current)

    def _write_value(self, fields: Mapping[str, Any]) -> KvVersion:
        session, follows = self._session, self._follows
        try:
            return answers.version_made(session.run(requests.write_call(self._mount, self._name, fields, follows)))
        except CheckAndSetFailed:
            pass
        found = self._look_for(follows + 1, fields) if session.in_doubt else None
        if found is None:
            session.lost.add((follows + 1, token_of(self._operation) or ""))
            raise _Overtaken
        return found

    def _look_for(self, number: int, fields: Mapping[str, Any]) -> KvVersion | None:
        """Return version *number*, if it is the one that this write of *fields* has made; None if not."""
        session, current = self._session, None
        while True:
            answer = session.run(requests.read_call(self._mount, self._name, number, fresh=True))
            found = answers.version_read(self._name, answer)
            token_kept = found is not None and (number, token_of(self._operation)) in layout.tokens_of(found.custom)
            if found is None:
                seen = Seen.ABSENT
                known = session.find(self._name, fresh=True)
                if known is None or self._is_made_anew(known):  # somebody has removed the whole secret
                    return None
                current = known.current
            elif answer.status == 404:
                seen = Seen.DELETED
            else:
                seen = Seen.OURS if answers.value_in(answer) == fields else Seen.OTHER
            match doubt.verdict(seen, token_kept=token_kept, current=current, number=number):
                case Verdict.DONE:
                    assert found is not None
                    return found.versions[0]
                case Verdict.START_OVER:
                    return None
                case Verdict.UNKNOWN:
                    raise self._unknown()
                case Verdict.LOOK_AGAIN:
                    session.pause()

    def _is_made_anew(self, known: KvSecret) -> bool:
        """Whether *known* is another secret than the one that was looked at: its versions may be fewer."""
        before = self._before
        if before is None:
            return False
        if before.partial or known.partial:  # then the date is that of a version
            return known.current < before.current
        return known.created != before.created

    def _unknown(self) -> StoreFailure:
        error = StoreFailure(
            f"nobody knows whether secret {self._name} was written: the answer was lost, and the server keeps that "
            "version no more; read the secret, and set it again if need be"
        )
        error.token, error.retryable = token_of(self._operation), False
        return error

    def _named(self, receipt: Any, made: KvVersion, *, repeats: bool = False) -> object:
        """Return *receipt* with the id of the version *made*. *repeats*: it had been made before."""
        token = token_of(self._operation)
        version_id = token if self._keeps and token is not None else made.id
        if isinstance(receipt, SetReceipt):
            return replace(receipt, version_id=version_id, created=receipt.created or (repeats and made.number == 1))
        if isinstance(receipt, (VersionReceipt, ChangeReceipt)):
            return replace(receipt, version_id=version_id)
        return receipt

    # --- metadata -------------------------------------------------------------------------------------------------

    def _write_metadata(self, kept: Entry, mark: Mark | None, *, writes_value: bool) -> None:
        if self._was is None:
            self._create(kept, writes_value=writes_value)
            return
        assert self._before is not None
        custom = self._before.custom
        tokens = layout.tokens_of(custom)
        if writes_value and self._keeps:
            token = token_of(self._operation)
            assert token is not None
            if not self._follows and not tokens:
                tokens = [(0, "")]
            tokens = layout.tokens_with(tokens, self._follows + 1, token)
        wanted = layout.custom_with(custom, kept, tokens, mark)
        self._keeps = self._keeps and layout.TOKENS in wanted
        patch = layout.changes(custom, wanted)
        # The mark may be there already, of another delete. It is written nevertheless: a restore that has looked before
        # must not take it off after this deletion.
        if not patch and not isinstance(self._operation, Delete):
            return
        call = requests.patch_call(self._mount, self._name, patch, self._before.metadata_version)
        try:
            if self._session.run(call).status == 404:
                raise _Overtaken
            return
        except (AccessDenied, InvalidRequest):
            if not layout.is_housekeeping(patch):
                raise
        self._give_tokens_up()

    def _create(self, kept: Entry, *, writes_value: bool) -> None:
        """Make a key without a version, if there is something to keep beside the value."""
        token = token_of(self._operation) if self._keeps else None
        asked = bool(kept.tags or kept.description)
        if writes_value and not asked and token is None:
            return  # the write of the value makes the key
        # A create that has ended halfway, or is under way, has left its token there.
        noted = [] if self._before is None else layout.tokens_of(self._before.custom)
        tokens = layout.tokens_with(noted, 1, token or "") if writes_value else []
        custom = layout.custom_with({}, kept, tokens, None)
        self._keeps = self._keeps and layout.TOKENS in custom
        follows = 0 if self._before is None else self._before.metadata_version
        try:
            self._session.run(requests.create_call(self._mount, self._name, custom, follows))
            return
        except (AccessDenied, InvalidRequest):
            if asked or not writes_value:
                raise
        self._give_tokens_up()

    def _give_tokens_up(self) -> None:
        self._keeps = False
        self._session.store.tokens_are_lost()

    # --- deletions ------------------------------------------------------------------------------------------------

    def _schedule(self, kept: Entry, receipt: DeleteReceipt) -> DeleteReceipt:
        assert self._before is not None
        assert isinstance(self._operation, Delete)
        days = self._operation.recovery_window
        live = _live(self._before, self._session)
        mark = Mark(self._session.store.recovery_window if days is None else days, live)
        self._write_metadata(kept, mark, writes_value=False)
        if live:
            self._session.run(requests.delete_call(self._mount, self._name, live))
        while True:
            # The server dates the deletion, and somebody may have restored the secret or written a version since the
            # look.
            after = self._session.find(self._name, fresh=True)
            if after is None:
                raise _Overtaken
            noted = layout.mark_of(after.custom)
            marked = frozenset() if noted is None else noted.live
            if not live <= marked:
                # A restore came between our mark and our deletion, and has taken the mark off. Nobody else knows what
                # our deletion took.
                self._mark_anew(after, kept, Mark(mark.window, live | marked))
                continue
            gone = layout.deletion(after, self._session.now)
            if gone is None or gone.foreign:
                raise _Overtaken
            return replace(receipt, deletion_date=gone.until)

    def _mark_anew(self, after: KvSecret, kept: Entry, mark: Mark) -> None:
        wanted = layout.custom_with(after.custom, kept, layout.tokens_of(after.custom), mark)
        patch = {key: text for key, text in layout.changes(after.custom, wanted).items() if layout.is_mark(key)}
        with suppress(CheckAndSetFailed):  # then the next look tells
            self._session.run(requests.patch_call(self._mount, self._name, patch, after.metadata_version))

    def _bring_back(self) -> None:
        gone = None if self._records.view is None else self._records.view.deletion
        if gone is not None and gone.live:
            self._session.run(requests.undelete_call(self._mount, self._name, gone.live))

    def _purge(self) -> None:
        """Remove the old secret, and look anew (rule 5)."""
        gone = None if self._records.view is None else self._records.view.deletion
        assert gone is not None
        assert self._before is not None
        if not purge(self._session, self._before, gone):
            raise deleted(self._name, gone)
        raise _Overtaken


def purge(session: KvSession, found: KvSecret, gone: Deletion) -> bool:
    """Remove a secret for good if its window has ended by the server's clock. Return whether that was so (rule 5).

    A change of the metadata that changes nothing makes the server date it. Check-and-set sees to it that it is still
    the same secret. Raises `CheckAndSetFailed` if it is not.
    """
    call = requests.patch_call(session.mount, found.name, {}, found.metadata_version)
    if session.run(call).status == 404:
        return True
    touched = session.find(found.name, fresh=True)
    if touched is None:
        return True
    if touched.updated < gone.until or touched.current != found.current:
        return False
    session.run(requests.remove_call(session.mount, found.name))
    return True


def _live(found: KvSecret, session: KvSession) -> frozenset[int]:
    """Return the versions that a restore has to bring back: those that can be read now, and those that an earlier
    deletion of ours took, if another program has written since."""
    mark = layout.mark_of(found.custom)
    marked = frozenset() if mark is None else mark.live
    return frozenset(
        one.number
        for one in found.versions
        if not one.destroyed and (layout.is_alive(one, session.now) or one.number in marked)
    )


def sweep(session: KvSession) -> Iterator[str]:
    """Remove all secrets whose recovery window has ended, and yield the name of each."""
    for found in list(session.every()):
        gone = layout.deletion(found, session.now)
        if gone is None or gone.until > session.now:
            continue
        try:
            removed = purge(session, found, gone)
        except CheckAndSetFailed:
            continue  # it has changed meanwhile: somebody uses it
        if removed:
            yield found.name
