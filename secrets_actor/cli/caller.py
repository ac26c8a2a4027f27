"""Names the user of the command line, as the audit log records the caller."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress


def caller() -> str:
    """Return the user that this process acts as, with the number that the kernel knows; under sudo, also who called it.

    Names can be changed or reused; the number is what the kernel checks.
    """
    me = _user(os.geteuid())
    before = os.environ.get("SUDO_UID", "")
    # Only of root: any other user can set SUDO_UID to what they like.
    if os.geteuid() == 0 and before.isascii() and before.isdigit():
        return f"{me}, by sudo from {_user(int(before))}"
    return me


def _user(uid: int) -> str:
    with suppress(KeyError, OverflowError):  # a container often runs as a number without a name
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    return f"uid {uid}"
