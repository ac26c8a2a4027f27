"""Parses one HTTP/1.1 answer from bytes, or raises the rule that it breaks. PURE, and the door to httptools (llhttp).

Rule 1: llhttp parses every byte, in its strict mode. There, a lone line feed, a folded or nameless header, a blank
        before a colon, a NUL, two lengths, or a length beside a transfer coding are errors already. This file checks
        what llhttp does not: limits, and answers that are sound HTTP but do not fit our request.
Rule 2: one parser reads one answer. Any byte after its end is refused: a server that sends more than was asked for is
        out of step, and the next request would get the rest.
Rule 3: the result does not depend on how the network cut the bytes: sizes are counted in bytes, not in reads. The end
        of a head must be known exactly, because llhttp does not tell how far it has come. No header holds a lone CR or
        LF (rule 1), so the end is the first CR LF CR LF.
Rule 4: an error names the broken rule. It quotes nothing of the answer, which may hold a secret. (llhttp's own reasons
        are constants in its source.)
"""

from typing import ClassVar, Final

import httptools

from secrets_actor.structs import Opaque

# Bytes of all heads of an answer together, with those of interim answers (1xx). Precedent: Python's http.client has
# this limit for one line.
MAX_HEAD: Final = 65_536
# Headers of an answer; the same limit holds for its trailers. Precedent: Python's http.client.
MAX_HEADERS: Final = 100
# Bytes. The longest answers are well below it: a full page of a list has 100 entries of some 5 KiB at most, and a value
# has 64 KiB, or six times as much when each character is escaped.
MAX_BODY: Final = 8 * 1024 * 1024
# Bytes of chunk sizes, chunk extensions and trailers. They are dropped, so only this limit ends an answer that goes on
# sending them.
MAX_FRAMING: Final = 1024 * 1024
# The versions that are accepted, as the first bytes of an answer. llhttp would accept others, and other protocols.
_VERSION_1_1: Final = b"HTTP/1.1 "
_STARTS: Final = (_VERSION_1_1, b"HTTP/1.0 ")
_START: Final = len(_VERSION_1_1)
_HEAD_END: Final = b"\r\n\r\n"
# Answers with these statuses never have a body (RFC 9110, 15.3.5 and 15.4.5).
_WITHOUT_BODY: Final = frozenset({204, 304})
_AS_IT_IS: Final = frozenset({b"", b"identity"})
_TOO_MUCH: Final = "more came than the answer to the request"


class RefusedAnswer(Exception):
    """Raised when an answer breaks a rule, which *text* tells.

    *is_http* is false when the answer does not even begin as HTTP/1. `Transport` turns it into a `SecretsError`.
    """

    def __init__(self, text: str, *, is_http: bool = True) -> None:
        super().__init__(text)
        self.text, self.is_http = text, is_http


class ParsedAnswer(Opaque):
    """A whole answer. The names of `headers` are in lower case. `keeps_alive`: the server keeps the connection open.

    The repr shows neither headers nor body: they may hold a token or a secret.
    """

    __slots__ = ("body", "headers", "keeps_alive", "status")
    SHOWN: ClassVar = ("status", "keeps_alive")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes, keeps_alive: bool) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.keeps_alive = keeps_alive


class _Heard:
    """Receives the callbacks of llhttp.

    It is not `ResponseParser` itself, which refers to llhttp's parser: the two would refer to each other, and every
    answer, with the secret in it, would stay in memory until the garbage collector runs.
    """

    __slots__ = ("complete", "headers", "messages", "parts", "size")

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self.messages, self.size, self.complete = 0, 0, False

    def on_message_begin(self) -> None:
        self.messages += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_body(self, part: bytes) -> None:
        self.size += len(part)
        self.parts.append(part)

    def on_message_complete(self) -> None:
        self.complete = True


