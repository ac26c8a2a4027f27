"""Copies one secret from the source to the target: reads both, plans, writes, and reads back.

Rule 1: no write is taken on trust: afterwards the target is read again, and compared with what the source held.
Rule 2: after an error that may pass, the secret is tried again from the first read on, so that the new plan starts from
        what an earlier try has written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from secrets_actor.cli.migration import snapshot
from secrets_actor.cli.migration.plan import (
    Action,
    CopyPlan,
    Held,
    Make,
    Outcome,
    RemoveStage,
    Result,
    SetDescription,
    SetTags,
    Side,
    Snapshot,
    Write,
    plan,
    token_for,
)
from secrets_actor.cli.migration.snapshot import CALL_SECONDS, read_snapshot
from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.errors import CircuitOpen, CopyUnverified, SecretNotFound, SecretsError

# Seconds before each further try with a secret. The backend has used up its own attempts by then.
PATIENCE: Final = (0.5, 2.0)


class Copier(Struct, frozen=True):
    """Copies secrets from *source* to *target*.

    *target* is None for a store that does not exist yet, and that a dry run must not make. *pause* waits for the given
    seconds, and returns whether the whole migration is to end now. *puts_stages* as in `plan`.
    """

    source: Secrets
    target: Secrets | None
    pause: Callable[[float], bool]
    overwrite: bool = False
    dry_run: bool = False
    puts_stages: bool = True

    def copy(self, name: str) -> Result:
        """Copy the secret called *name*. The result holds a `SecretsError` of either store; other errors are raised."""
        tries = _CopyAttempt(self, name)
        for seconds in (*PATIENCE, None):
            try:
                return tries.result()
            except SecretsError as error:
                failed = Result(name, Outcome.FAILED, error=error.clone(), side=tries.side)
                wait = max(seconds or 0.0, error.retry_after if isinstance(error, CircuitOpen) else 0.0)
                again = error.retryable and seconds is not None
            if not again or self.pause(wait):
                break
        return failed


class _CopyAttempt(Struct, eq=False):
    """The tries with one secret.

    *began* is the plan of the first try that wrote. A later try may find it half done, but the result has to tell what
    the secret looked like before.
    """

    copier: Copier
    name: str
    side: Side = Side.SOURCE
    began: CopyPlan | None = None

    def result(self) -> Result:
        """Try once, and return the result. Raises `SecretsError`s of the store on `side`."""
        copier, self.side = self.copier, Side.SOURCE
        wanted = read_snapshot(copier.source, self.name, copier.pause)
        if wanted is None:
            return Result(self.name, Outcome.GONE)
        if wanted.current is None:
            raise SecretNotFound(f"secret {self.name} has no current version; set it, or leave it out by --prefix")
        self.side = Side.TARGET
        found = self._carried_over(wanted, wanted.current)
        if self.began is not None and found.outcome is not Outcome.CONFLICT:
            found = self.began
        return Result(self.name, found.outcome, found.differs)

    def _carried_over(self, wanted: Snapshot, current: Held) -> CopyPlan:
        target, pause = self.copier.target, self.copier.pause
        there = None if target is None else read_snapshot(target, self.name, pause)
        found = plan(current, wanted, there, overwrite=self.copier.overwrite, puts_stages=self.copier.puts_stages)
        if target is None or self.copier.dry_run or not found.actions:
            return found
        self.began = self.began or found
        taken = set[str]() if there is None else _version_ids(target, self.name)
        for action in found.actions:
            _take(target, self.name, action, taken)
        for seconds in (*snapshot.PATIENCE, None):
            if plan(current, wanted, read_snapshot(target, self.name, pause)).outcome is Outcome.THERE:
                return found
            if seconds is None or pause(seconds):
                break
        raise CopyUnverified(
            f"what the target holds of secret {self.name} is not what was written to it; see who else writes there, "
            "and run the migration again"
        )


def _version_ids(target: Secrets, name: str) -> set[str]:
    return {one.version_id for one in target.versions(name, include_deprecated=True, timeout=CALL_SECONDS)}


def _take(target: Secrets, name: str, action: Action, taken: set[str]) -> None:
    match action:
        case Make(version, description, tags):
            token = _token(version, taken)
            target.create(name, version.value, token=token, description=description, tags=tags, timeout=CALL_SECONDS)
        case Write(version, stage):
            token, stages = _token(version, taken), None if stage is None else (stage,)
            target.put(name, version.value, stages=stages, token=token, timeout=CALL_SECONDS)
        case RemoveStage(version_id, stage):
            target.move_stage(name, stage, remove_from=version_id, timeout=CALL_SECONDS)
        case SetDescription(description):
            target.update(name, description=description, timeout=CALL_SECONDS)
        case SetTags(tags):
            target.tag(name, tags, timeout=CALL_SECONDS)


def _token(version: Held, taken: set[str]) -> str:
    token = token_for(version, taken)
    taken.add(token)
    return token
