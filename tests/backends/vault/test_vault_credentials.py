"""A token among credentials: what its repr shows, and when two are equal."""

from datetime import UTC, datetime

from secrets_actor.backends.vault.vault_credentials import VaultCredentials
from secrets_actor.domain.secret import SecretValue

AT = datetime(2026, 11, 30, tzinfo=UTC)


def test_neither_the_token_nor_its_accessor_is_shown() -> None:
    shown = repr(VaultCredentials(SecretValue("never-show-this"), "nor-this", AT, AT))

    assert "this" not in shown
    assert "2026" in shown


def test_a_renewed_token_is_the_same_one() -> None:
    made = VaultCredentials(SecretValue("t"), "one", AT)

    assert made == VaultCredentials(SecretValue("t"), "two", None, AT)
    assert made != VaultCredentials(SecretValue("u"), "one", AT)
