"""What the faces use of the system that they serve."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from secrets_actor.client.async_secrets import AsyncSecrets
from secrets_actor.domain.errors import AccessDenied
from secrets_actor.domain.metrics import Meter
from secrets_actor.domain.ports import AuditRecord, AuditSink
from secrets_actor.faces.identity import Identity, Peer, caller_facts
from secrets_actor.otp import Clock


class Gate(Protocol):
    """The policy, as the faces ask it. `permission.py` has it.

    An *action* is a word of policy.py, such as `get` or `describe`. Refusals raise `AccessDenied`, with a text that
    names the caller, the action and the id that it asked for, and does not say whether there is such a secret. They are
    in the audit log when this raises.
    """

    async def check(self, identity: Identity, action: str, secret_id: str) -> None:
        """Raise `AccessDenied` unless *identity* may do *action* with the secret that *secret_id* (a name, an ARN, or
        an ARN without its suffix) means; and `InvalidSecretName`. It may ask the store what an ARN means."""

    def may(self, identity: Identity, action: str, name: str) -> bool:
        """Whether *identity* may do *action* with the secret *name*. Writes no audit record: for lists, which show only
        what may be seen."""

    def in_force(self) -> object:
        """What decides now. It is another object once the rules have been replaced: an answer that was waited for
        meanwhile is judged again, because it may be that of another store."""

    def check_any(self, identity: Identity, action: str) -> None:
        """Raise `AccessDenied` unless there is any secret that *identity* may do *action* with. For what is about no
        one secret, such as a list, or a random password."""


class Service(Struct, frozen=True):
    """What the faces use of the system that they serve.

    *client* returns the client that asks in the name of a caller: it keeps those of recent callers, so that asking for
    one again costs little.
    """

    client: Callable[[Identity], AsyncSecrets]
    gate: Gate
    audit: AuditSink
    clock: Clock
    meter: Meter

    def note_unproven(self, peer: Peer, action: str) -> None:
        """Have in the audit log that a caller was refused *action*, because it showed no token or signature, or one
        that is not good: who tries tokens, or keys that have ended, is to be seen. Which secret it would have asked for
        was not looked at."""
        self.audit.record(
            AuditRecord(action, None, AccessDenied.code, "proof", 0.0, caller=caller_facts(Identity(peer)))
        )
