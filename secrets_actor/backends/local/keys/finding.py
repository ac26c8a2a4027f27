"""What an operator wants to know of a master key. Changes nothing; makes nothing."""

from secrets_actor.backends.local.master_key import MasterKeySource
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.findings import Finding, Verdict


def key_finding(source: MasterKeySource, *, has_data: bool) -> tuple[Finding, bool]:
    """The finding on the key from *source*, for a store that has data or not; and whether to look at the store."""
    try:
        there = source.present()
    except SecretsError as error:
        return Finding("key", Verdict.FAULT, str(error)), False
    if there:
        return Finding("key", Verdict.OK, str(source)), True
    if not has_data and source.makes:
        return Finding(
            "key",
            Verdict.OK,
            f"no store yet: neither data nor a key in {source}; the first set makes both, or secrets-actor store init",
        ), False
    return Finding("key", Verdict.FAULT, str(source.missing())), False
