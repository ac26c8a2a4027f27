"""What the records of the standard library's logging tell."""

import logging
from typing import Any

from secrets_actor.log_fields import PREFIX


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a record of ours, `event` and all facts, by their names without the prefix."""
    return {name.removeprefix(PREFIX): fact for name, fact in vars(record).items() if name.startswith(PREFIX)}
