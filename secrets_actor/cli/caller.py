"""Who uses the command line, as the audit log tells it."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress


def caller() -> str:
    """The user that this process acts as, with the number that the kernel knows; for root by sudo, also who it was."""
    me = _user(os.geteuid())
    before = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and before.isascii() and before.isdigit():  # of anybody else it would be only a claim
        return f"{me}, by sudo from {_user(int(before))}"
    return me


def _user(uid: int) -> str:
    with suppress(KeyError, OverflowError):  # a container often runs as a number without a name
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    return f"uid {uid}"
