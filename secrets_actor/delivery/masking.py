"""Takes secrets out of what a command prints, as it is printed. PURE.

1. Output comes in chunks of any size, and what comes out does not depend on where they are cut.
2. Each value is looked for in the forms that programs print: as it is, in base64, in hexadecimal, and escaped for URLs,
   JSON, shells, XML and Python. A line of a value, and a text inside a value that is JSON, count as values.
3. What is shorter than `SHORTEST` is not looked for: a password `on` would tear every text to pieces.
4. A form that is longer than `PIECE` is looked for in pieces, and each piece is masked by itself. So no more than
   `PIECE` - 1 bytes are ever held back, however long a value is, and a part of a long value is masked, too.
5. All that is covered by any piece is masked: where two values overlap, nothing of either is left.
6. Only that is held back which may be the beginning of a piece. On a terminal that would be the letter just typed:
   `Masker.idle` gives out the first `SHOWN` bytes of it, and no more.
7. What a running command was given stays masked, and so do the newest values of `KEPT` changes. Those in between are
   forgotten: a value of 4 KB takes 600 KB here, and a command may run for years and see a change each hour.

Time grows with the output alone: an occurrence has at least eight bytes, so one of the words of four bytes at 0, 4, 8
and so on lies in its first seven. All words are looked up in one table, in C; only where one is found are pieces
compared.
"""

import html
import json
import re
import sys
from base64 import b64encode
from binascii import hexlify
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from secrets_actor.domain.secret import MASK
from secrets_actor.json_text import NestedTooDeeply, read_json

SHORTEST: Final = 8  # bytes; what is shorter, such as a port or `on`, is a part of other words
PIECE: Final = 64  # bytes; also the length of a line of PEM
KEPT: Final = 8
SHOWN: Final = 3  # bytes of a value that may be seen when its printing stops there for a while

_WORD: Final = 4  # bytes, as memoryview's format "I" has them
_WINDOW: Final = 4096  # bytes that are looked through in C before words are looked at one by one
_MARK: Final = MASK.encode()
# coreutils' base64 breaks lines at 76 (as MIME does), openssl's at 64; xxd -p breaks them at 60.
_LINE_LENGTHS: Final = (60, 64, 76)
# What encoders leave as it is, beside letters, digits and `_.-~`: RFC 3986's strict ones, those of paths, JavaScript's
# encodeURIComponent, Go's for user names, and JavaScript's encodeURI.
_SAFE_IN_URLS: Final = ("", "/", "!'()*", "$&+,;=", ";,/?:@&=+$#!'()*")
_LONGEST_IN_URLS: Final = 8192  # bytes; many servers take no longer line, and each of these ways trebles a binary value
_JSON_ESCAPES: Final[tuple[dict[str, str], ...]] = (
    {},
    {"/": "\\/"},  # PHP
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"},  # Go
)
_SHELL_ESCAPES: Final = (
    {"'": "'\"'\"'"},  # Python's shlex
    {"'": "'\\''"},  # bash -x
    {one: f"\\{one}" for one in '\\"$`'},  # declare -p
    {one: f"\\{one}" for one in " !\"#$&'()*,;<>?[\\]^`{|}~"},  # printf %q
    {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\t": "\\t", "\r": "\\r"},  # $'...'
)
_XML_ESCAPES: Final[tuple[dict[str, str], ...]] = (
    {"'": "&apos;", '"': "&quot;"},
    {"'": "&#x27;", '"': "&quot;"},
    {"'": "&#39;", '"': "&#34;"},
    {"'": "&#39;", '"': "&quot;"},
    {},
)


def too_short(value: bytes) -> bool:
    """Whether a value is too short to be masked."""
    return len(value) < SHORTEST


def forms(value: bytes) -> frozenset[bytes]:
    """All that is looked for because of one value, each at least `SHORTEST` bytes long."""
    parts = (part for part in _parts(value) if not too_short(part))
    found = (form for part in parts for form in (*_of_bytes(part), *_of_text(part), *_lines(part)))
    return frozenset(form for form in found if not too_short(form))


def _lines(value: bytes) -> Iterator[bytes]:
    """The lines of a value: a terminal ends them otherwise, and some programs indent them."""
    lines = value.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines)


