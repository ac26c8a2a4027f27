"""Copies many secrets, several at a time: as many as the target has workers, and no more values in memory than that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final

from secrets_actor.actor.error_translation import NO_THREAD_HELP
from secrets_actor.cli.migration.copier import Copier
from secrets_actor.cli.migration.plan import Result
from secrets_actor.cli.migration.report import Report
from secrets_actor.cli.migration.snapshot import CALL_SECONDS
from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.errors import (
    ConfigurationError,
    CredentialsError,
    KeyFileError,
    StartFailed,
    StoreUnavailable,
    Unreachable,
)
from secrets_actor.domain.operations import Filter
from secrets_actor.domain.operations.listing import MAX_FILTER_VALUES
from secrets_actor.otp import begin

# Errors that every other secret would meet as well.
_ENDS_ALL: Final = (Unreachable, CredentialsError, ConfigurationError, KeyFileError, StoreUnavailable)

# AWS takes a filter's value that begins so for its negation, so a prefix that does is filtered here.
_NEGATION: Final = "!"


def names_of(source: Secrets, prefixes: Collection[str]) -> list[str]:
    """Return the names of all live secrets that begin with one of *prefixes*, or of all if there are no prefixes."""
    few = 0 < len(prefixes) <= MAX_FILTER_VALUES and not any(one.startswith(_NEGATION) for one in prefixes)
    filters = (Filter("name", tuple(prefixes)),) if few else ()
    listed = source.iterate(filters, timeout=CALL_SECONDS)
    # Filtered here as well: with many prefixes, or one that begins with `!`, the store was asked for all names.
    return [one.name for one in listed if not prefixes or one.name.startswith(tuple(prefixes))]


def migrate(
    source: Secrets,
    target: Secrets | None,
    names: Collection[str],
    *,
    workers: int,
    overwrite: bool = False,
    dry_run: bool = False,
    puts_stages: bool = True,
    seen: Callable[[Result], object] = lambda _result: None,
) -> Report:
    """Copy the secrets of these *names*, *workers* at a time. *puts_stages* as in `plan`. *seen* is called with each
    result, in this thread.

    A store that cannot be reached, or credentials that are refused, end the migration: the rest would fail alike.
    Raises `StartFailed` when no thread can be started.
    """
    report, ended = Report(len(names), dry_run), Event()
    copier = Copier(source, target, ended.wait, overwrite, dry_run, puts_stages)
    try:
        for result in _results(copier.copy, names, workers, ended):
            report.add(result)
            seen(result)
            if isinstance(result.error, _ENDS_ALL):
                report.stopped_by = report.stopped_by or result.error
    finally:  # after a Ctrl-C nobody waits for the threads: the caller stops both systems next, which ends their calls
        ended.set()
    return report


def _results(copy: Callable[[str], Result], names: Collection[str], workers: int, ended: Event) -> Iterator[Result]:
    """Yield the result for each of *names*, from as many threads as can be started, *workers* at most.

    Raises `StartFailed` when none can.
    """
    todo, found = iter(tuple(names)), SimpleQueue[Result | BaseException | None]()

    def work() -> None:
        try:
            for name in todo:  # all threads share this iterator: each takes the next name
                if ended.is_set():
                    break
                result = copy(name)
                if isinstance(result.error, _ENDS_ALL):
                    ended.set()
                found.put(result)
        except BaseException as error:  # noqa: BLE001  it is raised in the thread that reads the results
            found.put(error)
        found.put(None)

    threads = (Thread(target=work, name="migration", daemon=True) for _ in range(min(workers, len(names))))
    running = sum(map(begin, threads))
    if names and not running:
        raise StartFailed(f"no thread could be started to copy with: {NO_THREAD_HELP}")
    while running:
        result = found.get()
        if result is None:
            running -= 1
        elif isinstance(result, BaseException):
            raise result
        else:
            yield result
