"""In which order the linked hear of an end. PURE.

OTP keeps the links of a process in a red-black tree by pid, and tells them while it takes that tree apart, both sides
of a node before the node. Of up to three children that is the newest first. Of more it looks like no order, but it is
the same every time, and is what is seen when a supervisor is killed. Pids grow, so the tree is the one into which they
came in ascending order.
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
    """*ascending* in the order in which they are told."""
    spine: list[_Node[T]] = []  # from the root down to the greatest: where all that comes is added
    for key in ascending:
        spine.append(_Node(key))
        at = len(spine) - 1
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
