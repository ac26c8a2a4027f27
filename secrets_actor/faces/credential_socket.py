"""Gives systemd the credentials of units: the face `systemd`, which is alone on its socket. The door to asyncio of such
a connection; what systemd asks for is in systemd_credentials.py.

Rule 1: a refusal has to fail the unit. systemd reads up to the end, and takes what it has read for the credential: an
        empty one, if the connection is closed at once, and the unit starts with that (seen on systemd 252). There is no
        channel for errors, but a credential of more than 1 MiB is one: the unit does not start (243/CREDENTIALS). So a
        refusal is more than 1 MiB.
Rule 2: each connection that was accepted gets the value or the refusal, also one of too many, one whose answer takes
        too long, and one that is under way when the listener ends. Only when the process itself is killed is
        nothing sent, or a part of a refusal; the latter also if the listener ends and systemd reads nothing for a
        second. A connection that was not accepted yet is reset by the kernel, and the unit does not start.
Rule 3: a value leaves in one piece, and fits into the kernel's buffer: a part of a value would pass for a whole one.
Rule 4: why a unit was refused stands in the audit log and in the daemon's own: systemd's says no more than that the
        credential is too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from secrets_actor.clock import now
from secrets_actor.domain import metrics
from secrets_actor.domain.errors import InvalidInput, SecretsError
from secrets_actor.domain.ports import AuditRecord
from secrets_actor.domain.references import Reference, member_of
from secrets_actor.domain.secret import MAX_VALUE_BYTES
from secrets_actor.faces.connection import Refusal
from secrets_actor.faces.events import CredentialRefused
from secrets_actor.faces.identity import Identity, Peer, caller_facts, name_of
from secrets_actor.faces.peer import Caller, caller_at
from secrets_actor.faces.service import Service
from secrets_actor.faces.systemd_credentials import MOST_BYTES, CredentialRow, Wanted, identity_of, meant_by, wanted_at

if TYPE_CHECKING:
    from secrets_actor.domain.secret import Secret
    from secrets_actor.faces.server import Server

NAME: Final = "systemd"
_GET: Final = "get"
# A piece of the refusal, and how many of them are sent: a quarter more than systemd takes, because it takes an eighth
# more where the credential is encrypted. It is in words, for whoever connects by hand.
_WORDS: Final = b"refused: the audit log of secrets-actor says why\n"
_PIECE: Final = (_WORDS * (65_536 // len(_WORDS) + 1))[:65_536]
_PIECES: Final = MOST_BYTES * 5 // 4 // len(_PIECE)
# Seconds for one refusal that is sent from outside of a loop that hangs.
_LAST_PATIENCE: Final = 1.0
_CROWDED: Final = Refusal(429, "connections", "there are too many connections: start fewer units at a time")
_LATE: Final = Refusal(504, "late", "the answer took too long")


class Asked(Struct, frozen=True):
    """One question of systemd's, by its connection: *wanted* is what the name of its end says; None if that is no name
    that a manager gives. *peer* is the process there."""

    wanted: Wanted | None
    peer: Peer


class CredentialFace:
    """The face `systemd`. *rows* say which secret is meant. *process* is the listener's label, for events. *own* is the
    user that the daemon runs as."""

    name = NAME

    def __init__(self, service: Service, rows: Sequence[CredentialRow], process: str, own: int) -> None:
        self._service, self._rows, self._process, self._own = service, tuple(rows), process, own

    async def __call__(self, asked: Asked) -> bytes | CredentialRefused:
        """Return the value of what is *asked*, or why it is refused: then that is in the audit log, too."""
        found = await self._answer(asked)
        self._service.meter.count(metrics.FACE_REQUESTS, self.name, "ok" if isinstance(found, bytes) else "refused")
        return found

    async def _answer(self, asked: Asked) -> bytes | CredentialRefused:
        wanted, peer = asked.wanted, asked.peer
        identity = None if wanted is None or peer.uid is None else identity_of(wanted, peer.uid, self._own)
        if wanted is None or identity is None:
            self._service.note_unproven(peer, _GET)
            who = name_of(Identity(peer))
            return CredentialRefused(self._process, who, "", "it is no manager of units that are served here")
        began = self._service.clock.now()
        try:
            reference = meant_by(self._rows, wanted).reference
        except InvalidInput as error:
            return self._refused(identity, wanted, error, None, began)
        try:
            await self._service.gate.check(identity, _GET, reference.name)
            secret = await self._service.client(identity).get(reference.name, stage=reference.stage)
        except SecretsError as error:  # the audit log has it already
            return self._told(wanted, error)
        try:
            return _content(secret, reference)
        except SecretsError as error:
            return self._refused(identity, wanted, error, reference.name, began)

    def _refused(
        self, identity: Identity, wanted: Wanted, error: SecretsError, secret_id: str | None, began: float
    ) -> CredentialRefused:
        """Have in the audit log that *wanted* is refused, because of *error*."""
        took, caller = self._service.clock.now() - began, caller_facts(identity)
        self._service.audit.record(AuditRecord(_GET, secret_id, error.code, NAME, took, caller=caller))
        return self._told(wanted, error)

    def _told(self, wanted: Wanted, error: SecretsError) -> CredentialRefused:
        return CredentialRefused(self._process, wanted.unit, wanted.credential, str(error))


def _content(secret: Secret, reference: Reference) -> bytes:
    """Return what the file will hold: the value of *secret*, or the member of it that *reference* names."""
    value = secret.reveal()
    if reference.member:
        value = member_of(value, reference.member)
    return value.encode() if isinstance(value, str) else value


class CredentialConnection(asyncio.Protocol):
    """One connection of systemd's (`server.Spoken`). It is asked from its beginning, then answered or refused."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self._server, self._loop = server, loop
        self.counted: object = None
        self.due = now() + server.limits.request_seconds
        self._task: asyncio.Task[None] | None = None
        self._transport: Any = None
        self._wanted: Wanted | None = None
        self._pieces = 0  # of the refusal, which are still to be sent
        self._paused = self._answered = False

    def connection_made(self, transport: Any) -> None:
        """Begin to answer: all that is asked is in the name of the other end."""
        self._transport, server = transport, self._server
        server.state.connections.add(self)  # type: ignore[arg-type]  # uvicorn's own type is another one
        transport.pause_reading()  # systemd sends nothing, and has closed that half by now
        connection = transport.get_extra_info("socket")
        # Rule 3. The kernel gives as much of that as net.core.wmem_max allows, and its default is enough.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_VALUE_BYTES)
        caller = caller_at(connection)
        if caller is None:
            transport.abort()  # it has gone already
            return
        may_be_manager = caller.uid in (0, os.geteuid())
        if may_be_manager:  # any other process may give its end any name: the log would tell of units without end
            self._wanted = wanted_at(transport.get_extra_info("peername"))
        if server.admits(caller.uid):
            self.counted = caller.uid
            self._task = self._loop.create_task(self._answer(caller))
        else:
            self._note(_CROWDED)
            if may_be_manager or len(server.state.connections) <= 2 * server.most:
                self._refuse()
            else:
                transport.abort()  # no manager that is served here, and so many that memory counts

    def _note(self, refusal: Refusal) -> None:
        """Count *refusal*, and tell of it: it is the server's own, and no face has seen it."""
        self._server.count(refusal)
        if self._wanted is not None:
            unit, asked = self._wanted.unit, self._wanted.credential
            self._server.report(CredentialRefused(self._server.label, unit, asked, refusal.text))

    async def _answer(self, caller: Caller) -> None:
        found: object = None
        try:
            found = await self._server.handle(Asked(self._wanted, await self._server.names.find(caller)))
        except asyncio.CancelledError:
            pass  # it is refused already, or the other end has gone
        except BaseException as error:  # noqa: BLE001  # SystemExit, too, is only this one's
            self._server.failed(error)
        self._server.answered += 1
        if not isinstance(found, bytes):
            if isinstance(found, CredentialRefused):
                self._server.report(found)
            self._refuse()
        elif not self._answered:
            self._answered = True
            self._transport.write(found)
            self._transport.close()

    def _refuse(self) -> None:
        """Send the refusal (rule 1), as fast as it is read."""
        if not self._answered:
            self._answered, self._pieces = True, _PIECES
            self._send()

    def _send(self) -> None:
        self.due = now() + self._server.limits.idle_seconds  # for the other end, to read some of it
        while self._pieces and not self._paused:
            self._pieces -= 1
            self._transport.write(_PIECE)
        if not self._pieces:
            self._transport.close()

    def pause_writing(self) -> None:
        """Wait until the other end reads."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on with the refusal; not at once: a transport that is closed in here is closed twice (CPython 3.11 to
        3.13, `_write_ready`)."""
        self._paused = False
        self._loop.call_soon(self._send)

    def connection_lost(self, _error: Exception | None) -> None:
        """Stop: nobody waits for the answer any more."""
        self._server.state.connections.discard(self)
        self._server.gone(self)
        self._answered, self._pieces = True, 0
        if self._task is not None:
            self._task.cancel()

    # --- for the server -------------------------------------------------------------------------------------------

    def over(self, _moment: float) -> None:
        """Refuse what has taken too long. An end that does not read is closed."""
        if self._answered:
            self._transport.abort()
        else:
            self._note(_LATE)
            self.abandon()

    def drain(self) -> None:
        """Do nothing: it ends by itself once it is answered."""

    def abandon(self) -> None:
        """Refuse what is not answered yet (rule 2)."""
        if self._task is not None:
            self._task.cancel()
        self._refuse()

    def cut(self) -> None:
        """Refuse what is not answered yet, from outside of the loop, which hangs."""
        with contextlib.suppress(OSError, AttributeError):  # it was closed meanwhile, or has not begun
            with self._transport.get_extra_info("socket").dup() as copy:
                copy.settimeout(_LAST_PATIENCE)
                for _ in range(0 if self._answered else _PIECES):
                    copy.sendall(_PIECE)
                copy.shutdown(socket.SHUT_RDWR)
