"""From format 1 to the present one: names in clear and one key for all, as earlier releases wrote it.

Rule 1: one transaction: a crash leaves the store as it was, or as it is after.
Rule 2: nothing is lost: each record is opened and sealed anew. One that does not open stops it, and is named.
Rule 3: what lay in clear is overwritten (`secure_delete`), and the log folded in and emptied, before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from secrets_actor.backends.local import entry_codec, schema, store_keys
from secrets_actor.backends.local.entry_cache import EntryCache
from secrets_actor.backends.local.envelope import Cipher
from secrets_actor.backends.local.schema import DamagedRow
from secrets_actor.backends.local.sqlite_records import SqliteRecords
from secrets_actor.backends.local.transaction import version
from secrets_actor.domain.errors import DecryptionFailed, InvalidSecretValue, KeySourceError
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics.entry import Entry, Version

if TYPE_CHECKING:
    from secrets_actor.backends.local.master_key import MasterKeySource
    from secrets_actor.backends.local.sqlite_store import Store
    from secrets_actor.backends.local.transaction import Transaction

_FORMAT: Final = 1
_OLD: Final = ("meta", "secrets", "versions", "stages")
_KNOWN: Final = b"secrets_actor: this key opens this store"


def upgrade(store: Store, source: MasterKeySource, deadline: float) -> None:
    """Bring *store* to the present format; nothing to do when another process was quicker. The key in *source* becomes
    the master key.

    Raises `WrongKey` and `KeyFileError`, `DecryptionFailed` for a record that does not open, and what `Store.write`
    raises; each leaves the store as it was.
    """
    made = _made(source)
    if made is None:
        raise source.missing()
    if store.write(lambda transaction: _upgrade(transaction, *made, source), deadline):
        store.clear_log(deadline)


def _made(source: MasterKeySource) -> tuple[Cipher, store_keys.NewStore] | None:
    """What opens the old records, and the new store's keys."""
    if source.kind == "passphrase":
        raise KeySourceError(
            'a store of an earlier release is sealed by a key file: open it once with key = "file", then rekey it to '
            f"{source}",
            path=str(source),
        )
    key = source.load(None)
    return None if key is None else (Cipher(key, _FORMAT), store_keys.new_store(key, None))


def _upgrade(transaction: Transaction, cipher: Cipher, made: store_keys.NewStore, source: MasterKeySource) -> bool:
    if version(transaction) != schema.FORMER:
        return False
    check = transaction.one("SELECT value FROM meta WHERE name = 'key_check'")
    if check is None and transaction.one("SELECT 1 FROM secrets LIMIT 1") is not None:
        raise DamagedRow
    if check is not None and cipher.open(check[0], _bound_to("key check")) != _KNOWN:
        raise store_keys.wrong_key(source)
    for index in ("scheduled", "labels"):
        transaction.do(f"DROP INDEX {index}")
    for table in _OLD:
        transaction.do(f"ALTER TABLE {table} RENAME TO old_{table}")
    for statement in schema.TABLES:
        transaction.do(statement)
    store_keys.make(transaction, made)
    records = SqliteRecords(
        transaction, store_keys.unlocked(store_keys.read_wrapped_keys(transaction), made.master), EntryCache()
    )
    for secret in transaction.each(
        "SELECT id, name, suffix, description, created_at, changed_at, deletion_date FROM old_secrets"
    ):
        _carry_over(transaction, cipher, records, secret)
    for table in reversed(_OLD):  # those that point to others first
        transaction.do(f"DROP TABLE old_{table}")
    return True


def _carry_over(transaction: Transaction, cipher: Cipher, records: SqliteRecords, row: tuple[object, ...]) -> None:
    match row:
        case (int(secret), str(name), str(suffix), None | str() as description, created, changed, deletion):
            versions, values, ids = [], {}, {}
            for number, one, value in _versions(transaction, cipher, secret, name):
                versions.append(one)
                values[one.id], ids[number] = value, one.id
            entry = Entry(
                name,
                entry_codec.arn(name, suffix),
                entry_codec.moment(created),
                entry_codec.moment(changed),
                description,
                {},
                None if deletion is None else entry_codec.moment(deletion),
                None,
                tuple(versions),
                _stages(transaction, secret, ids),
            )
        case _:
            raise DamagedRow
    records.keep(entry)
    for version_id, value in values.items():
        records.put_value(entry, version_id, value)


def _versions(
    transaction: Transaction, cipher: Cipher, secret: int, name: str
) -> Iterator[tuple[int, Version, SecretValue]]:
    """Number, version and value of each, the oldest first."""
    found = transaction.all(
        "SELECT id, version_id, kind, sealed, created_at, made_secret FROM old_versions WHERE secret = ? ORDER BY id",
        secret,
    )
    for row in found:
        match row:
            case (int(number), str(version_id), "text" | "binary" as kind, sealed, created, made_secret):
                value = _value(cipher.open(sealed, _bound_to("value", name, version_id, kind)), kind)
                if value is None:
                    raise DecryptionFailed(
                        f"version {version_id} of secret {name} cannot be opened: its record is damaged or was "
                        "exchanged; the store stays as the earlier release wrote it: delete or set the secret with "
                        "that one, or bring the store back from a copy"
                    )
                yield number, Version(version_id, entry_codec.moment(created), bool(made_secret)), value
            case _:
                raise DamagedRow


def _stages(transaction: Transaction, secret: int, ids: dict[int, str]) -> dict[str, str]:
    stages = {}
    for stage, number in transaction.all("SELECT stage, version FROM old_stages WHERE secret = ?", secret):
        if not isinstance(stage, str) or number not in ids:
            raise DamagedRow
        stages[stage] = ids[number]
    return stages


def _value(clear: bytes | None, kind: str) -> SecretValue | None:
    if clear is None:
        return None
    try:
        return SecretValue(clear.decode() if kind == "text" else clear)
    except (UnicodeDecodeError, InvalidSecretValue):
        return None


def _bound_to(purpose: str, *parts: str) -> bytes:
    """What format 1 bound a record to: each part after its length."""
    fields = [purpose.encode(), bytes((_FORMAT,)), *(part.encode() for part in parts)]
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)
