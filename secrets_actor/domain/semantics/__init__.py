"""The meaning of Secrets Manager's operations, over any records: decided once, for all stores of our own. PURE."""

from secrets_actor.domain.semantics.entry import Entry, Version
from secrets_actor.domain.semantics.perform import perform
from secrets_actor.domain.semantics.records_port import Records
from secrets_actor.domain.semantics.values import Look, agreed, next_first, purge

__all__ = ["Entry", "Look", "Records", "Version", "agreed", "next_first", "perform", "purge"]