class ResponseParser:
    """Parses the answer to one request with *method*.

    Call `feed` with the bytes that come in until `complete` is true, or `end` when the server ends the connection; then
    call `answer`. `status` is None until the head of the final answer is whole.
    """

    # The state at the beginning stands in the class, and an instance sets only what changes: a parser is made for every
    # answer, and most answers change little of it.
    status: int | None = None
    complete = False
    _in_head = True
    _heads, _head_bytes = 1, 0
    _start = _tail = b""  # the first bytes of the head, and the last three: the end of a head may be cut by a read
    _wire_bytes = 0  # the bytes of the body with its framing
    _chunked = _until_end = _keeps_alive = False

    def __init__(self, method: str) -> None:
        self._method = method
        self._heard = _Heard()
        self._llhttp = httptools.HttpResponseParser(self._heard)
        self._headers: list[tuple[bytes, bytes]] = []

    def feed(self, data: bytes) -> None:
        """Parse *data*, at least one byte. Raises `RefusedAnswer`."""
        while data and self._in_head:
            data = self._feed_head(data)
        if data:
            self._feed_body(data)

    def end(self) -> bool:
        """Note that the server has ended the connection, and return whether the answer is whole.

        An answer without a length and without chunks ends with the connection (RFC 9112, 6.3).
        """
        if self._until_end:
            self.complete = True
        return self.complete

    def answer(self) -> ParsedAnswer:
        """Return the answer. Only once it is `complete`."""
        assert self.complete and self.status is not None  # noqa: PT018
        parts = self._heard.parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return ParsedAnswer(self.status, self._headers, body, self._keeps_alive)

    def _feed_head(self, data: bytes) -> bytes:
        """Parse *data* up to the end of this head, and return the rest."""
        if len(self._start) < _START:
            self._start = (self._start + data)[:_START]
            if not self._start.startswith(_STARTS) and not any(one.startswith(self._start) for one in _STARTS):
                raise RefusedAnswer("it does not begin as HTTP/1.1 does", is_http=False)
        seen = self._tail + data
        at = seen.find(_HEAD_END)
        used = len(data) if at < 0 else at + len(_HEAD_END) - len(self._tail)
        self._head_bytes += used
        if self._head_bytes > MAX_HEAD:
            raise RefusedAnswer(f"its headers are longer than {MAX_HEAD} bytes")
        self._parse(data[:used])
        if at < 0:
            self._tail = seen[1 - len(_HEAD_END) :]
            return b""
        self._end_head()
        return data[used:]

    def _end_head(self) -> None:
        status, heard = self._llhttp.get_status_code(), self._heard
        if not 100 <= status < 600 or status == 101:  # llhttp stops at a 101 itself today, and may not tomorrow
            raise RefusedAnswer("its status is one that answers no request of ours")
        if status < 200:  # an interim answer, such as 100 Continue: the final one is still to come
            heard.headers.clear()
            heard.complete = False
            self._heads += 1
            self._start = self._tail = b""
            return
        self.status, self._in_head, self._tail = status, False, b""
        self._headers, heard.headers = heard.headers, []  # headers that come later are trailers
        self._check_headers(status)

    def _check_headers(self, status: int) -> None:
        bodiless = (
            status in _WITHOUT_BODY
            or self._method == "HEAD"
            or (self._method == "CONNECT" and status < 300)  # a tunnel begins after the head (RFC 9110, 9.3.6)
        )
        length: bytes | None = None
        self._keeps_alive = self._start == _VERSION_1_1
        if len(self._headers) > MAX_HEADERS:
            raise RefusedAnswer(f"it has more than {MAX_HEADERS} headers")
        for name, value in self._headers:
            if name == b"content-length":
                length = value
            elif name == b"transfer-encoding" and not bodiless:
                # We asked for no coding, so a server may only use chunked; HTTP/1.0 has no coding (RFC 9112, 6.1).
                if self._chunked or value.lower() != b"chunked" or self._start != _VERSION_1_1:
                    raise RefusedAnswer("it has a transfer coding that nobody asked for")
                self._chunked = True
            elif name == b"content-encoding" and value.lower() not in _AS_IT_IS:
                raise RefusedAnswer("it is compressed, which nobody asked for")
            elif name == b"connection" and b"close" in [one.strip() for one in value.lower().split(b",")]:
                self._keeps_alive = False
        if bodiless:
            self.complete = True
        elif length is not None:
            if int(length) > MAX_BODY:
                raise _too_long()
            self.complete = self._heard.complete  # true already if the length is 0
        elif not self._chunked:
            self._until_end, self._keeps_alive = True, False

    def _feed_body(self, data: bytes) -> None:
        if self.complete:
            raise RefusedAnswer(_TOO_MUCH)
        heard = self._heard
        self._wire_bytes += len(data)
        self._parse(data)
        framing = self._wire_bytes - heard.size
        if heard.size > MAX_BODY:
            raise _too_long()
        if framing > MAX_FRAMING or len(heard.headers) > MAX_HEADERS:
            raise RefusedAnswer(f"its chunks and trailers take more than {MAX_FRAMING} bytes")
        if self._chunked:
            # llhttp passes over line ends after a message, and takes further bytes for the next message. So the answer
            # has to end in exactly one empty line.
            self._tail = (self._tail + data)[-len(_HEAD_END) - 1 :]
            more = heard.complete and (self._tail[1:] != _HEAD_END or self._tail[:1] in b"\r\n")
        else:
            more = framing > 0
        if more or heard.messages > self._heads:
            raise RefusedAnswer(_TOO_MUCH)
        self.complete = heard.complete

    def _parse(self, data: bytes) -> None:
        try:
            self._llhttp.feed_data(data)
        except httptools.HttpParserUpgrade:
            text = "it changes to another protocol, which nobody asked for"
        except httptools.HttpParserError as exc:
            text = _TOO_MUCH if self._heard.complete else f"llhttp says: {exc}"
        else:
            return
        raise RefusedAnswer(text)


def _too_long() -> RefusedAnswer:
    return RefusedAnswer(f"it is longer than {MAX_BODY} bytes")
