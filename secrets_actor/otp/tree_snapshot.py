"""A picture of a running tree, as data and as text. It is made from the tables that supervisors publish, so it never
waits for a process."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.otp.child_spec import Kind
from secrets_actor.otp.child_table import Child, State
from secrets_actor.otp.node import Node
from secrets_actor.otp.pid import Pid
from secrets_actor.otp.supervisor_requests import Published


class TreeNode(Struct, frozen=True):
    """One process, or a child that has no process now.

    `state` is running, stopped or restarting. `uptime` is in seconds. `restarts` is the number of restarts since its
    supervisor started. `restarts_in_window`, for a supervisor, is the number of those that now count toward its
    intensity, and `restarts_left` the number of those that it may make now before it gives up. `name` is its registered
    name. `status` is the text that the process returns about itself.
    """

    id: str
    kind: str
    state: str
    restart: str
    serial: int | None = None
    strategy: str | None = None
    uptime: float = 0.0
    restarts: int = 0
    mailbox: int = 0
    open_calls: int = 0
    children: tuple[TreeNode, ...] = ()
    name: str | None = None
    restarts_in_window: int = 0
    restarts_left: int | None = None
    status: str = ""

    def walk(self) -> Iterator[TreeNode]:
        """Yield this node and all nodes below it, from the top."""
        yield self
        for child in self.children:
            yield from child.walk()


class Tree(Struct, frozen=True):
    """A whole tree, and the labels of the processes that have ended and whose threads still run."""

    root: TreeNode
    disowned: tuple[str, ...] = ()

    def __str__(self) -> str:
        return draw(self)


def snapshot(root: Pid) -> Tree:
    """Return the tree under *root* as it is now. If a process has published a Pid, the tree under that one, which may
    belong to another node, takes its place."""
    nodes = {root.node: None}  # used as a set that keeps the order in which the nodes were met
    picture = _of_pid(root, "permanent", Kind.SUPERVISOR, 0, nodes)
    return Tree(picture, tuple(f"{pid.label}#{pid.serial}" for node in nodes for pid in node.disowned))


def below(root: Pid, serial: int) -> Pid | None:
    """Return the process with this *serial* below *root*, as `snapshot` shows it; None if there is none now."""
    shown = root.published
    while isinstance(shown, Pid):
        if shown.serial == serial:
            return shown
        shown = shown.published
    for child in shown.children if isinstance(shown, Published) else ():
        if child.pid is not None:
            found = child.pid if child.pid.serial == serial else below(child.pid, serial)
            if found is not None:
                return found
    return None


def _of_pid(pid: Pid, restart: str, kind: str, restarts: int, nodes: dict[Node, None]) -> TreeNode:
    shown = pid.published
    if isinstance(shown, Pid):
        nodes[shown.node] = None
        return replace(_of_pid(shown, restart, kind, restarts, nodes), id=pid.label)
    alive, now = pid.is_alive(), pid.node.clock.now()
    supervises = isinstance(shown, Published)
    recent = len(shown.window.recent(now)) if supervises and alive else 0
    return TreeNode(
        id=pid.label,
        kind=kind,
        state="running" if alive else "stopped",
        restart=restart,
        serial=pid.serial,
        strategy=shown.strategy if supervises else None,
        uptime=now - pid.started_at if alive else 0.0,
        restarts=restarts,
        mailbox=len(pid.mailbox),
        open_calls=pid.open_calls,
        children=tuple(_of_child(child, nodes) for child in shown.children) if supervises and alive else (),
        name=pid.name,
        restarts_in_window=recent,
        restarts_left=max(0, shown.window.intensity - recent) if supervises and alive else None,
        status=_status(pid) if alive else "",
    )


def _status(pid: Pid) -> str:
    try:
        return "" if pid.status is None else str(pid.status())
    except Exception as error:  # noqa: BLE001  # the process may change its state while its `status` reads that
        return f"no status: {type(error).__name__}"


def _of_child(child: Child, nodes: dict[Node, None]) -> TreeNode:
    spec = child.spec
    if child.pid is not None:
        return _of_pid(child.pid, spec.restart, spec.kind, child.restarts, nodes)
    state = "restarting" if child.process is State.RESTARTING else "stopped"
    return TreeNode(spec.id, spec.kind, state, spec.restart, restarts=child.restarts)


def draw(tree: Tree) -> str:
    """Return the tree as text, with one line for each process."""
    rows = [("", tree.root), *_lines(tree.root, "")]
    width = max(len(stem) + len(node.id) for stem, node in rows) + 2
    lines = [f"{stem}{node.id}".ljust(width) + _facts(node) for stem, node in rows]
    lines += [f"disowned thread: {name}" for name in tree.disowned]
    return "\n".join(line.rstrip() for line in lines)


def _lines(node: TreeNode, indent: str) -> list[tuple[str, TreeNode]]:
    found: list[tuple[str, TreeNode]] = []
    for child in node.children:
        last = child is node.children[-1]
        found.append((indent + ("└─ " if last else "├─ "), child))
        found += _lines(child, indent + ("   " if last else "│  "))
    return found


def _facts(node: TreeNode) -> str:
    facts = [(node.strategy or node.restart).ljust(13), node.state]
    if node.serial is not None:
        facts.append(f"#{node.serial}")
        facts.append(f"up {node.uptime:.1f} s")
    facts.append(f"restarts {node.restarts}")
    if node.restarts_in_window:
        facts.append(f"{node.restarts_in_window} lately")
    if node.mailbox:
        facts.append(f"mailbox {node.mailbox}")
    if node.open_calls:
        facts.append(f"open calls {node.open_calls}")
    if node.status:
        facts.append(node.status)
    return "  ".join(facts)
