"""Reads current values: a get, by one call; and a get of many."""

from collections.abc import Iterable

from secrets_actor.backends.vault import answers, layout, requests
from secrets_actor.backends.vault.kv_session import KvSession
from secrets_actor.domain.errors import (
    CredentialsError,
    InvalidInput,
    SecretDeleted,
    SecretNotFound,
    SecretsError,
    StoreError,
    StoreFailure,
    Throttled,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import AWSCURRENT, Get
from secrets_actor.domain.results import SecretBatch
from secrets_actor.domain.secret import Secret, from_origin


def is_plain(get: Get) -> bool:
    """Whether *get* asks for the current version, and so is answered by one call."""
    return get.version_id is None and get.stage in (None, AWSCURRENT)


def get_current(session: KvSession, secret_id: str, *, fresh: bool) -> Secret:
    """Return the current version. Raises `SecretNotFound`, `SecretDeleted`, and what the runner raises."""
    name = session.mount.name_of(secret_id)
    if name is None:
        raise SecretNotFound(f"there is no secret {secret_id} in {session.mount.store_name}")
    answer = session.run(requests.read_call(session.mount, name, fresh=fresh))
    if answer.status != 404:
        return answers.secret_of(session.mount, name, answer)
    found = answers.version_read(name, answer)
    if found is None:
        session.check_mount()
    raise unreadable(session, name, found)


def unreadable(session: KvSession, name: str, found: layout.KvSecret | None) -> StoreError:
    """Return the error for a secret that has no current version to be read. *found* is what the server knows of it."""
    gone = None if found is None else layout.deletion(found, session.now)
    if found is None or not found.current or (gone is not None and gone.until <= session.now):
        return SecretNotFound(
            f"there is no secret {name} in {session.mount.store_name}, or it has no value; list shows those there are"
        )
    if gone is not None:
        return deleted(name, gone)
    absent = SecretNotFound(f"the current version of secret {name} was destroyed in {session.mount.store_name}: set it")
    absent.stage = AWSCURRENT
    return absent


def deleted(name: str, gone: layout.Deletion) -> SecretDeleted:
    """Return the error for a secret that is *gone*, and can be restored."""
    if gone.foreign:
        return SecretDeleted(f"another program has deleted the current version of secret {name}: restore it first")
    return SecretDeleted(
        f"secret {name} is scheduled for deletion on {gone.until:%Y-%m-%d %H:%M} UTC; restore it first"
    )


def get_many(session: KvSession, secret_ids: Iterable[SecretId]) -> SecretBatch:
    """Return many secrets, each read by a call of its own: a KV mount has none for several.

    A secret that cannot be read has an error in its place. What would befall the others, too, is raised.
    """
    found: dict[str, Secret] = {}
    errors: dict[str, SecretsError] = {}
    for secret_id in secret_ids:
        try:
            secret = get_current(session, secret_id, fresh=False)
            found[secret_id] = secret if session.origin is None else from_origin(secret, session.origin)
        except (CredentialsError, StoreFailure, Throttled):
            raise
        except (StoreError, InvalidInput) as error:
            errors[secret_id] = error.clone()
    return SecretBatch(found, errors)
