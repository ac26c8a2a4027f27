"""How the facts of our events stand in the records of the program's own logging: each is a field, and the message tells
all of them to people. PURE.

Rule 1: each fact is an attribute of the `logging.LogRecord`, as `extra` makes them, so that any formatter can show it:
        `%(secrets_actor_secret_id)s`. The name has a prefix, because `logging` raises KeyError for an attribute that
        the record has already. `process` is one that every record has; a program that marks its records may have put
        there another, such as `request_id`.
Rule 2: the message is for programs that show nothing but the message. It is the name of the event, and then each fact
        as name=value (logfmt).
Rule 3: nothing is masked here. Callers give only facts that may be shown.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

# The same prefix as that of our metrics. `secrets_actor_event` is the name of the event.
PREFIX: Final = "secrets_actor_"
_WORD_START: Final = re.compile(r"(?<!^)(?<![A-Z])(?=[A-Z])")
# A text that needs no quotation marks. Such marks, an equals sign or a space would make it look like something else.
_BARE: Final = re.compile(r'[^\s"=]+')


def event_name(kind: str) -> str:
    """Return the name in the log of an event of the class *kind*: `SupervisorGaveUp` becomes `supervisor_gave_up`."""
    return _WORD_START.sub("_", kind).lower()


def fields(event: str, facts: Mapping[str, object]) -> dict[str, object]:
    """Return the attributes that a record of *event* with these *facts* has, for `extra`."""
    return {f"{PREFIX}event": event, **{f"{PREFIX}{name}": fact for name, fact in facts.items()}}


def message(event: str, facts: Mapping[str, object]) -> tuple[str, tuple[str, ...]]:
    """Return the message of a record of *event* and the arguments that belong into it. Facts that are None are left
    out.

    The first part is the same for all records of one event. So tools that put alike records together find them.
    """
    told = " ".join([f"{name}={_text(fact)}" for name, fact in facts.items() if fact is not None])
    # Without arguments `logging` takes the message as it is, with them it takes each % for the begin of a place.
    return (f"{event.replace('%', '%%')} %s", (told,)) if told else (event, ())


def _text(fact: object) -> str:
    text = ",".join(map(_plain, fact)) if isinstance(fact, list | tuple) else _plain(fact)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _plain(fact: object) -> str:
    return fact if isinstance(fact, str) else json.dumps(fact)
