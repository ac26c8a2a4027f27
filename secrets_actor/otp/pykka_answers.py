"""Answers to requests that came through pykka: they go into a pykka future, or are told to the actor that asked.

They stand apart from `process.py`, because they know the handle of a call only, and nothing of processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from secrets_actor.otp.messages import Answered, Ask
from secrets_actor.otp.reply import From

Translator = Callable[[BaseException], BaseException]


def fail(future: Any, error: BaseException) -> None:
    """Have *future* raise *error*."""
    future.set_exception((type(error), error, None))


def answer_to_future(future: Any, translate: Translator) -> From[Any]:
    """Return a From whose answer goes into a pykka future. Its deadline is that of the future, if `NamedRef.ask` has
    set one."""

    def settle(caller: From[Any]) -> None:
        with contextlib.suppress(BaseException):  # the program that holds the future may have set it already
            if caller.error is None:
                future.set(caller.result())
            else:
                fail(future, translate(caller.error))

    caller: From[Any] = From(getattr(future, "deadline", None))
    caller.on_settled(settle)
    return caller


def answer_by_tell(ask: Ask, translate: Translator) -> From[Any]:
    """Return a From whose answer is told to the actor that asked, as an `Answered` with the tag of *ask*."""

    def settle(caller: From[Any]) -> None:
        error = caller.error
        answer = (
            Answered(ask.tag, value=caller.result()) if error is None else Answered(ask.tag, error=translate(error))
        )
        with contextlib.suppress(BaseException):  # the actor may have ended, or *reply_to* may be no actor at all
            ask.reply_to.tell(answer)

    caller: From[Any] = From()
    caller.on_settled(settle)
    return caller
