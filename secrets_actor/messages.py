"""What other actors `ask` and `tell`, and what `Secrets.ask` takes: one message for each operation, and its parts.

A message is frozen, is checked when it is made, and has the type of its answer: `ask(Get("db"))` is a `Secret`.
`List`, `Set` and their like have the names of builtins and of typing, so import this module rather than the names:
`from secrets_actor import messages`.

Any pykka actor of a program can ask. `System.ref` holds a name, so it survives restarts. The answer may come later, so
only the actor that waits is blocked. An actor that must not wait tells `Ask`, and is told `Answered`:

    import pykka

    import secrets_actor
    from secrets_actor import otp
    from secrets_actor.messages import Answered, Ask, Get

    class Mailer(pykka.ThreadingActor):
        def __init__(self, secrets: otp.NamedRef) -> None:
            super().__init__()
            self.secrets = secrets
            self.version: str | None = None

        def on_receive(self, message: object) -> object:
            match message:
                case "ask and wait":
                    return self.secrets.ask(Get("smtp/password")).version_id
                case "ask and go on":
                    return self.secrets.ask(Get("smtp/password"), block=False)   # a future
                case "tell":
                    self.secrets.tell(Ask(Get("smtp/password"), reply_to=self.actor_ref, tag="smtp"))
                case Answered(tag="smtp"):
                    self.version = message.result().version_id         # a Secret, or raises a SecretsError
                case "done?":
                    return self.version
            return None

    with secrets_actor.start() as system:
        receipt = system.secrets.set("smtp/password", "correct horse")
        mailer = Mailer.start(system.ref)
        assert mailer.ask("ask and wait") == receipt.version_id
        assert mailer.ask("ask and go on").get().version_id == receipt.version_id
        mailer.tell("tell")
        while (version := mailer.ask("done?")) is None:
            pass
        assert version == receipt.version_id
        mailer.stop()
"""

from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import (
    AWSCURRENT,
    AWSPENDING,
    AWSPREVIOUS,
    AssociateReplica,
    CancelRotation,
    Create,
    CreateEmpty,
    CurrentVersions,
    Delete,
    DeletePolicy,
    Describe,
    DisassociateReplica,
    Filter,
    FilterKey,
    Generated,
    Get,
    GetMany,
    GetPolicy,
    Invalidate,
    List,
    ListPage,
    ListPolicies,
    ListVersions,
    MoveStage,
    Operation,
    Put,
    PutPolicy,
    RandomPassword,
    Regenerate,
    RemoveRegions,
    Replicate,
    Request,
    Restore,
    Rotate,
    Set,
    SortBy,
    StopReplication,
    Tag,
    Untag,
    Update,
    ValidatePolicy,
)
from secrets_actor.otp import Answered, Ask

__all__ = [
    "AWSCURRENT",
    "AWSPENDING",
    "AWSPREVIOUS",
    "Answered",
    "Ask",
    "AssociateReplica",
    "CancelRotation",
    "Create",
    "CreateEmpty",
    "CurrentVersions",
    "Delete",
    "DeletePolicy",
    "Describe",
    "DisassociateReplica",
    "Filter",
    "FilterKey",
    "Generated",
    "Get",
    "GetMany",
    "GetPolicy",
    "Invalidate",
    "List",
    "ListPage",
    "ListPolicies",
    "ListVersions",
    "MoveStage",
    "Operation",
    "Put",
    "PutPolicy",
    "RandomPassword",
    "Regenerate",
    "RemoveRegions",
    "Replicate",
    "Request",
    "Restore",
    "Rotate",
    "SecretId",
    "Set",
    "SortBy",
    "StopReplication",
    "Tag",
    "Untag",
    "Update",
    "ValidatePolicy",
]
