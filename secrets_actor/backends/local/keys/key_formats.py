"""The formats in which a key or a passphrase may be written. PURE.

Rule: a fault is returned as a text and not raised, because a traceback may show the locals of a frame that raises, and
here they are keys. The text says what is allowed, and never quotes what was given.
"""

import base64
import binascii
import codecs
import re
import unicodedata
from typing import Final

from secrets_actor.backends.local.master_key_source import KEY_BYTES

# The most bytes that a key or a passphrase may have: enough for base64 with line ends, and for a sentence.
MAX_BYTES: Final = 1024
_ALLOWED: Final = f"allowed are {KEY_BYTES} bytes as base64 or hex, such as `openssl rand -base64 {KEY_BYTES}` makes"
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{64}")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_PRINTABLE: Final = re.compile(rb"[ -~]*")


def key_of(content: bytes, *, raw: bool = False) -> bytes | str:
    """Return the key in *content*, or a text that says what is wrong with it.

    The key may be written as hex or as base64 (either alphabet, with or without padding), with white space around it.
    With *raw* it may also be the 32 bytes themselves."""
    # 32 printable characters are more likely a text that was meant as something else than 32 random bytes.
    if raw and len(content) == KEY_BYTES and not _PRINTABLE.fullmatch(content):
        return content
    text = content.removeprefix(codecs.BOM_UTF8).strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.decode())
    also = f", or the {KEY_BYTES} bytes themselves" if raw else ""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return f"holds no key, but a text in UTF-16: save it as UTF-8; {_ALLOWED}{also}"
    if not _BASE64.fullmatch(text):
        return f"holds no key: {_ALLOWED}{also}"
    found = _from_base64(text)
    if len(found) != KEY_BYTES:
        return f"holds no key: {_ALLOWED}{also}; this is a text of {len(text)} characters"
    return found


def _from_base64(text: bytes) -> bytes:
    if text.endswith(b"=") and len(text) % 4:
        return b""
    whole = text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(whole + b"=" * (-len(whole) % 4), validate=True)
    except binascii.Error:
        return b""


def passphrase_of(content: bytes, *, from_file: bool = False) -> bytes | str:
    """Return the passphrase in *content*, or a text that says what is wrong with it. *from_file*: a byte order mark,
    one line end before and one after are taken off, as editors add them.

    A text is brought to its composed form (NFC; RFC 8265, 4.2.2), so that an accented letter gives the same bytes from
    every keyboard.
    """
    if from_file:
        content = content.removeprefix(codecs.BOM_UTF8)
        content = content.removesuffix(b"\n").removesuffix(b"\r")
        content = content.removeprefix(b"\r").removeprefix(b"\n")
    if not content:
        return "holds an empty passphrase: give at least one character, better five words"
    if len(content) > MAX_BYTES:
        return f"holds a passphrase of more than {MAX_BYTES} bytes"
    try:
        return unicodedata.normalize("NFC", content.decode()).encode()
    except UnicodeDecodeError:
        return content
