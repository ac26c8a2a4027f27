"""The life-cycle events of rendered files, in a file of their own: a program that observes them loads nothing that
writes files and starts commands."""

from secrets_actor.otp import LifecycleEvent


class FileRendered(LifecycleEvent, frozen=True):
    """The file *path* has another content, or again the owner and mode that it should have (*what*)."""

    path: str
    what: str


class FileFailed(LifecycleEvent, frozen=True):
    """The file *path* could not be made, or programs could not be told of it: see *problem*."""

    path: str
    problem: str
