"""For a store of your own: what each operation means, over records that the store keeps.

`perform` carries a message out on any `Records`: it finds secrets by name and ARN, moves stages, keeps versions and
recovery windows, filters and sorts lists, and raises the errors that AWS Secrets Manager has for each mistake. The
encrypted local store and the fake store are made of it. `Entry` and `Version` are what the records keep; they are
frozen, and `msgspec.structs.replace` makes a changed copy."""

from secrets_actor.domain.semantics import Entry, Records, Version, perform

__all__ = ["Entry", "Records", "Version", "perform"]
