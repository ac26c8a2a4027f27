"""The face for asyncio, made from the one for threads: `python -m tests.async_twin` writes its files.

Rule 1: a method that asks or waits becomes a coroutine, and whoever calls it awaits it; a generator that does becomes
        an asynchronous one.
Rule 2: who masks a raw value (it says `del`) stays a plain method and returns the coroutine: one that was cancelled
        before it began would show the value in its traceback.
Rule 3: `handle.wait(seconds)` becomes `await settled(handle, seconds)`: client/aio.py alone speaks to asyncio.
Rule 4: an argument that is a function of the caller's, and is called by a coroutine, is a coroutine function.
Rule 5: beside that, only the names in RENAMED and the phrases of a `Twin` change. A phrase that is not there, and code
        that has no twin, is a mistake.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
CLIENT: Final = ROOT / "secrets_actor" / "client"
HEAD: Final = "# Made from {} by `python -m tests.async_twin`. Change that file, not this one.\n"
FOR_LOOPS: Final = """Gets and sets secrets for coroutines. Any number of event loops may share one client.

    A call that is cancelled, or whose time is over, is withdrawn: a request that has not been sent to the store is not
    sent. A write that was under way may have taken effect all the same. Methods that take a raw value refuse bad input
    when they are called; all other methods refuse it when they are awaited."""
RENAMED: Final = {"Secrets": "AsyncSecrets", "Administration": "AsyncAdministration", "Iterator": "AsyncIterator"}


@dataclass(frozen=True, slots=True)
class Twin:
    """One file and what it is made from; *phrases* are changed as they stand."""

    source: str
    target: str
    phrases: tuple[tuple[str, str], ...]


TWINS: Final = (
    Twin("administration.py", "async_administration.py", ()),
    Twin(
        "secrets.py",
        "async_secrets.py",
        (
            ("The client for threads:", "The client for asyncio:"),
            ("in the caller's own thread, waits for answers", "without leaving the coroutine, awaits answers"),
            (
                "_callback, _attempt = staticmethod(plain), staticmethod(required)",
                "_callback, _attempt = staticmethod(awaited), staticmethod(awaitable)",
            ),
            ("from secrets_actor.domain.callbacks import plain, required\n", ""),
            ("shares with the one for asyncio", "shares with the one for threads"),
            (
                "Gets and sets secrets for the threads of a program. Any number of threads may share one client.",
                FOR_LOOPS,
            ),
            (
                "    # `plain` and `required` refuse coroutine functions: nobody would await a coroutine here.\n",
                "    # Callbacks and attempts may be plain functions or coroutine functions here.\n",
            ),
            (
                "from secrets_actor.client.administration import Administration",
                "from secrets_actor.client.aio import awaitable, awaited, settled\n"
                "from secrets_actor.client.async_administration import Administration",
            ),
        ),
    ),
)


class NoTwin(Exception):
    """What the source does cannot be said in a coroutine by the rules."""


def generated() -> dict[Path, str]:
    """What each file is to hold."""
    sources = {twin: with_phrases(twin) for twin in TWINS}
    trees = {twin: ast.parse(text) for twin, text in sources.items()}
    asking = _asking(list(trees.values()))
    return {
        CLIENT / twin.target: HEAD.format(twin.source) + _imported(_renamed(_edited(sources[twin], tree, *asking)))
        for twin, tree in trees.items()
    }


def edited(text: str) -> str:
    """The twin of *text* by the rules alone."""
    tree = ast.parse(text)
    return _edited(text, tree, *_asking([tree]))


def with_phrases(twin: Twin) -> str:
    """The source, its phrases changed."""
    text = (CLIENT / twin.source).read_text()
    for old, new in twin.phrases:
        if text.count(old) != 1:
            raise NoTwin(f"{twin.source} does not say once: {old}")
        text = text.replace(old, new)
    return text


# --- who becomes what ---------------------------------------------------------------------------------------------


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _asking(trees: list[ast.Module]) -> tuple[set[str], set[str]]:
    """The names of the methods that become coroutines, and of the generators that become asynchronous ones."""
    coroutines, generators, before = {"ask"}, set[str](), -1
    while len(coroutines) + len(generators) != before:
        before = len(coroutines) + len(generators)
        for function in [function for tree in trees for function in _functions(tree)]:
            inside = list(ast.walk(function))
            if any(_is_awaited(node, coroutines) for node in inside):
                yields = any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in inside)
                (generators if yields else coroutines).add(function.name)
    return coroutines, generators


def _is_wait(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "wait"


def _is_awaited(node: ast.AST, coroutines: set[str]) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    on_self = isinstance(node.func.value, ast.Name) and node.func.value.id == "self"
    return _is_wait(node) or (on_self and node.func.attr in coroutines)


# --- how it is written --------------------------------------------------------------------------------------------


def _edited(text: str, tree: ast.Module, coroutines: set[str], generators: set[str]) -> str:
    source = text.encode()
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def begin(node: ast.stmt | ast.expr) -> int:
        return starts[node.lineno - 1] + node.col_offset

    def end(node: ast.stmt | ast.expr) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return starts[node.end_lineno - 1] + node.end_col_offset

    def awaitables(function: ast.FunctionDef) -> Iterator[tuple[int, int, str]]:
        for given, answer in _functions_given(function):
            yield begin(answer), begin(answer), "Awaitable["
            yield end(answer), end(answer), "]"
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == given:
                    _is_passed_on(call, parents)
                    yield begin(call), begin(call), "await "

    edits: list[tuple[int, int, str]] = []
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in coroutines | generators:
            edits += awaitables(node)
            if not _masks(node):
                edits.append((begin(node), begin(node), "async "))
            elif node.returns is not None:
                answer = f"Coroutine[None, None, {ast.unparse(node.returns)}]"
                edits.append((begin(node.returns), end(node.returns), answer))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.YieldFrom):
            edits.append((begin(node), begin(node.value.value), "for each in "))
            edits.append((end(node), end(node), f":\n{' ' * node.col_offset}    yield each"))
        elif isinstance(node, ast.Call) and _is_awaited(node, coroutines):
            if _is_passed_on(node, parents):
                continue
            if _is_wait(node):
                assert isinstance(node.func, ast.Attribute)
                edits.append((begin(node), begin(node), "await settled("))
                edits.append((end(node.func.value), begin(node.args[0]), ", "))
            else:
                edits.append((begin(node), begin(node), "await "))
    for first, last, new in sorted(edits, reverse=True):
        source = source[:first] + new.encode() + source[last:]
    return source.decode()


def _functions_given(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """The arguments that are functions which answer something: their names, and the type of the answer."""
    for argument in [*function.args.args, *function.args.kwonlyargs]:
        match argument.annotation:
            case ast.Subscript(ast.Name("Callable"), ast.Tuple([_, ast.Name(answer) as name])) if answer != "object":
                yield argument.arg, name


def _masks(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Delete) for node in ast.walk(function))


def _is_passed_on(call: ast.Call, parents: dict[ast.AST, ast.AST]) -> bool:
    """Whether *call* makes the coroutine that its method returns, rather than awaiting it (rule 2)."""
    parent, function = parents[call], parents[call]
    while not isinstance(function, ast.FunctionDef):
        if isinstance(function, (ast.Lambda, ast.GeneratorExp)):
            raise NoTwin(f"line {call.lineno}: nothing can be awaited here")
        function = parents[function]
    if isinstance(parent, (ast.Attribute, ast.Subscript)) or (isinstance(parent, ast.Call) and parent.func is call):
        raise NoTwin(f"line {call.lineno}: give the answer a name first")
    if not _masks(function):
        return False
    if not isinstance(parent, ast.Return):
        raise NoTwin(f"line {call.lineno}: who masks a raw value can only return the answer")
    return True


def _renamed(text: str) -> str:
    found = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string in RENAMED:
            found.append((token.start, token.end, RENAMED[token.string]))
        elif token.type == tokenize.STRING:
            new = re.sub(r"`(\w+)(?=[`.])", lambda name: f"`{RENAMED.get(name[1], name[1])}", token.string)
            found.append((token.start, token.end, new))
    lines = text.splitlines(keepends=True)
    starts = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]
    for (row, column), (last_row, last_column), new in reversed(found):
        text = text[: starts[row - 1] + column] + new + text[starts[last_row - 1] + last_column :]
    return text


def _imported(text: str) -> str:
    """What of collections.abc the twin has come to need is imported."""
    [line] = re.findall(r"^from collections\.abc import .*$", text, re.M)
    names = set(line.split(" import ")[1].split(", ")) | set(re.findall(r"\b(?:Awaitable|Coroutine)(?=\[)", text))
    return text.replace(line, f"from collections.abc import {', '.join(sorted(names))}")


def main() -> None:
    """Write them."""
    for path, text in generated().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
