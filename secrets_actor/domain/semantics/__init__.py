"""What Secrets Manager's operations mean, over any shelf: decided here once, for every store of our own."""

from secrets_actor.domain.semantics.deletion import Look, agreed, next_first, purge
from secrets_actor.domain.semantics.entry import Entry, Version
from secrets_actor.domain.semantics.perform import perform
from secrets_actor.domain.semantics.shelf import Shelf

__all__ = ["Entry", "Look", "Shelf", "Version", "agreed", "next_first", "perform", "purge"]
