"""The order in which linked processes hear of the end of a process, which is the order of OTP. PURE.

It stands apart from `pid.py`, which is a shell, as each pure decision does.

OTP keeps the links of a process in a red-black tree, ordered by pid. When the process ends, OTP takes the tree apart
and sends the exit signals as it goes: both sides of a node come before the node itself. With up to three children that
is the newest first. With more it looks like no order at all, but it is the same every time, and it can be seen when a
supervisor is killed. Pids grow, so the tree is the one into which the pids were put in ascending order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("key", "left", "red", "right")

    def __init__(self, key: T) -> None:
        self.key = key
        self.red = True
        self.left: _Node[T] | None = None
        self.right: _Node[T] | None = None


def exit_order(ascending: Iterable[T]) -> list[T]:
    """Return the items of *ascending* in the order in which they are told."""
    spine: list[_Node[T]] = []  # the path from the root to the greatest key: every new key is added at its end
    for key in ascending:
        spine.append(_Node(key))
        at = len(spine) - 1
        # The usual repair of a red-black tree after an insertion. The new key is always the greatest, so that of the
        # usual cases only two are left: a rotation to the left, and a change of colours that goes on further up.
        while at > 1 and spine[at - 1].red:
            above, parent = spine[at - 2], spine[at - 1]
            if above.left is None or not above.left.red:
                above.right, above.red, parent.left, parent.red = parent.left, True, above, False
                del spine[at - 2]
                break
            above.left.red = parent.red = False
            above.red = True
            at -= 2
        spine[0].red = False
    return [key for node in spine for key in _below(node.left)] + [node.key for node in reversed(spine)]


def _below(node: _Node[T] | None) -> Iterator[T]:
    if node is not None:
        yield from _below(node.left)
        yield from _below(node.right)
        yield node.key
