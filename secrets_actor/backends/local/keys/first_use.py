"""The key of a store, made with its first use.

A key is made only where there is neither a key nor data. Data without its key is an error, and stays one.
"""

from collections.abc import Callable

from secrets_actor.backends.local.master_key import Derivation, MasterKeySource


def load_or_create(
    source: MasterKeySource, derivation: Derivation | None = None, *, data_exists: Callable[[], bool]
) -> tuple[bytes, Derivation | None]:
    """The key from *source* and how it was derived, made first if there is neither a key nor data.

    Raises `KeyFileError` or a kin, with the remedy, for a key that will not do or is missing while data exists.
    """
    key = source.load(derivation)
    if key is not None:
        return key, derivation
    if not data_exists():
        return source.create()
    # Looked at again: a process that started with us may have made key and data since.
    key = source.load(derivation)
    if key is not None:
        return key, derivation
    raise source.missing()