def _parts(value: bytes) -> Iterator[bytes]:
    """The value, and the texts in it if it is JSON."""
    yield value
    if value.endswith(b"\n"):
        yield value.rstrip(b"\r\n")
    if value.lstrip()[:1] in (b"{", b"["):
        try:
            document = read_json(value)
        except (ValueError, NestedTooDeeply):
            return
        yield from (text.encode("utf-8", "surrogatepass") for text in _texts(document))


def _texts(document: object) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for inner in document.values():
            yield from _texts(inner)
    elif isinstance(document, list):
        for inner in document:
            yield from _texts(inner)


def _of_bytes(value: bytes) -> Iterator[bytes]:
    yield value
    yield repr(value)[2:-1].encode()
    yield from _in_base64(value)
    for coded in (b64encode(value), hexlify(value), hexlify(value).upper()):
        yield coded
        for length in _LINE_LENGTHS:
            if len(coded) > length:
                yield from (coded[start : start + length] for start in range(0, len(coded), length))


def _in_base64(value: bytes) -> Iterator[bytes]:
    """Base64 depends on how many bytes stand before, modulo three, and its last letters on what stands behind."""
    for before in range(3):
        coded = b64encode(bytes(before) + value)
        beginning = (0, 2, 3)[before]  # letters that hold bits of what stands before
        whole = (before + len(value)) * 8 // 6  # letters without bits of what stands behind
        for end in (whole, len(coded.rstrip(b"=")), len(coded)):
            yield coded[beginning:end]
            yield coded[beginning:end].translate(bytes.maketrans(b"+/", b"-_"))


def _of_text(value: bytes) -> Iterator[bytes]:
    for safe in _SAFE_IN_URLS if len(value) <= _LONGEST_IN_URLS else ():
        for coded in (quote(value, safe), quote_plus(value, safe)):
            yield coded.encode()
            yield re.sub("%..", lambda found: found[0].lower(), coded).encode()
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    yield repr(text)[1:-1].encode("utf-8", "backslashreplace")
    yield ascii(text)[1:-1].encode()
    for ascii_only in (True, False):
        for escapes in _JSON_ESCAPES:
            once = _escaped(json.dumps(text, ensure_ascii=ascii_only)[1:-1], escapes)
            yield once.encode()
            yield json.dumps(once, ensure_ascii=ascii_only)[1:-1].encode()  # a text of JSON inside JSON
    for escapes in _SHELL_ESCAPES:
        yield _escaped(text, escapes).encode()
    for escapes in _XML_ESCAPES:
        yield _escaped(html.escape(text, quote=False), escapes).encode()


def _escaped(text: str, escapes: dict[str, str]) -> str:
    return text.translate({ord(one): escape for one, escape in escapes.items()})


def _pieces(form: bytes) -> Iterator[bytes]:
    for start in range(0, max(len(form) - PIECE, 0), PIECE):
        yield form[start : start + PIECE]
    yield form[-PIECE:]


