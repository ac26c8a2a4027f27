"""What the command line prints. Only `value_of` ever touches a value, and only when asked to reveal it.

Rule: a text that a server, a user or a file has given is told as one line that prints (`printable`): it can neither
steer a terminal (escapes, other controls, marks that turn the direction of writing) nor forge a line of ours. JSON
escapes these by itself. Only `get --raw` gives bytes as they are.
"""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from secrets_actor.domain.secret import Secret, SecretInfo
from secrets_actor.otp import Tree, TreeNode
from secrets_actor.telemetry.redaction import printable


class ClosedOutput(io.TextIOBase):
    """Stands for a standard output that was closed before we came, so that to print there is an error as any other:
    what was asked for and not told is not done."""

    def write(self, _text: object) -> int:
        """Raises `OSError`."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    @property
    def buffer(self) -> Any:
        """For bytes."""
        return self


def ready_streams() -> None:
    """Make of the standard streams what printing relies on."""
    for number in range(3):  # a file of ours must not get the number of a stream that is closed
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = ClosedOutput()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that cannot show it all is no reason to fail


def as_json(facts: Any) -> str:
    """One line of JSON, in ASCII: any terminal and any pipe can take it."""
    return json.dumps(facts).replace("\x7f", "\\u007f")  # the one control that JSON lets through


def as_lines(facts: Mapping[str, Any]) -> str:
    """One line a fact, aligned."""
    width = max(map(len, facts))
    return "\n".join(f"{name.ljust(width)}  {_in_words(fact)}" for name, fact in facts.items())


def _in_words(fact: Any) -> str:
    match fact:
        case None:
            return "-"
        case bool():
            return "yes" if fact else "no"
        case list():
            return ", ".join([printable(str(one)) for one in fact])
    return printable(str(fact))


def secret_facts(secret: Secret) -> dict[str, Any]:
    """What is told of a secret without its value."""
    return {
        "name": secret.name,
        "arn": secret.arn,
        "version_id": secret.version_id,
        "stages": list(secret.stages),
        "created_at": moment(secret.created_at),
        "kind": "text" if secret.value.is_text else "binary",
        "age": round(secret.age, 3),
        "stale": secret.stale,
        "source": str(secret.source),
    }


def value_of(secret: Secret) -> dict[str, str]:
    """The value for JSON: as text, or in base64."""
    value = secret.reveal()
    if isinstance(value, str):
        return {"value": value}
    return {"value_base64": base64.b64encode(value).decode()}


def info_facts(info: SecretInfo) -> dict[str, Any]:
    """What a list tells of one secret."""
    return {
        "name": info.name,
        "arn": info.arn,
        "description": info.description,
        "created_at": moment(info.created_at),
        "changed_at": moment(info.changed_at),
        "deleted_at": moment(info.deleted_at),
    }


def info_table(infos: Iterable[SecretInfo]) -> str:
    """A list as a table: name, last change, and when its deletion was asked for."""
    rows = [("NAME", "CHANGED", "DELETED")]
    rows += [(printable(info.name), moment(info.changed_at) or "-", moment(info.deleted_at) or "") for info in infos]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def moment(when: datetime | None) -> str | None:
    """A time as people and programs read it: UTC, whole seconds."""
    return None if when is None else when.isoformat(sep=" ", timespec="seconds")


def drawing(tree: Tree) -> str:
    """The tree, one line a process."""
    return "\n".join([printable(line) for line in str(tree).split("\n")])


def tree_facts(tree: Tree) -> dict[str, Any]:
    """The tree as data."""
    return {"root": _node_facts(tree.root), "disowned": list(tree.disowned)}


def _node_facts(node: TreeNode) -> dict[str, Any]:
    facts: dict[str, Any] = {name: getattr(node, name) for name in node.__struct_fields__ if name != "children"}
    facts["uptime"] = round(node.uptime, 3)
    facts["children"] = [_node_facts(child) for child in node.children]
    return facts
