"""UUIDs as text: new ones, and their bytes. A write's token and a version's id are such texts.

`uuid.UUID` makes an object for each, and checks it: that takes three to five times as long as the text alone, and calls
and cached entries are many.
"""

import os

# As RFC 9562 has them.
UUID_BYTES = 16
_TEXT_LENGTH = 36


def new_uuid() -> str:
    """A random UUID of version 4: 120 random bits, for two of its 122 are always the same here."""
    digits = os.urandom(UUID_BYTES).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def uuid_text(found: bytes) -> str:
    """The usual text of a UUID's 16 bytes: five groups of small hexadecimal digits."""
    digits = found.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def uuid_bytes(text: str) -> bytes | None:
    """The 16 bytes of a UUID in its usual text; None for any other text, another spelling of a UUID among them."""
    if len(text) == _TEXT_LENGTH:
        try:
            found = bytes.fromhex(text.replace("-", ""))
        except ValueError:
            return None
        if len(found) == UUID_BYTES and uuid_text(found) == text:
            return found
    return None
