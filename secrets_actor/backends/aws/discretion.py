"""What httpcore may log of our exchanges. At DEBUG it writes out an answer's headers, and the error over an answer that
it cannot parse, which quotes that answer.

Rule 1: a record made in an exchange of ours keeps its event and the type of its exception, and loses the rest.
Rule 2: records made in any other thread belong to the host program, and stay as they are.
"""

import logging
import re
import threading
from typing import Final

LOGGERS: Final = ("httpcore.connection", "httpcore.http11")
_TOLD: Final = re.compile(r" (?:(exception=\w+)|return_value=).*", re.DOTALL)


class Here(threading.local):
    """Whether this thread is in an exchange of ours."""

    in_exchange: bool = False


here: Final = Here()


def shorten(record: logging.LogRecord) -> bool:
    """A filter for loggers: rule 1. Lets every record pass."""
    if here.in_exchange and isinstance(record.msg, str):
        record.msg = _TOLD.sub(lambda found: f" {found[1]}" if found[1] else "", record.msg)
    return True


def watch() -> None:
    """From now on httpcore's loggers pass through `shorten`; nothing if they do."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(shorten)
