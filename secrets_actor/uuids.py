"""UUIDs as text: makes new ones, and turns them into bytes and back. The token of a write and the id of a version are
such texts.

`uuid.UUID` makes and checks an object for each. That takes three to five times as long as the text alone, and there are
many calls and many cached entries.
"""

import os

# The lengths are those of RFC 9562.
UUID_BYTES = 16
_TEXT_LENGTH = 36


def new_uuid() -> str:
    """Return a random UUID of version 4. Of its 122 free bits 120 are random: the digit of the variant, which may be 8,
    9, a or b, is always 8 here."""
    digits = os.urandom(UUID_BYTES).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def uuid_text(found: bytes) -> str:
    """Return the usual text of a UUID's 16 bytes: five groups of small hexadecimal digits."""
    digits = found.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def uuid_bytes(text: str) -> bytes | None:
    """Return the 16 bytes of a UUID that is given in its usual text. Return None for any other text, even for another
    spelling of a UUID: the text could not be made from the bytes again."""
    if len(text) == _TEXT_LENGTH:
        try:
            found = bytes.fromhex(text.replace("-", ""))
        except ValueError:
            return None
        if len(found) == UUID_BYTES and uuid_text(found) == text:
            return found
    return None
