"""The source of tokens: logs in, keeps the token alive, and gives it back at the end.

Rule 1: there is one token at a time for all workers. A fetch makes it live longer, or finds out that it is alive; it
        logs in only if there is none, or none that can live on (`token_life.py`).
Rule 2: after an outage the token stays as it is, and so does everything else. A fetch before the token is due returns
        it; one that was to renew it fails, and the secrets actor uses the old one on. If it has none, because it was
        started anew, it gets the old one by `held`.
Rule 3: after a login that the server refused, or could not judge, the same login is not tried again for a while: each
        fetch gets that error. Other material is tried at once.
Rule 4: only tokens that we logged in for are revoked, and all of them that are alive: the one before the present one,
        too, which lives on for a while after a login anew.
Rule 5: a fetch that hung may end late, beside another one. Each of these steps is one assignment, so at worst a token
        too many was made; it is revoked at the end like the others.
"""

import random
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, ClassVar

from secrets_actor.backends.vault.auth.login import LoginClient, LoginMethod
from secrets_actor.backends.vault.auth.token_life import Granted, Step, TokenLife, life_of, pause_after
from secrets_actor.backends.vault.call_runner import Connection
from secrets_actor.backends.vault.vault_credentials import VaultCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.clock import utc_now
from secrets_actor.domain.errors import (
    AccessDenied,
    ExpiredToken,
    InvalidRequest,
    LoginRefused,
    LoginUnavailable,
    SecretsError,
)
from secrets_actor.domain.secret import SecretValue
from secrets_actor.structs import Opaque


class _Held(Opaque):
    """The token in use, and its life. *ours*: we logged in for it, and it can be revoked."""

    __slots__ = ("accessor", "life", "ours", "token")
    SHOWN: ClassVar = ("life", "ours")

    def __init__(self, token: SecretValue, accessor: str | None, life: TokenLife, *, ours: bool) -> None:
        self.token, self.accessor, self.life, self.ours = token, accessor, life, ours


class _Barred(Opaque):
    """A login with *material* has met *error* so many times in a row, and is not tried before *until* (clock
    seconds)."""

    __slots__ = ("error", "failures", "material", "until")
    SHOWN: ClassVar = ("error", "failures", "until")

    def __init__(self, material: SecretValue, error: SecretsError, failures: int, until: float) -> None:
        self.material, self.error, self.failures, self.until = material, error, failures, until


