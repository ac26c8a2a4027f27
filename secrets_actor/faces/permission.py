"""The gate: holds what a caller asks for against the policy, and has each refusal in the audit log.

Rule 1: it is the secret that counts, and not the text that was sent. A name is itself. What an ARN means, only the
        store knows (domain/names.py, rule 2): it may mean one of two names, and it may be that of another account.
Rule 2: if no rule allows any name that an ARN may mean, it is refused without a question to the store.
Rule 3: a rule is about the store's own secrets, those that it finds by their name. An ARN that begins as none of theirs
        (another partition, region or account) is refused, even if there is a secret of the same name here: the daemon's
        role may be let in elsewhere, but no rule says so.
Rule 4: a refusal says the same whether or not there is such a secret. If only one of the names that an ARN may mean is
        allowed, and the store does not find the ARN, it is refused.
Rule 5: if the store cannot be asked what an ARN means, the caller gets that error: nothing was decided.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from secrets_actor.domain.errors import AccessDenied, InvalidRequest, SecretNotFound, SecretsError
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.ports import AuditRecord, AuditSink
from secrets_actor.domain.results import SecretDescription
from secrets_actor.faces.identity import Identity, caller_facts, name_of
from secrets_actor.faces.policy import Decides
from secrets_actor.otp import Clock

# Seconds for which the gate keeps which name an ARN means, or that it means none. It is always the same, but for an ARN
# without its suffix whose secret was created, or deleted for good.
KEPT: Final = 60.0
_MOST_KEPT: Final = 1024
_SOURCE: Final = "policy"
_WHAT: Final = {"admin": "look after the daemon: no rule allows it admin of **"}


class _Known:
    """What is known of the ARNs of one store: how those of its *own* secrets begin, and which name an ARN means (None:
    none), and until when that is kept (clock seconds)."""

    __slots__ = ("meant", "own")

    def __init__(self, own: frozenset[str]) -> None:
        self.own = own
        self.meant: dict[SecretId, tuple[str | None, float]] = {}


class PolicyGate:
    """The gate of one daemon (`service.Gate`). Any thread may use it.

    *policy* returns the rules in force, so that a reload puts others in their place at once. *describe* asks the store
    in the daemon's own name. *clock* gives the times of *audit* records. *own* is how the ARNs of the store's secrets
    begin, such as `arn:aws:secretsmanager:eu-west-1:123456789012:secret:`, if that is known; else the store is asked.
    """

    def __init__(
        self,
        policy: Callable[[], Decides],
        describe: Callable[[str], Awaitable[SecretDescription]],
        audit: AuditSink,
        clock: Clock,
        own: Iterable[str] = (),
    ) -> None:
        self._policy, self._describe, self._audit, self._clock = policy, describe, audit, clock
        self.forget(own)

    def forget(self, own: Iterable[str] = ()) -> None:
        """Forget what the store has said of ARNs, because there is another store now. *own* is as for the gate."""
        self._known = _Known(frozenset(map(_home, own)))

    async def check(self, identity: Identity, action: str, secret_id: str) -> None:
        """Raise `AccessDenied` unless *identity* may do *action* with the secret that *secret_id* means: a name, an
        ARN, or an ARN without its suffix. Raises `InvalidSecretName`, and any other `SecretsError` of the question what
        an ARN means."""
        began, asked, policy = self._clock.now(), SecretId(secret_id), self._policy()
        allowed = [name for name in asked.lanes if policy.decide(identity, action, name).allowed]
        if asked.is_arn and allowed and not (len(allowed) == len(asked.lanes) and _home(asked) in self._known.own):
            try:
                name = await self._name_of(asked)
            except SecretsError as error:
                self._record(identity, action, asked, error.code, began)
                raise
            # By the policy of now: it may have been replaced while the store was asked.
            allowed = [name] if name in allowed and self._policy().decide(identity, action, name).allowed else []
        if not allowed:
            raise self._refusal(identity, action, asked, f"{action} {asked}: no rule allows it", began)

    def may(self, identity: Identity, action: str, name: str) -> bool:
        """Whether *identity* may do *action* with the secret *name*. Writes no audit record: for lists, which show only
        what may be seen."""
        return self._policy().decide(identity, action, name).allowed

    def in_force(self) -> object:
        """What decides now. It is another object once the rules have been replaced."""
        return self._policy()

    def check_any(self, identity: Identity, action: str) -> None:
        """Raise `AccessDenied` unless there is any secret that *identity* may do *action* with; for `admin`, unless it
        may do everything with all secrets. For what is about no one secret, such as a list, or a random password."""
        if not self._policy().decide(identity, action, None).allowed:
            what = _WHAT.get(action, f"{action} any secret: no rule allows it")
            raise self._refusal(identity, action, None, what, self._clock.now())

    async def _name_of(self, arn: SecretId) -> str | None:
        """Return the name of the secret that *arn* means; None if the store has no such secret of its own (rule 3)."""
        known = self._known  # kept: what a former store answers must not get into what is known of another one
        meant, now = known.meant.get(arn), self._clock.now()
        if meant is not None and now < meant[1]:
            return meant[0]
        name: str | None = None
        try:
            found = await self._describe(arn)
            if _home(arn) not in known.own:
                own = await self._describe(found.name)
                known.own |= {_home(own.arn)}
            if _home(arn) in known.own:
                name = found.name
        except (SecretNotFound, InvalidRequest):
            pass
        except AccessDenied:  # that of the daemon's own role, whose record in the audit log says so
            return None
        # Also that there is none. A refusal would else take longer each time than that of a secret which is there, and
        # so tell whether it is.
        if len(known.meant) >= _MOST_KEPT:
            known.meant.clear()
        known.meant[arn] = name, now + KEPT
        return name

    def _refusal(
        self, identity: Identity, action: str, asked: SecretId | None, what: str, began: float
    ) -> AccessDenied:
        """Return the refusal, which is in the audit log then."""
        self._record(identity, action, asked, AccessDenied.code, began)
        return AccessDenied(f"{name_of(identity)} may not {what}")

    def _record(self, identity: Identity, action: str, asked: SecretId | None, outcome: str, began: float) -> None:
        took = self._clock.now() - began
        self._audit.record(AuditRecord(action, asked, outcome, _SOURCE, took, caller=caller_facts(identity)))


def _home(arn: str) -> str:
    """Return how *arn* begins: its partition, region and account."""
    beginning, infix, _ = arn.rpartition(":secret:")  # from the end: a region may be called `secret`
    return beginning if infix else arn
