"""Formats what the command line prints. Only `value_of` touches a value, and only when the user asks to reveal it.

Rule: a text that comes from a server, a user or a file is printed as one line of harmless characters (`printable`). So
it can neither control the terminal (escapes, other controls, marks that turn the direction of writing) nor forge a line
of ours. JSON escapes such characters by itself. Only `get --raw` prints bytes as they are.
"""

from __future__ import annotations

import base64
import errno
import io
import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from secrets_actor.domain.results import SecretDescription, VersionInfo
from secrets_actor.domain.secret import Secret
from secrets_actor.log_fields import PREFIX
from secrets_actor.otp import Tree, TreeNode
from secrets_actor.telemetry.logs import stamp
from secrets_actor.telemetry.redaction import printable


class ClosedOutput(io.TextIOBase):
    """Stands for a standard output that was closed before the program began. Printing to it is an error.

    Python leaves `sys.stdout` None then, and `print` drops the text in silence: a get would seem to have succeeded.
    """

    def write(self, _text: object) -> int:
        """Raise `OSError`, as a closed file descriptor does."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    @property
    def buffer(self) -> Any:
        """The stream for bytes, which is closed as well."""
        return self


def ready_streams() -> None:
    """Prepare the standard streams, so that a closed one does no harm and every text can be printed."""
    for number in range(3):  # else the next file that we open, such as the store, would get a closed stream's number
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = ClosedOutput()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without some character is no reason to fail


def as_json(facts: Any) -> str:
    """Return one line of JSON, in ASCII, which any terminal and any pipe can take."""
    return json.dumps(facts).replace("\x7f", "\\u007f")  # DEL: the one control character that JSON does not escape


class LogLines(logging.Formatter):
    """Formats the log records of `--verbose`: as one object of JSON each, or as lines for people."""

    def __init__(self, as_json: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of *record*. In JSON, the fields have their names without the prefix."""
        if not self._as_json:
            return super().format(record)
        found = {name.removeprefix(PREFIX): fact for name, fact in vars(record).items() if name.startswith(PREFIX)}
        facts = found or {"message": record.getMessage()}
        return as_json({"timestamp": stamp(record.created), "level": record.levelname.lower(), **facts})


def as_lines(facts: Mapping[str, Any]) -> str:
    """Return one line for each fact, with the values aligned."""
    width = max(map(len, facts))
    return "\n".join(f"{name.ljust(width)}  {_in_words(fact)}" for name, fact in facts.items())


def _in_words(fact: Any) -> str:
    match fact:
        case None:
            return "-"
        case bool():
            return "yes" if fact else "no"
        case list():
            return ", ".join([printable(str(one)) for one in fact]) or "-"
    return printable(str(fact))


def secret_facts(secret: Secret) -> dict[str, Any]:
    """Return the facts of a secret, without its value."""
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
    """Return the value for JSON: as text, or bytes in base64."""
    value = secret.reveal()
    if isinstance(value, str):
        return {"value": value}
    return {"value_base64": base64.b64encode(value).decode()}


def info_facts(info: SecretDescription) -> dict[str, Any]:
    """Return the facts of one secret in a list."""
    return {
        "name": info.name,
        "arn": info.arn,
        "description": info.description,
        "created_at": moment(info.created_at),
        "changed_at": moment(info.changed_at),
        "deleted_at": moment(info.deleted_at),
    }


def info_table(infos: Iterable[SecretDescription]) -> str:
    """Return a list as a table: name, last change, and when the deletion was asked for."""
    return _table(
        ("NAME", "CHANGED", "DELETED"),
        [(info.name, moment(info.changed_at) or "-", moment(info.deleted_at) or "") for info in infos],
    )


def description_facts(info: SecretDescription) -> dict[str, Any]:
    """Return all facts of a secret, for JSON: the members of `SecretDescription`, with dates as text."""
    facts = {name: _plain(getattr(info, name)) for name in info.__struct_fields__}
    return facts | {"is_replica": info.is_replica}


def _plain(fact: Any) -> Any:
    match fact:
        case datetime():
            return moment(fact)
        case Struct():
            return {name: _plain(getattr(fact, name)) for name in fact.__struct_fields__}
        case Mapping():
            return {name: _plain(one) for name, one in fact.items()}
        case tuple():
            return [_plain(one) for one in fact]
    return fact


def in_lines(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return *facts* for people: without those that say nothing, and each in one text."""
    return {name: _in_one(fact) for name, fact in facts.items() if fact not in (None, False, [], {}, "")}


def _in_one(fact: Any) -> Any:
    if isinstance(fact, dict):
        return [f"{name}={_joined(one)}" for name, one in fact.items() if one is not None]
    return [_joined(one) for one in fact] if isinstance(fact, list) else fact


def _joined(fact: Any) -> str:
    found = _in_one(fact)
    return "+".join(found) if isinstance(found, list) else str(found)


def version_facts(version: VersionInfo) -> dict[str, Any]:
    """Return the facts of one version."""
    facts: dict[str, Any] = _plain(version)
    return facts


def version_table(versions: Iterable[VersionInfo]) -> str:
    """Return versions as a table: id, date, stages, and the day of the last read."""
    rows = [
        (
            one.version_id,
            moment(one.created_at) or "-",
            ", ".join(one.stages) or "-",
            str(moment(one.accessed_at) or "-")[:10],
        )
        for one in versions
    ]
    return _table(("VERSION", "CREATED", "STAGES", "LAST READ"), rows)


def _table(head: tuple[str, ...], found: Iterable[tuple[str, ...]]) -> str:
    rows = [head, *(tuple(printable(cell) for cell in row) for row in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def moment(when: datetime | None) -> str | None:
    """Return a moment as text that people and programs can read: UTC, in whole seconds. None stays None."""
    return None if when is None else when.isoformat(sep=" ", timespec="seconds")


def drawing(tree: Tree) -> str:
    """Return the tree as text, one line for each process."""
    return "\n".join([printable(line) for line in str(tree).split("\n")])


def tree_facts(tree: Tree) -> dict[str, Any]:
    """Return the tree as data, for JSON."""
    return {"root": _node_facts(tree.root), "disowned": list(tree.disowned)}


def _node_facts(node: TreeNode) -> dict[str, Any]:
    facts: dict[str, Any] = {name: getattr(node, name) for name in node.__struct_fields__ if name != "children"}
    facts["uptime"] = round(node.uptime, 3)
    facts["children"] = [_node_facts(child) for child in node.children]
    return facts
