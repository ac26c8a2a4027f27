"""Which functions want somebody to await them."""

import asyncio
import re
import types
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from secrets_actor.coroutines import is_async
from secrets_actor.domain.callbacks import done, plain
from secrets_actor.domain.errors import InvalidParameter


async def coroutine_function(change: object = None) -> None:
    """Nothing."""


async def generator(change: object = None) -> AsyncIterator[int]:
    yield 1


@types.coroutine
def old_style(change: object = None) -> Any:
    yield


def plain_generator(change: object = None) -> Iterator[int]:
    yield 1


def function(change: object = None) -> str:
    return "done"


class Holder:
    async def method(self, change: object = None) -> None:
        """Nothing."""

    @staticmethod
    async def static(change: object = None) -> None:
        """Nothing."""

    def plain_method(self, change: object = None) -> None:
        """Nothing."""


class AsyncCallable:
    async def __call__(self, change: object = None) -> None:
        """Nothing."""


class PlainCallable:
    def __call__(self, change: object = None) -> None:
        """Nothing."""


def told_of(one: object) -> str:
    """*one* as it is in every process: without its address."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(one))


@pytest.mark.parametrize(
    "given",
    [
        *(coroutine_function, generator, old_style, Holder().method, Holder.static, AsyncCallable()),
        *(partial(coroutine_function, 1), partial(partial(Holder().method), 1)),
    ],
    ids=told_of,
)
def test_a_coroutine_function_is_told_in_all_its_forms(given: Callable[..., Any]) -> None:
    assert is_async(given)
    with pytest.raises(InvalidParameter, match="callback: a plain function"):
        plain("callback", given)


@pytest.mark.parametrize(
    "given",
    [
        function,
        Holder().plain_method,
        PlainCallable(),
        partial(function, 1),
        print,
        [].append,
        Holder,
        None,
    ],
    ids=told_of,
)
def test_everything_else_is_left_as_it_is(given: Any) -> None:
    assert not is_async(given)
    assert plain("callback", given) is given


@pytest.mark.parametrize("make", [coroutine_function, generator, old_style, plain_generator], ids=told_of)
@pytest.mark.filterwarnings("error")
def test_what_nobody_would_run_is_told_by_what_a_function_returns(make: Callable[[], Any]) -> None:
    with pytest.raises(InvalidParameter, match="on_give_up: a plain function"):
        done("on_give_up", make())


def test_what_runs_by_itself_is_nobodys_concern() -> None:
    async def run() -> None:
        task = asyncio.ensure_future(coroutine_function())
        assert done("callback", task) is task
        await task

    asyncio.run(run())
    assert done("callback", function()) == "done"
