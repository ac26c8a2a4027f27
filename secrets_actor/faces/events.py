"""The life-cycle events of the faces, in a file of their own: a program that observes them loads no face."""

from typing import Final

from secrets_actor.otp import LifecycleEvent

# The `process` of an event that is about no one listener.
FACES: Final = "faces"


class TokenRenewed(LifecycleEvent, frozen=True):
    """*subject*, such as `token ci` or `key ci`, has another value since now."""

    subject: str


class TokenReadFailed(LifecycleEvent, frozen=True):
    """The value of *subject* cannot be read anew: see *problem*. The value that was read last stays good."""

    subject: str
    problem: str


class ConnectionsRefused(LifecycleEvent, frozen=True):
    """A listener could not take connections: *reason* is the error of the system, such as EMFILE. It tries again each
    second; clients wait meanwhile."""

    reason: str


class HandlerFailed(LifecycleEvent, frozen=True):
    """A face, or the server itself, raised while it answered a request, which got a 500. *reason* is the type of the
    error, and its place."""

    reason: str


class CredentialRefused(LifecycleEvent, frozen=True):
    """The systemd credential *asked* was refused to *unit*, which does not start: see *reason*. For a process that is
    no manager of systemd's, *unit* is that process, and *asked* is empty."""

    unit: str
    asked: str
    reason: str


class Reloaded(LifecycleEvent, frozen=True):
    """The daemon has read its configuration anew, and goes by it."""


class ReloadRefused(LifecycleEvent, frozen=True):
    """The daemon has read its configuration anew, and goes by the one before, because of *mistakes*."""

    mistakes: str
