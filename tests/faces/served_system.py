"""A whole system over the fake store, as the faces are given it: with a real policy, and an audit log in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from msgspec import Struct

from secrets_actor import System
from secrets_actor.domain.metrics import NO_METER
from secrets_actor.domain.ports import AuditRecord
from secrets_actor.faces.identity import caller_facts
from secrets_actor.faces.permission import PolicyGate
from secrets_actor.faces.policy import Policy, Rule
from secrets_actor.faces.service import Service
from secrets_actor.testing import FakeStore, ManualClock, fake_system

ALL: Final = ("user:deploy", "token:ci")


class Records:
    """The audit records of the gate."""

    def __init__(self) -> None:
        self.kept: list[AuditRecord] = []

    def record(self, record: AuditRecord) -> None:
        self.kept.append(record)


class Served(Struct):
    """A system that is served. `policy` may be replaced while it runs."""

    system: System
    store: FakeStore
    clock: ManualClock
    audit: Records
    service: Service
    policy: Policy


@contextmanager
def served_system(*rules: Rule, **settings: Any) -> Iterator[Served]:
    """Give a system whose policy has these *rules*; without any, user `deploy` and token `ci` may do all."""
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), **settings) as (system, store):
        audit = Records()
        described = system.async_secrets.describe
        gate = PolicyGate(lambda: served.policy, described, audit, clock)
        service = Service(
            lambda identity: system.async_secrets.for_caller(caller_facts(identity)), gate, audit, clock, NO_METER
        )
        policy = Policy(rules or [Rule(ALL, ("**",), ("read", "write", "admin"))])
        served = Served(system, store, clock, audit, service, policy)
        yield served