class TokenSource:
    """Tokens by *method*, over a connection that *connect* opens for each fetch. *revoke*: whether `release` revokes
    them. *clock* gives clock seconds, *wall_clock* the date (UTC), *dice* numbers from 0 to 1.

    All workers have this one source. It outlives them, and the secrets actor, too.
    """

    def __init__(
        self,
        method: LoginMethod,
        connect: Callable[[], Connection],
        *,
        revoke: bool = True,
        clock: Callable[[], float] = clock_now,
        wall_clock: Callable[[], datetime] = utc_now,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._method, self._connect, self._revoke = method, connect, revoke
        self._clock, self._wall_clock, self._dice = clock, wall_clock, dice
        self._held: _Held | None = None
        self._made: tuple[_Held, ...] = ()  # all that we logged in for, but for those that have ended (rule 4)
        self._barred: _Barred | None = None

    def fetch(self, deadline: float) -> VaultCredentials:
        """Return a token that is alive, by *deadline* (clock seconds).

        Raises `LoginRefused`, `LoginUnavailable`, `LoginIncomplete` and `ExpiredToken` (a token that we cannot
        replace), and the errors of a server that cannot be reached.
        """
        return self._credentials(self._alive(deadline))

    def held(self) -> VaultCredentials | None:
        """Return the token in use, unless it has ended by our clock, or was refused."""
        held = self._held
        return None if held is None or held.life.left(self._clock()) <= 0 else self._credentials(held)

    def _alive(self, deadline: float) -> _Held:
        with closing(self._connect()) as connection:
            client = LoginClient(connection, deadline)
            material = None if self._method.makes_tokens else self._method.material(deadline)
            held = self._held
            if held is not None and (material is None or material == held.token):
                held = self._kept(held, client)
                if held is not None:
                    return held
            return self._logged_in(client, material or self._method.material(deadline))

    def release(self, deadline: float) -> None:
        """Revoke what we logged in for, by *deadline* (clock seconds). Raises the error of the first that could not be
        revoked, after all were tried."""
        made, self._made, self._held = self._made, (), None
        if not (self._revoke and made):
            return
        error: SecretsError | None = None
        with closing(self._connect()) as connection:
            client = LoginClient(connection, deadline)
            for one in made:
                try:
                    client.revoke(one.token)
                except ExpiredToken:
                    continue  # it has ended, or somebody else was quicker
                except SecretsError as exc:
                    error = error or exc.clone()
        if error is not None:
            raise error

    # --- the token that there is ----------------------------------------------------------------------------------

    def _kept(self, held: _Held, client: LoginClient) -> _Held | None:
        """Return *held*, which may live longer now; None if it is to be replaced."""
        asked = self._clock()
        step = held.life.next_step(asked)
        if client.is_dead(held.token):
            self._held = None
            return None
        if step is Step.KEEP:
            return held
        if step is Step.LOG_IN:
            if self._method.makes_tokens:
                return None
            step = Step.CHECK  # it cannot be replaced: use it as long as it is alive
        error: SecretsError | None = None
        try:
            if step is Step.RENEW:
                return self._after_renewal(held, client.renew(held.token), asked)
            found = client.look_up(held.token)
            life = held.life.looked_up(found, asked)
            return self._keep(_Held(held.token, held.accessor, life, ours=held.ours))
        except ExpiredToken:
            self._held = None
            return None
        except (AccessDenied, InvalidRequest):
            # It is alive, and may not be renewed (or not ask). So it is used until it is due, and then replaced.
            if step is Step.CHECK:
                return held
            held = self._keep(_Held(held.token, held.accessor, held.life.fixed(), ours=held.ours))
        except SecretsError as exc:
            if step is Step.CHECK and held.life.left(asked) > 0:
                return held  # rule 2
            error = exc.clone()
        if error is not None:
            raise error
        return None if self._method.makes_tokens else held

    def _after_renewal(self, held: _Held, granted: Granted, asked: float) -> _Held | None:
        life = held.life.renewed(granted.lasts, renewable=granted.renewable, asked=asked)
        kept = self._keep(_Held(held.token, held.accessor, life, ours=held.ours))
        return kept if life.grows or not self._method.makes_tokens else None

    def _keep(self, held: _Held) -> _Held:
        self._made = tuple([held if one.token == held.token else one for one in self._made])
        self._held = held
        return held

    # --- another one ----------------------------------------------------------------------------------------------

    def _logged_in(self, client: LoginClient, material: SecretValue) -> _Held:
        barred, asked = self._barred, self._clock()
        again = barred is not None and barred.material == material
        if barred is not None and again and asked < barred.until:
            raise _later(barred.error, barred.until - asked)
        try:
            granted = self._method.log_in(material, client)
        except (LoginRefused, LoginUnavailable, ExpiredToken) as exc:
            error, failures = exc.clone(), 1 + (barred.failures if barred is not None and again else 0)
        else:
            self._barred = None
            held = _Held(granted.token, granted.accessor, life_of(granted, asked), ours=self._method.makes_tokens)
            if held.ours and not granted.is_batch:
                self._made = (*[one for one in self._made if one.life.left(asked) > 0], held)
            self._held = held
            return held
        pause = pause_after(failures, counted=self._method.locks_out and isinstance(error, LoginRefused))
        self._barred = _Barred(material, error, failures, self._clock() + pause)
        raise _later(error, pause)

    def _credentials(self, held: _Held) -> VaultCredentials:
        """Return *held* with its dates. They are told by the wall clock of now, from the seconds that are left."""
        life, clock, wall = held.life, self._clock(), self._wall_clock()
        due = life.renew_at(self._dice())
        return VaultCredentials(
            held.token,
            held.accessor,
            None if life.lasts is None else wall + timedelta(seconds=life.left(clock)),
            None if due is None else wall + timedelta(seconds=due - clock),
        )

    def __repr__(self) -> str:
        return f"<TokenSource {self._method!r}>"


def _later(error: Any, seconds: float) -> SecretsError:
    """Return a copy of *error* that says when the login is tried again."""
    found: SecretsError = error.clone()
    if isinstance(found, (LoginRefused, LoginUnavailable)):
        found.retry_after = seconds
        found.args = (f"{error}. The same login is not tried again for {seconds:.0f} s; another one is, at once",)
    return found
