"""What a child does to the store, what must then be in it, and the child itself."""

import os
import random
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.backends.local.keys.key_file import KEY_NAME, KeyFile
from secrets_actor.backends.local.open_store import open_store
from secrets_actor.backends.local.upkeep.rekey import rekey
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.operations import Delete, List, MoveStage, Operation, Put, Restore, Set, Tag, Update
from secrets_actor.domain.ports import CallContext
from secrets_actor.domain.semantics.records_port import Records as AnyRecords
from secrets_actor.testing.memory_records import MemoryRecords

SECONDS: Final = 60.0
MOST_SECRETS: Final = 24
SIZES: Final = (1, 30, 30, 30, 700, 700, 5_000, 65_536)
WINDOW: Final = 30

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rekey:
    """New keys, which changes nothing of what is in the store."""

    deep: bool


Deed = Operation[Any] | Rekey


def known(records: AnyRecords) -> State:
    """All that a store tells of what is in it, but for moments."""
    return {
        one.name: (
            one.description,
            dict(one.tags),
            one.deletion_date is not None,
            [(version.id, records.value(one, version.id).reveal()) for version in one.versions],
            dict(one.stages),
        )
        for one in records.every()
    }


def stored(folder: Path) -> State:
    """What is in the store in *folder*."""
    deadline = clock_now() + SECONDS
    opened = open_store(folder, KeyFile(folder / KEY_NAME), deadline=deadline, closed=threading.Event())
    try:
        return opened.read(known, deadline)
    finally:
        opened.store.close()


def carry_out(model: MemoryRecords, deed: Deed) -> None:
    """Do to *model* what a store does."""
    if not isinstance(deed, Rekey):
        model.perform(deed, datetime.now(UTC), "no token was given")


def deeds(model: MemoryRecords, chance: random.Random, *, rekeys: bool) -> Iterator[Deed]:
    """Something that can be done to the store as it is in *model*; and so on, each after the one before."""
    while True:
        yield _deed(model, chance, rekeys)


def _deed(model: MemoryRecords, chance: random.Random, rekeys: bool) -> Deed:
    entries = sorted(model.every(), key=lambda one: one.name)
    live = [one for one in entries if one.deletion_date is None]
    token = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    value: str | bytes = chance.choice("abcdefgh") * chance.choice(SIZES)
    value = value.encode() if chance.random() < 0.2 else value
    if not live or (len(entries) < MOST_SECRETS and chance.random() < 0.2):
        return Set(f"crash/{chance.getrandbits(32):08x}", value, token=token, description="new", tags={"of": "crash"})
    one, other = chance.choice(live), chance.choice(entries)
    if len(entries) >= MOST_SECRETS or chance.random() < 0.06:
        return Delete(other.name, force=True)
    match chance.choices(
        ("set", "put", "move", "delete", "restore", "tag", "update", "rekey"), (6, 3, 2, 1, 1, 1, 1, 1)
    )[0]:
        case "put":
            labels = chance.choice([("blue",), ("green", "blue"), ("AWSCURRENT",)])
            return Put(one.name, value, token=token, stages=labels)
        case "move":
            label = chance.choice(["AWSCURRENT", "blue", "red"])
            to = chance.choice(one.versions).id
            return MoveStage(one.name, label, to=to, remove_from=one.stages.get(label))
        case "delete":
            return Delete(one.name)
        case "restore":
            return Restore(other.name)
        case "tag":
            return Tag(one.name, {"turn": token})
        case "update":
            return Update(one.name, description=token)
        case "rekey" if rekeys:
            return Rekey(chance.random() < 0.6)
    return Set(one.name, value, token=token)


def child(folder: Path, plan: list[Deed], told: int) -> None:
    """Open the store, carry *plan* out, and say so: `opening`, `opened`, then `begin N` and `done N`, and `idle`."""

    def say(what: str) -> None:
        os.write(told, f"{what}\n".encode())

    say("opening")
    backend = local_backend_factory(path=folder, recovery_window=WINDOW).connect()
    backend.perform(List(), CallContext(clock_now() + SECONDS))
    say("opened")
    for number, deed in enumerate(plan):
        say(f"begin {number}")
        if isinstance(deed, Rekey):
            deadline = clock_now() + SECONDS
            rekey(folder, KeyFile(folder / KEY_NAME), deep=deed.deep, deadline=deadline)
        else:
            backend.perform(deed, CallContext(clock_now() + SECONDS))
        say(f"done {number}")
    say("idle")
    threading.Event().wait(SECONDS)
