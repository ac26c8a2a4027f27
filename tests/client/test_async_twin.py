"""The client for asyncio is made from the one for threads, and is the same but for the waiting."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from secrets_actor import AsyncSecrets, Secrets
from tests.async_twin import CLIENT, HEAD, NoTwin, Twin, edited, generated
from tests.servers.process import ROOT

METHODS = sorted(name for name in dir(Secrets) if not name.startswith("_") and callable(getattr(Secrets, name)))
# A raw value is masked in a plain method, which returns the coroutine.
PLAIN = {"set", "create", "put", "update", "request"}


@pytest.mark.parametrize("path", generated(), ids=lambda path: path.name)
def test_what_was_made_is_up_to_date(path: Path) -> None:
    assert path.read_text() == generated()[path], "run `python -m tests.async_twin`"
    assert path.read_text().startswith(HEAD.split("{}")[0])


def test_nothing_else_is_made_by_hand() -> None:
    assert {path.name for path in CLIENT.glob("async_*.py")} == {path.name for path in generated()}


def test_both_have_the_same_methods() -> None:
    assert len(METHODS) > 25
    assert (
        sorted(name for name in dir(AsyncSecrets) if not name.startswith("_") and callable(getattr(AsyncSecrets, name)))
        == METHODS
    )


@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_and_answers_the_same(name: str) -> None:
    one, other = getattr(Secrets, name), getattr(AsyncSecrets, name)
    here, there = inspect.signature(one), inspect.signature(other)
    expected = here.return_annotation.replace("Iterator[", "AsyncIterator[")
    if name in PLAIN:
        expected = f"Coroutine[None, None, {expected}]"

    assert there.return_annotation == expected
    assert [str(given).replace("Awaitable[T]", "T") for given in there.parameters.values()] == [
        str(given) for given in here.parameters.values()
    ]
    assert re.sub(r"`Secrets\b", "`AsyncSecrets", one.__doc__) == other.__doc__
    waits = one is not other and name not in ("for_caller", "iterate", *PLAIN)
    assert inspect.iscoroutinefunction(other) == waits


METHOD = "class A:\n    def ask(self, q): ...\n    def f(self, q):\n        {}\n"


@pytest.mark.parametrize(
    ("line", "twin"),
    [
        ("return self.ask(q)", "return await self.ask(q)"),
        ("q.wait(1 + q)", "await settled(q, 1 + q)"),
        ("yield from self.ask(q)", "for each in await self.ask(q):\n            yield each"),
        ("return [self.ask(one) for one in q]", "return [await self.ask(one) for one in q]"),
    ],
)
def test_a_line_becomes_its_twin(line: str, twin: str) -> None:
    expected = METHOD.format(twin).replace("def", "async def")

    assert edited(METHOD.format(line)) == expected


def test_a_function_of_the_callers_is_awaited_where_it_is_called() -> None:
    source = METHOD.format("return attempt(self.ask(q))").replace(
        "f(self, q)", "f(self, q, attempt: Callable[[int], T])"
    )

    found = edited(source)

    assert "async def f(self, q, attempt: Callable[[int], Awaitable[T]]):" in found
    assert "return await attempt(await self.ask(q))" in found


def test_who_masks_a_value_hands_the_coroutine_on() -> None:
    source = METHOD.format("del q\n        return self.ask(1)").replace("f(self, q)", "f(self, q) -> int")

    found = edited(source)

    assert "    def f(self, q) -> Coroutine[None, None, int]:" in found
    assert "return self.ask(1)" in found


@pytest.mark.parametrize(
    "line",
    [
        "return self.ask(q).value",
        "return self.ask(q)[0]",
        "return self.ask(q)(1)",
        "return lambda: self.ask(q)",
        "return any(self.ask(one) for one in q)",
        "del q; found = self.ask(1); return found",
    ],
)
def test_a_line_that_has_no_twin_is_told(line: str) -> None:
    ast.parse(METHOD.format(line))
    with pytest.raises(NoTwin):
        edited(METHOD.format(line))


def test_a_phrase_that_is_gone_is_told() -> None:
    from tests.async_twin import with_phrases

    with pytest.raises(NoTwin, match=r"secrets\.py does not say once"):
        with_phrases(Twin("secrets.py", "async_secrets.py", (("what nobody says", ""),)))


PROGRAM = """
import asyncio
import secrets_actor

async def main(secrets: secrets_actor.AsyncSecrets) -> None:
    reveal_type(await secrets.get("a"))
    reveal_type(await secrets.set("a", "v"))
    reveal_type([one async for one in secrets.iterate()])
    reveal_type(await secrets.versions("a"))
    reveal_type(await secrets.rotate("a"))
    reveal_type(await secrets.rotate("a", generate="bytes"))
    reveal_type(await secrets.ask(secrets_actor.messages.Describe("a")))
    reveal_type(secrets.for_caller("me"))
    reveal_type((await asyncio.gather(secrets.get("a"), secrets.set("a", "v")))[1])
    secrets.nonsense()

with secrets_actor.start() as system:
    asyncio.run(main(system.async_secrets))
secrets_actor.AsyncNonsense
"""


@pytest.mark.slow
def test_a_type_checker_knows_what_is_awaited(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        f"--cache-dir={tmp_path / 'cache'}",
        str(tmp_path / "program.py"),
    ]
    ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    said = re.findall(r"program\.py:\d+: (note|error): (.*)", ended.stdout)

    assert [re.sub(r"[\w.]+\.(?=\w)", "", text) for kind, text in said if kind == "note"] == [
        'Revealed type is "Secret"',
        'Revealed type is "SetReceipt"',
        'Revealed type is "list[SecretDescription]"',
        'Revealed type is "tuple[VersionInfo, ...]"',
        'Revealed type is "ChangeReceipt"',
        'Revealed type is "VersionReceipt"',
        'Revealed type is "SecretDescription"',
        'Revealed type is "AsyncSecrets"',
        'Revealed type is "SetReceipt"',
    ]
    assert ["nonsense" in text.lower() for kind, text in said if kind == "error"] == [True, True]
