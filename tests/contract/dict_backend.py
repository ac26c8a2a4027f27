"""A backend of one's own, as a stranger would write it: secrets in a dictionary, and public names only."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from secrets_actor import Answer, BackendFactory, CallContext, Secret, SecretExists, SecretNotFound, SecretValue
from secrets_actor.errors import UnknownMessage
from secrets_actor.messages import Delete, Get, List, Operation, Set
from secrets_actor.results import DeleteReceipt, SecretInfo, SetReceipt

T = TypeVar("T")
Versions = dict[str, tuple[SecretValue, datetime]]  # by version id, the current one last


class DictBackend:
    """One connection. Several workers have one each, over the same *secrets*, and so they share a *lock*."""

    name = "dict"

    def __init__(self, secrets: dict[str, Versions], lock: threading.Lock) -> None:
        self.secrets, self.lock = secrets, lock

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """The answer; what this store does not know is refused by the error that says so."""
        with self.lock:
            answer: Any
            match operation:
                case Get():
                    answer = self.get(operation)
                case Set():
                    answer = self.set(operation)
                case Delete():
                    answer = self.delete(operation)
                case List():
                    answer = tuple(SecretInfo(name, arn(name)) for name in self.secrets)
                case _:
                    raise UnknownMessage(f"a dictionary has no operation {operation.kind}")
            return Answer(answer, "no request id")

    def get(self, get: Get) -> Secret:
        """The current version, which is the last one, or the one asked for."""
        versions = self.secrets.get(get.secret_id, {})
        wanted = get.version_id or next(reversed(versions), "")
        if wanted not in versions or get.stage not in (None, "AWSCURRENT"):
            raise SecretNotFound(f"the dictionary has no {get.secret_id} in this version")
        value, made = versions[wanted]
        stages = ("AWSCURRENT",) if wanted == next(reversed(versions)) else ()
        return Secret(get.secret_id, arn(get.secret_id), value, wanted, stages, made)

    def set(self, new: Set) -> SetReceipt:
        """A token makes one version, however often it comes: after a crash, the same set comes again."""
        assert new.token is not None, "the client has made one"
        created = new.secret_id not in self.secrets
        versions = self.secrets.setdefault(new.secret_id, {})
        value, _ = versions.setdefault(new.token, (new.value, datetime.now(UTC)))
        if value != new.value:
            raise SecretExists("this token was used for another value")
        return SetReceipt(new.secret_id, arn(new.secret_id), new.token, created)

    def delete(self, old: Delete) -> DeleteReceipt:
        """A dictionary keeps nothing for later."""
        if self.secrets.pop(old.secret_id, None) is None and not old.force:
            raise SecretNotFound(f"the dictionary has no {old.secret_id}")
        return DeleteReceipt(old.secret_id, arn(old.secret_id), datetime.now(UTC) + timedelta())

    def close(self) -> None:
        """Nothing to close."""


def arn(name: str) -> str:
    """The client parses it: it has AWS's form."""
    return f"arn:dict:secretsmanager:here:000000000000:secret:{name}-000000"


def dict_backend_factory() -> BackendFactory:
    """For `start(backend=...)`: a store in a new dictionary."""
    secrets: dict[str, Versions] = {}
    lock = threading.Lock()
    return BackendFactory("dict", lambda: DictBackend(secrets, lock))
