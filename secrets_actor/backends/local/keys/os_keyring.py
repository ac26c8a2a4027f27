"""THE door to the package keyring, an extra: it reads and writes the key rings of GNOME, KDE, macOS and others.

An error of the package becomes a text of ours that says what to do. Its own text is not passed on, because it may quote
a key. Nothing is raised here; see `keyring_key.py`, rule 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from secrets_actor.forks import loading

T = TypeVar("T")

# Exceptions of secretstorage and similar packages, which keyring lets through. Named as text, because those packages
# may not be installed.
_LOCKED: Final = frozenset({"LockedException", "PromptDismissedException"})


def read(service: str, account: str) -> bytes | str | None:
    """Return the content of the entry (bytes), a text that says what is wrong, or None when there is no such entry."""
    return _asked(lambda keyring: _encoded(keyring.get_password(service, account)))


def write(service: str, account: str, content: Callable[[], str]) -> str | None:
    """Write the entry. Return a text that says what is wrong; None when it succeeded. *content* is a function, so that
    the key is made only when the key ring is there."""
    return _asked(lambda keyring: _nothing(keyring.set_password(service, account, content())))


def delete(service: str, account: str) -> str | None:
    """Delete the entry. Return a text that says what is wrong; None when it succeeded."""
    return _asked(lambda keyring: _nothing(keyring.delete_password(service, account)))


def _encoded(found: str | None) -> bytes | None:
    return None if found is None else found.encode(errors="surrogatepass")


def _nothing(_returned: object) -> None:
    return None


def _asked(ask: Callable[[Any], T]) -> T | str:
    try:
        with loading():
            import keyring
    except ImportError:
        return "needs the package keyring: pip install 'secrets-actor[keyring]'"
    try:
        with loading():
            keyring.get_keyring()  # loads its backends, which are more imports: they belong inside of `loading`
        return ask(keyring)
    except Exception as exc:  # noqa: BLE001  a backend of keyring may raise any exception
        return _problem_of(exc)


def _problem_of(error: Exception) -> str:
    from keyring import errors

    # Narrow before wide: some of these classes inherit from others.
    match error:
        case errors.NoKeyringError():
            return (
                "cannot be had: there is no key ring on this machine (a server has none as a rule); choose another "
                "local.key, or see `keyring --list-backends`"
            )
        case errors.KeyringLocked():
            return (
                "is locked: log in to the desktop or unlock the key ring, allow this program to use it, and try again"
            )
        case errors.InitError():
            return "cannot be had: the key ring does not open; see that the session's key ring and its D-Bus run"
        case errors.PasswordSetError() | errors.PasswordDeleteError():
            return "cannot be changed: the key ring refuses; allow this program to write to it"
        case PermissionError():
            return "cannot be had: the key ring denies this user access; run as the user it belongs to"
        case ImportError():
            return (
                f"cannot be had: the key ring's backend is not installed whole ({error.name}); see `keyring diagnose`"
            )
    if type(error).__name__ in _LOCKED:
        return "is locked: unlock the key ring, allow this program to use it, and try again"
    return f"cannot be had: the key ring says {type(error).__name__}; see `keyring diagnose`"
