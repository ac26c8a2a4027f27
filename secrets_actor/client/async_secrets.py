# Made from secrets.py by `python -m tests.async_twin`. Change that file, not this one.
"""The client for asyncio: builds the messages, reads the cache without leaving the coroutine, awaits answers.

What it shares with the client for threads, and the rules, are base_client.py's. A raw value is masked before anything
can raise: no frame of ours shows it in a traceback.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Final, Self, TypeVar

from msgspec.structs import replace

from secrets_actor.actor.failures import translated
from secrets_actor.client.aio import awaitable, awaited, settled
from secrets_actor.client.async_administration import AsyncAdministration
from secrets_actor.client.base_client import Asked, BaseClient, withdraw
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import Delete, Filter, Get, List, ListPage, Operation, Restore, Set, SortBy
from secrets_actor.domain.paging import Trail
from secrets_actor.domain.results import SecretBatch, SecretDescription
from secrets_actor.domain.rotation_retry import LoginError, RotationRetry, note_failure
from secrets_actor.domain.secret import (
    DeleteReceipt,
    RestoreReceipt,
    Secret,
    SecretInfo,
    SecretValue,
    SetReceipt,
)
from secrets_actor.otp import CallTimeout, From, OtpError, Pid

T = TypeVar("T")
# Seconds between two looks at whether an actor that is being restarted, or its whole tree, is there (again).
_RESTART_GLANCE: Final = 0.05


class AsyncSecrets(BaseClient, AsyncAdministration):
    """What a coroutine holds to get and set secrets. Any number of event loops may share one.

    A call that is cancelled or out of time is withdrawn: what has not been sent to the store is not sent. A write that
    was on its way may have taken effect all the same. What takes a raw value refuses bad input when it is called, all
    else when it is awaited.

    Every method takes *timeout* in seconds (0 to 86,400; None: as configured) and raises `DeadlineExceeded` when it is
    over; every error is a `SecretsError`.
    """

    _callback, _attempt = staticmethod(awaited), staticmethod(awaitable)

    def for_caller(self, label: str | None) -> Self:
        """The same, under a name of its own in the audit log: *label* is what a part of the program calls itself, in
        1 to 256 characters. Raises `InvalidParameter`."""
        twin = type(self)(self._parts, label)
        twin._unanswered = self._unanswered  # still the same client
        return twin

    async def get(
        self,
        secret_id: str,
        *,
        version_id: str | None = None,
        stage: str | None = None,
        refresh: bool = False,
        max_age: float | None = None,
        allow_stale: bool | None = None,
        timeout: float | None = None,
    ) -> Secret:
        """The secret with this name or ARN: its AWSCURRENT version unless *version_id* or *stage* says otherwise.

        *refresh* asks the store even when the cache could answer, and so does *max_age* (seconds) when what the cache
        has is older. When the store cannot answer, a value past its TTL will do, marked `stale`, unless *allow_stale*
        is false or *refresh* is asked for. Raises `SecretNotFound`, `SecretDeleted`, `AccessDenied`, `Unreachable` and
        the other `SecretsError`s.
        """
        if version_id is None and stage is None and max_age is None and not (refresh or self._unanswered):
            hit = self._hit(secret_id, self._now(), self._note_hit, self._label)
            if hit is not None:
                return hit
        request = Get(secret_id, version_id, stage, refresh, max_age, allow_stale)
        recalled = self._recall(request)
        return await self.ask(request, timeout=timeout) if recalled is None else recalled

    async def get_many(
        self, secret_ids: Iterable[str], *, refresh: bool = False, timeout: float | None = None
    ) -> SecretBatch:
        """The AWSCURRENT versions of many secrets, 20 a call, several calls at a time: those that were found, and for
        each other one its error. *refresh* asks the store even for those that the cache has.

        Raises what a call as a whole meets, such as `AccessDenied` and `Unreachable`.
        """
        batches = self._batches(secret_ids, refresh, timeout)
        try:
            for chunk, asked in batches.chunks:
                try:
                    batches.arrived(await self._wait(asked))
                except SecretsError as error:
                    batches.failed(chunk, error)
        finally:
            batches.withdraw()
        return batches.result()

    def set(
        self,
        secret_id: str,
        value: str | bytes | SecretValue,
        *,
        token: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        kms_key_id: str | None = None,
        restore_on_set: bool = False,
        timeout: float | None = None,
    ) -> Coroutine[None, None, SetReceipt]:
        """Make *value* the current version of the secret, creating the secret if there is none.

        *token* (32 to 64 characters, a new UUID when None) makes it idempotent: repeat a set whose outcome is unknown
        with the token of its error. *tags* and *kms_key_id* are for a secret that is new. Raises `SecretDeleted` for a
        secret that is scheduled for deletion, unless *restore_on_set*: then it is restored first.
        """
        try:
            masked = SecretValue(value)
        finally:
            del value
        message = Set(secret_id, masked, token, description, tags, kms_key_id, restore_on_set)
        return self.ask(message, timeout=timeout)

    async def delete(
        self,
        secret_id: str,
        *,
        recovery_window: int | None = None,
        force: bool = False,
        timeout: float | None = None,
    ) -> DeleteReceipt:
        """Delete the secret softly, restorable for *recovery_window* days (7 to 30; None: as configured), or, with
        *force*, at once and for good."""
        return await self.ask(Delete(secret_id, recovery_window=recovery_window, force=force), timeout=timeout)

    async def restore(self, secret_id: str, *, timeout: float | None = None) -> RestoreReceipt:
        """Call off a soft delete."""
        return await self.ask(Restore(secret_id), timeout=timeout)

    async def list(self, *, include_deleted: bool = False, timeout: float | None = None) -> tuple[SecretInfo, ...]:
        """All secrets, without values; those scheduled for deletion only with *include_deleted*."""
        return await self.ask(List(include_deleted=include_deleted), timeout=timeout)

    def iterate(
        self,
        filters: Iterable[Filter] = (),
        *,
        sort_by: SortBy | None = None,
        descending: bool | None = None,
        include_deleted: bool = False,
        page_size: int = 100,
        timeout: float | None = None,
    ) -> AsyncIterator[SecretDescription]:
        """Secrets that fit all *filters*, without values, page by page as they are asked for: one page is held at a
        time. *timeout* is for each page."""
        first = ListPage(tuple(filters), sort_by, descending, include_deleted, page_size)
        return self._pages(first, timeout)

    async def retry_on_rotation(
        self,
        secret_id: str,
        attempt: Callable[[Secret], Awaitable[T]],
        *,
        login_error: LoginError,
        attempts: int = 2,
        same_version: bool = False,
        timeout: float | None = None,
    ) -> T:
        """What `attempt(secret)` returns. If it raises a *login_error* (a type, several, or a function that tells), the
        secret may have been rotated: the store is asked anew, and the attempt is made again if there is another version
        (with *same_version* in any case), *attempts* times in all at most (1 to 10).

        Raises what the last attempt raised; a note on it says when the store could not be asked. *timeout* is for each
        get, and for no attempt. Raises `InvalidParameter`, and what the first get raises.
        """
        attempt = self._attempt("attempt", attempt)
        rules = RotationRetry(login_error, attempts, same_version)
        secret, number = await self.get(secret_id, timeout=timeout), 1
        while True:
            try:
                return await attempt(secret)
            except BaseException as error:
                fresh = await self._asked_anew(secret_id, timeout, error) if rules.asks_anew(error, number) else None
                if fresh is None or not rules.goes_again(secret, fresh):
                    raise
            secret, number = fresh, number + 1

    async def _asked_anew(self, secret_id: str, timeout: float | None, refused: BaseException) -> Secret | None:
        try:
            return await self.get(secret_id, refresh=True, timeout=timeout)
        except SecretsError as failure:
            note_failure(refused, failure)
            return None

    async def _pages(self, first: ListPage, timeout: float | None) -> AsyncIterator[SecretDescription]:
        asked, trail = first, Trail()
        while True:
            page = await self.ask(asked, timeout=timeout)
            for each in page.secrets:
                yield each
            if page.next_token is None:
                return
            asked = replace(first, next_token=trail.on_to(page.next_token))

    async def ask(self, operation: Operation[T], *, timeout: float | None = None) -> T:
        """Have the secrets actor perform *operation*, and wait for its answer. Does not look into the cache first."""
        asked = self._asked(operation, timeout)
        try:
            self._send(asked)
            return await self._wait(asked)
        finally:
            if not asked.caller.settled:
                self._cut_off(asked)

    async def _wait(self, asked: Asked[T]) -> T:
        while True:
            try:
                answer = await settled(asked.caller, asked.deadline - self._now())
            except OtpError as error:
                ended = error
            except SecretsError:
                self._answered(asked)
                raise
            else:
                self._answered(asked)
                return answer
            if not self._sends_again(asked, ended):
                return self._last_resort(asked, ended)  # type: ignore[return-value]  # it is a Get, then
            await self._await_restart(asked, ended)
            self._ask_anew(asked)

    async def _await_restart(self, asked: Asked[T], ended: OtpError) -> None:
        """Wait until the actor is there. Raises the error if the tree is gone, or the time is up."""
        while self._parts.running():
            left = asked.deadline - self._now()
            if left <= 0:
                raise self._gone(asked)
            found: From[Pid] = From()
            try:
                self._server.registry.expect(self._server.name, found)
                await settled(found, min(left, _RESTART_GLANCE))
            except CallTimeout:
                continue
            finally:
                withdraw(found)
            return
        raise self._gone(asked, translated(ended, asked.operation))
