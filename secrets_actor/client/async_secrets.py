# Made from secrets.py by `python -m tests.async_twin`. Change that file, not this one.
"""The client for asyncio: builds the messages, reads the cache without leaving the coroutine, awaits answers.

base_client.py has the rules, and the code that this client shares with the one for threads. A raw value is masked
before anything can raise: no frame of ours shows it in a traceback.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Final, Self, TypeVar

from msgspec.structs import replace

from secrets_actor.actor.error_translation import translated
from secrets_actor.client.aio import awaitable, awaited, settled
from secrets_actor.client.async_administration import AsyncAdministration
from secrets_actor.client.base_client import Asked, BaseClient, withdraw
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import (
    Delete,
    Filter,
    Get,
    Invalidate,
    List,
    ListPage,
    Operation,
    Restore,
    Set,
    SortBy,
)
from secrets_actor.domain.operations.limits import checked_list
from secrets_actor.domain.paging import SeenTokens
from secrets_actor.domain.results import NamedReceipt, SecretBatch, SecretDescription
from secrets_actor.domain.rotation_retry import LoginError, RotationRetry, note_failure
from secrets_actor.domain.secret import DeleteReceipt, Secret, SecretValue, SetReceipt
from secrets_actor.domain.tracing import CallerFacts
from secrets_actor.otp import CallTimeout, From, OtpError, Pid

T = TypeVar("T")
# Seconds between two checks while the actor is being restarted. The registry tells of an actor that comes, but nothing
# tells of a tree that has ended for good.
_RESTART_GLANCE: Final = 0.05


class AsyncSecrets(BaseClient, AsyncAdministration):
    """Gets and sets secrets for coroutines. Any number of event loops may share one client.

    A call that is cancelled, or whose time is over, is withdrawn: a request that has not been sent to the store is not
    sent. A write that was under way may have taken effect all the same. Methods that take a raw value refuse bad input
    when they are called; all other methods refuse it when they are awaited.

    Every method that asks the store takes *timeout*, a number of seconds from 0 to 86,400 (None: the setting
    `call_timeout_seconds`), and raises `DeadlineExceeded` when that time is over. Every error is a `SecretsError`:

    - `InvalidInput`: an argument is wrong, and nothing was sent;
    - `StoreError`: the store answered, and refused (`SecretNotFound`, `AccessDenied`, `Throttled`, ...);
    - `Unreachable`: there was no answer from the store;
    - `LocalStoreError`: the files or the master key of the local store cannot be used;
    - `ServiceError`: the system itself could not answer (`DeadlineExceeded`, `ServerDown`, `Overloaded`, ...).

    A write may have taken effect although it raised. If that is possible, the error has a `token`: repeat the write
    with that token, and it takes effect once.
    """

    # Callbacks and attempts may be plain functions or coroutine functions here.
    _callback, _attempt = staticmethod(awaited), staticmethod(awaitable)

    def for_caller(self, label: str | CallerFacts | None) -> Self:
        """Return this client under another name in the audit log, such as the name of a part of the program.

        *label* has 1 to 256 characters; None: no name. `events.CallerFacts` is a name with facts, which are in the
        audit log, too. Raises `InvalidParameter`.
        """
        twin = type(self)(self._parts, label)
        # Shared: a program that writes under one name and reads under another is to read what it wrote, too.
        twin._unanswered = self._unanswered
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
        """Return the secret with this name or ARN: its AWSCURRENT version, or that of *version_id* or *stage*.

        The answer comes from the cache if the cache has the secret and its TTL is not over; else the store is asked.
        *refresh*: ask the store in any case. *max_age*: ask the store if the cached answer is older than this many
        seconds. *allow_stale*: whether a cached value past its TTL may be returned, with `stale` true, if the store
        cannot answer (None: yes, except with *refresh*).

        Raises `InvalidSecretName`, `SecretNotFound` (no such secret, or no such version), `SecretDeleted` (scheduled
        for deletion), `AccessDenied`, `DecryptionFailed`, `CredentialsError`, `Unreachable`, `DeadlineExceeded`, and
        other `SecretsError`s.
        """
        # A plain get of a cached secret is the hot path: it makes no message. While a write is under way, the actor may
        # have to answer instead (rule 3 of base_client.py): `_recall` finds that out.
        if version_id is None and stage is None and max_age is None and not (refresh or self._unanswered):
            hit = self._hit(secret_id, self._now(), self._note_hit, self._caller)
            if hit is not None:
                return hit
        request = Get(secret_id, version_id, stage, refresh, max_age, allow_stale)
        recalled = self._recall(request)
        return await self.ask(request, timeout=timeout) if recalled is None else recalled

    async def get_many(
        self, secret_ids: Iterable[str], *, refresh: bool = False, timeout: float | None = None
    ) -> SecretBatch:
        """Return the AWSCURRENT versions of many secrets at once.

        The answer has `found`, the secrets by the ids they were asked for, and `errors`, the error for each other id.
        The store is asked for 20 secrets a call, in several calls at a time, and only for those that the cache does not
        have; with *refresh* for all of them. *timeout* is for all calls together.

        Raises an error only if nothing was found and every call failed as a whole, such as with `AccessDenied` or
        `Unreachable`; and `InvalidParameter` for an empty list.
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
        """Make *value* the current version of the secret; create the secret if there is none.

        *value*: text or bytes, 65,536 bytes at most. *description* is set, too, unless it is None. *tags* and
        *kms_key_id* (a KMS key's id, ARN or alias) are used only if this set creates the secret. *restore_on_set*: if
        the secret is scheduled for deletion, restore it first.

        *token* (32 to 64 characters; None: a new UUID) makes the set idempotent, and becomes the version id. If a set
        ends in an error and its outcome is unknown, that error has the `token`: set again with it.

        Raises `InvalidSecretName`; `InvalidSecretValue`; `SecretDeleted` for a secret that is scheduled for deletion,
        unless *restore_on_set*; `SecretExists` if the token was used before with another value; `AccessDenied`,
        `LimitExceeded`, `Unreachable`, `DeadlineExceeded`, and other `SecretsError`s.
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
        """Schedule the secret for deletion, or, with *force*, delete it at once and for good.

        Until *recovery_window* days (7 to 30; None: as configured) are over, `restore` brings the secret back; the
        answer's `deletion_date` is when that time ends. With *force*, a secret that does not exist is no error, as in
        AWS. Raises `SecretNotFound`, `SecretDeleted` if it is scheduled already, `AccessDenied`, and other
        `SecretsError`s.
        """
        return await self.ask(Delete(secret_id, recovery_window=recovery_window, force=force), timeout=timeout)

    async def restore(self, secret_id: str, *, timeout: float | None = None) -> NamedReceipt:
        """Cancel the scheduled deletion of the secret; if none is scheduled, change nothing.

        Raises `SecretNotFound`, also when the recovery window is over.
        """
        return await self.ask(Restore(secret_id), timeout=timeout)

    async def invalidate(self, secret_id: str, *, timeout: float | None = None) -> None:
        """Say that another program has changed the secret: what the cache has of it, in all versions, is outdated.

        The store is asked for the secret when somebody wants it next, and those who have subscribed to it hear of a new
        version. After this returns, no older value is served, but as a stale one if the store cannot answer. The store
        is not asked for this. Raises `InvalidSecretName`, and `ServerDown` if the system does not run.
        """
        await self.ask(Invalidate(secret_id), timeout=timeout)

    async def list(self, *, include_deleted: bool = False, timeout: float | None = None) -> tuple[SecretDescription, ...]:
        """Return all secrets, without values; those that are scheduled for deletion only with *include_deleted*.

        All pages are read before this returns. For very many secrets, or for a choice of them, see `iterate`. AWS may
        miss changes of the last five minutes.
        """
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
        """Iterate over the secrets that fit all *filters*, without values.

        A page is asked for when the loop comes to it, and one page is in memory at a time. *sort_by*: the order (None:
        the store's own); *descending*: the other way round. *page_size*: 1 to 100 secrets. *timeout* is for each page.

        Raises, where a page is asked for, what `list` raises, and `InvalidAnswer` if the pages of the store go round in
        circles.
        """
        first = ListPage(checked_list("filters", filters, "Filters"), sort_by, descending, include_deleted, page_size)
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
        """Return `attempt(secret)`, and try again with a fresh secret if the attempt is refused because of a rotation.

        *login_error* says which errors of the attempt mean a refused login: a type of exception, a tuple of types, or a
        function that takes the exception and returns a bool. After such an error the store is asked for the secret. If
        it has another version, or with *same_version* in any case, the attempt is made again with that, *attempts*
        times (1 to 10) altogether. *timeout* is for each get of the secret; an attempt may take as long as it likes.

        Raises what the last attempt raised, with a note on it if the store could not be asked; what the first get
        raises; and `InvalidParameter`.
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
        asked, seen_tokens = first, SeenTokens()
        while True:
            page = await self.ask(asked, timeout=timeout)
            for each in page.secrets:
                yield each
            if page.next_token is None:
                return
            asked = replace(first, next_token=seen_tokens.first_seen(page.next_token))

    async def ask(self, operation: Operation[T], *, timeout: float | None = None) -> T:
        """Have the secrets actor perform *operation*, wait, and return its answer.

        The client's cache is not looked at first. Every operation that has a method here is also a message, such as
        `Get` and `Describe`; most programs use the methods. Raises `SecretsError`s.
        """
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
                return self._last_resort(asked, ended)  # type: ignore[return-value]  # it returns for a Get only
            await self._await_restart(asked, ended)
            self._ask_anew(asked)

    async def _await_restart(self, asked: Asked[T], ended: OtpError) -> None:
        """Wait until the actor runs again. Raises the caller's error if the tree has ended, or if the time is over."""
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
