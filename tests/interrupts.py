"""python -m tests.interrupts WHAT MEANWHILE [EVERY [FIRST]]: does *what* again and again, and each time something else
in the middle of it, at another place, in the same thread: as a signal handler does, or a finalizer.

A place is an instruction of a file of ours that the calling thread comes by. Every *every*-th of them is tried, from
the *first*. Prints how many those were. Whatever waits for itself never ends: then all threads are shown, and it is 1.
"""

from __future__ import annotations

import dis
import faulthandler
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import secrets_actor
from secrets_actor import LogSettings, SecretsError, Settings, System
from secrets_actor.testing import FakeStore

OURS: Final = str(Path(secrets_actor.__file__).parent)
# Seconds. Nothing here takes as long, unless it waits for itself.
PATIENCE: Final = 20.0
LONG: Final = 5.0
# After these the interpreter looks whether a handler is to be run; one that raises does so there.
LOOKS: Final = ("CALL", "RESUME", "JUMP_BACKWARD", "SEND")


class CutOff(BaseException):
    """What a handler raises."""


class Interrupter:
    """Runs *meanwhile* at the place with number *at* of whatever is done in its block; counts the places."""

    def __init__(self, at: int, meanwhile: Callable[[], object], *, raises: bool = False) -> None:
        self._at, self._meanwhile, self._raises = at, meanwhile, raises
        self._names: dict[CodeType, dict[int, str]] = {}
        self._before: dict[FrameType, str] = {}
        self.places, self.where = 0, ""

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Around what is to be interrupted."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)
            self._before.clear()

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self._before[frame] = "RESUME"
        return self._step

    def _step(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode" and (not self._raises or self._before.get(frame, "").startswith(LOOKS)):
            if self.places == self._at:
                self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
                self.places += 1
                self._meanwhile()
            else:
                self.places += 1
        if event == "opcode" and self._raises:
            self._before[frame] = self._name(frame)
        return self._step

    def _name(self, frame: FrameType) -> str:
        names = self._names.get(frame.f_code)
        if names is None:
            names = self._names[frame.f_code] = {one.offset: one.opname for one in dis.get_instructions(frame.f_code)}
        return names.get(frame.f_lasti, "")


# --- what is interrupted ------------------------------------------------------------------------------------------


def a_cached_get(system: System) -> object:
    return system.secrets.get("cached")


def a_get(system: System) -> object:
    return system.secrets.get("a", refresh=True)


def a_set(system: System) -> object:
    return system.secrets.set("a", "v")


def a_set_in_vain(system: System) -> object:
    return system.secrets.set("a", "v", timeout=0.0)


def gets_of_many(system: System) -> object:
    return system.secrets.get_many([f"many/{number}" for number in range(30)])


def a_missing_one(system: System) -> object:
    return system.secrets.get("none")


def a_subscription(system: System) -> object:
    with system.subscribe("a", lambda _: None):
        return system.metrics()


def a_configuration(system: System) -> object:
    return system.configure(settings(), backend=stocked().factory())


def looks(system: System) -> object:
    return system.tree(), system.metrics(), system.whereis("secrets"), system.running


def an_ask(system: System) -> object:
    return system.ref.ask(secrets_actor.messages.Get("a"), timeout=LONG)


def a_stop(system: System) -> object:
    return system.stop()


def a_start(system: System) -> object:
    system.stop()
    return system.start()


WHAT: Final[dict[str, Callable[[System], object]]] = {
    one.__name__: one
    for one in (
        *(a_cached_get, a_get, a_set, a_set_in_vain, gets_of_many, a_missing_one, a_subscription, a_configuration),
        *(looks, an_ask, a_stop, a_start),
    )
}


# --- and what is done meanwhile -----------------------------------------------------------------------------------


def everything(system: System) -> None:
    """Each call, in the middle of another one: none may wait for that."""
    began = time.monotonic()
    for call in (a_cached_get, a_get, a_set, a_missing_one, gets_of_many, a_subscription, looks, a_configuration):
        try:
            call(system)
        except SecretsError as error:
            if error.code not in ("not_found", "server_down"):
                raise
    if time.monotonic() - began > LONG:
        raise AssertionError("it waited")


def stop(system: System) -> None:
    """As in a SIGTERM handler."""
    began = time.monotonic()
    system.stop(LONG)
    if time.monotonic() - began > LONG * 0.8:
        raise AssertionError("the stop waited")


def cut_off(_: System) -> None:
    """Whatever is done comes to nothing."""
    raise CutOff


MEANWHILE: Final[dict[str, Callable[[System], None]]] = {one.__name__: one for one in (everything, stop, cut_off)}


# --- again and again ----------------------------------------------------------------------------------------------


def settings() -> Settings:
    """Whatever is counted, recorded and refreshed is part of it."""
    return Settings(
        log=LogSettings(output="/dev/null", audit_full="block"),
        refresh_ahead=0.9,
        max_stale_seconds=60,
        missing_ttl_seconds=60,
    )


def stocked() -> FakeStore:
    """A store that has what is asked for."""
    store = FakeStore()
    for name in ("a", "cached", *(f"many/{number}" for number in range(30))):
        store.put(name, "v")
    return store


class Run:
    """Systems, made anew where one was stopped."""

    def __init__(self, what: str, meanwhile: str) -> None:
        self._what, self._meanwhile, self._system = WHAT[what], MEANWHILE[meanwhile], None

    def once(self, at: int) -> Interrupter:
        """Interrupt it at the place *at*."""
        system = self._system = self._system or self._made()
        interrupter = Interrupter(at, lambda: self._meanwhile(system), raises=self._meanwhile is cut_off)
        try:
            with interrupter.installed():
                self._what(system)
        except CutOff:
            pass
        except SecretsError as error:
            if error.code not in ("not_found", "server_down", "deadline_exceeded", "start_failed"):
                raise AssertionError(f"{interrupter.where}: {error!r}") from error
        except Exception as error:
            raise AssertionError(f"{interrupter.where}: {error!r}") from error
        self._look_again(interrupter.where)
        return interrupter

    def _made(self) -> System:
        system = System(settings(), backend=stocked().factory()).start()
        system.secrets.get("cached")
        return system

    def _look_again(self, where: str) -> None:
        """What was done halfway leaves nothing behind: it works, or it has ended and starts again."""
        system = self._system
        assert system is not None
        if self._meanwhile is stop or self._what in (a_stop, a_start):
            system.stop(LONG)
            assert not system.running, where
            self._system = None
            if self._meanwhile is cut_off:
                with system.start():
                    system.secrets.set("z", "v")
            return
        system.secrets.set("z", "v")
        end = time.monotonic() + LONG
        while (left := sum(one.open_calls for one in system.tree().root.walk())) and time.monotonic() < end:
            time.sleep(0.001)
        assert not left, f"{where}: {left} calls are open"
        subscribed = system.metrics().value("secrets_actor_subscriptions")
        assert not subscribed, f"{where}: {subscribed} subscriptions are left"

    def close(self) -> None:
        """No more."""
        if self._system is not None:
            self._system.stop()


def main(what: str, meanwhile: str, every: str = "1", first: str = "0") -> int:
    """Until what is done comes by no more places."""
    run, at, tried = Run(what, meanwhile), int(first), 0
    while True:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        interrupter = run.once(at)
        if not interrupter.where:
            break
        at, tried = at + int(every), tried + 1
    run.close()
    faulthandler.cancel_dump_traceback_later()
    print(tried, "of", interrupter.places)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