class Masker:
    """Replaces the values in a stream of output by `****`.

    Args:
        values: the values. Those of fewer than `SHORTEST` bytes are left as they are.
    """

    __slots__ = ("_covered", "_generations", "_given", "_held", "_in_mark", "_pieces", "_short_beginnings", "_words")

    def __init__(self, values: Iterable[bytes] = ()) -> None:
        self._generations: list[set[bytes]] = []  # the pieces of what was there at the start, and after each change
        self._pieces: set[bytes] = set()
        # Where a word of a piece is found, the piece begins so many bytes before.
        self._words: dict[int, list[tuple[int, bytes]]] = {}
        self._short_beginnings: set[bytes] = set()  # those that are shorter than a word
        self._held = b""  # it may be the beginning of a piece, and so may what follows each of its bytes
        self._covered = 0  # so many bytes of it lie in a piece already
        self._given = 0  # so many bytes of it were given out by idle()
        self._in_mark = False  # the last byte that was given out was masked
        self.add(values)

    def __repr__(self) -> str:
        return f"<Masker of {len(self._pieces)} pieces>"

    def add(self, values: Iterable[bytes]) -> None:
        """Masks these values, too, from here on: after a rotation the old one may still be printed. They are all that
        are current now: those of earlier calls are forgotten at last (rule 7)."""
        new = {piece for value in values for form in forms(value) for piece in _pieces(form)}
        self._generations.append(new)
        self._index(new - self._pieces)
        if len(self._generations) > KEPT + 1:
            self._keep([self._generations[0], *self._generations[-KEPT:]])

    def started(self) -> None:
        """To be called when a command is started, which has the newest values. What the one before it had is kept, for
        its last words may still come; older values are forgotten (rule 7)."""
        if len(self._generations) > 2:
            self._keep([set().union(*self._generations[-2:])])

    def _keep(self, generations: list[set[bytes]]) -> None:
        self._generations = generations
        self._pieces, self._words, self._short_beginnings = set(), {}, set()
        self._index(set().union(*generations))

    def _index(self, new: set[bytes]) -> None:
        self._pieces |= new
        for piece in new:
            self._short_beginnings.update(piece[:length] for length in range(1, _WORD))
            for offset in range(_WORD):
                word = int.from_bytes(piece[offset : offset + _WORD], sys.byteorder)
                self._words.setdefault(word, []).append((offset, piece))

    @property
    def waits(self) -> bool:
        """Whether `idle` has something to give out."""
        return self._given < min(SHOWN, len(self._held)) and not self._covered

    def feed(self, chunk: bytes) -> bytes:
        """What may be shown after this chunk."""
        data = self._held + chunk
        spans = [(0, self._covered), *self._found(data)]
        return self._give(data, spans, self._may_begin(data))

    def end(self) -> bytes:
        """What is left at the end of the output: a beginning of a value to which the rest never came."""
        return self._give(self._held, [(0, self._covered)], len(self._held))

    def idle(self) -> bytes:
        """To be called when no output has come for a moment, on a terminal: the first bytes of what is held back.

        A person sees each letter when it is typed. Of a value whose printing stops after its first letters, those
        (`SHOWN` at the most) are seen, and the rest is masked when it comes."""
        if not self.waits:
            return b""
        given, self._given = self._given, min(SHOWN, len(self._held))
        self._in_mark = False
        return self._held[given : self._given]

    def _found(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where pieces are, by their beginnings and ends."""
        words = memoryview(data)[: len(data) // _WORD * _WORD].cast("I")
        table = self._words
        known = table.keys()
        for window in range(0, len(words), _WINDOW // _WORD):
            part = words[window : window + _WINDOW // _WORD]
            if known.isdisjoint(part):
                continue
            for index, word in enumerate(part, window):
                for offset, piece in table.get(word, ()):
                    start = index * _WORD - offset
                    if start >= 0 and data.startswith(piece, start):
                        yield start, start + len(piece)

    def _may_begin(self, data: bytes) -> int:
        """The first place from which on the rest of the data is the beginning of a piece."""
        for start in range(max(len(data) - PIECE + 1, 0), len(data)):
            if self._begins(data[start:]):
                return start
        return len(data)

    def _begins(self, rest: bytes) -> bool:
        """Whether there is a piece that begins so, and goes on."""
        if len(rest) < _WORD:
            return rest in self._short_beginnings
        pieces = self._words.get(int.from_bytes(rest[:_WORD], sys.byteorder), ())
        return any(not offset and len(piece) > len(rest) and piece.startswith(rest) for offset, piece in pieces)

    def _give(self, data: bytes, spans: Iterable[tuple[int, int]], until: int) -> bytes:
        """Gives out the data up to a place, with a mark for each row of masked bytes, and holds the rest."""
        out = []
        at = 0
        covered = 0
        for start, end in sorted(spans):
            if at < min(start, until):
                shown = data[max(at, self._given) : min(start, until)]
                out.append(shown)
                self._in_mark = self._in_mark and not shown
            if start < end and start < until and not self._in_mark:
                out.append(_MARK)
                self._in_mark = True
            at = max(at, end)
            covered = max(covered, end)
        if at < until:
            shown = data[max(at, self._given) : until]
            out.append(shown)
            self._in_mark = self._in_mark and not shown
        self._held = data[until:]
        self._covered = max(covered - until, 0)
        self._given = max(self._given - until, 0)
        return b"".join(out)
