"""What Secrets Manager's operations mean, over any shelf: decided here once, for every store of our own."""

from secrets_actor.domain.semantics.deletion import purge
from secrets_actor.domain.semantics.entry import Entry, Version
from secrets_actor.domain.semantics.perform import perform
from secrets_actor.domain.semantics.shelf import Shelf

__all__ = ["Entry", "Shelf", "Version", "perform", "purge"]
