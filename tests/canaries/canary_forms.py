"""Canaries: values, keys and tokens that are planted, and every form in which one could come to light."""

import base64
import json
import re
import uuid
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

# Bytes of a piece that gives a canary away: an error that quotes the first or last half of a value is a leak, too.
PIECE: Final = 16
MARKS: Final = ('"', "Ü", "\\", "/+", "&%", "\t<", "世", ">'")


def canary() -> str:
    """A text of which no piece occurs anywhere else, and that each way of writing writes in a way of its own."""
    random = uuid.uuid4().hex + uuid.uuid4().hex
    return "".join(eight + mark for eight, mark in zip(re.findall("." * 8, random), MARKS, strict=True))


def plain_canary(length: int = 40) -> str:
    """One of letters and digits only: a key, a token, a part of a header."""
    return ("CANARY" + uuid.uuid4().hex + uuid.uuid4().hex)[:length]


def pieces(secret: bytes) -> Iterator[bytes]:
    """All of *secret*, and pieces of it from the beginning to the end."""
    yield secret
    if len(secret) > PIECE:
        yield from (secret[start : start + PIECE] for start in range(0, len(secret) - PIECE, PIECE // 2))
        yield secret[-PIECE:]


def forms(secret: str | bytes) -> dict[bytes, str]:
    """Each form, as bytes to look for, and what it is called."""
    text = secret if isinstance(secret, str) else None
    whole = secret.encode() if isinstance(secret, str) else secret
    found: dict[bytes, str] = {}
    for piece in pieces(whole):
        for name, form in (*_of_bytes(piece), *_of_text(piece.decode(errors="ignore"))):
            found.setdefault(form, name)
    if text is not None:
        found.setdefault(text.encode("utf-16-le"), "utf-16")
    return {form: name for form, name in found.items() if len(form) >= PIECE - 2}


def _of_bytes(piece: bytes) -> Iterator[tuple[str, bytes]]:
    yield "plain", piece
    yield "repr of bytes", repr(piece)[2:-1].encode()
    yield "hex", piece.hex().encode()
    yield "HEX", piece.hex().upper().encode()
    yield "list of bytes", str(list(piece))[1:-1].encode()
    yield "urlencoded", quote(piece, safe="").encode()
    yield "urlencoded, slashes kept", quote(piece).encode()
    yield "urlencoded form", quote_plus(piece).encode()
    for skipped in range(3):  # as part of something longer, a piece begins anywhere in a group of three bytes
        inner = piece[skipped : len(piece) - (len(piece) - skipped) % 3]
        yield "base64", base64.b64encode(inner)
        yield "base64url", base64.urlsafe_b64encode(inner)


def _of_text(piece: str) -> Iterator[tuple[str, bytes]]:
    yield "text", piece.encode()
    yield "repr", repr(piece)[1:-1].encode()
    yield "ascii", ascii(piece)[1:-1].encode()
    yield "json", json.dumps(piece)[1:-1].encode()
    yield "json in Unicode", json.dumps(piece, ensure_ascii=False)[1:-1].encode()
    yield "json in json", json.dumps(json.dumps(piece))[1:-1].encode()
