"""How supervisors and workers live and die, one thing after the other.

Rule 1: one thing happens at a time. A step runs until every supervisor has emptied its queue.
Rule 2: no time passes: all restarts are in the window.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
Term = Any
STACK = "$stack"
RESTARTING, UNDEFINED = "restarting", "undefined"
SIMPLE = "simple_one_for_one"


@dataclass(eq=False)
class Process:
    """One instance of a worker or a supervisor."""

    spec: dict[str, Any]
    name: str
    number: int
    parent: "Process | None"
    script: dict[str, Any]
    alive: bool = True
    count: int = 0
    rows: list["Row"] = field(default_factory=list)  # of a supervisor
    queue: deque[tuple[str, Any, Any]] = field(default_factory=deque)
    restarts: int = 0
    held: bool = False

    @property
    def supervises(self) -> bool:
        return self.parent is None or "sup" in self.spec

    @property
    def term(self) -> Term:
        return {"pid": f"{self.name}#{self.number}"}

    @property
    def simple(self) -> bool:
        return self.script.get("strategy") == SIMPLE


@dataclass(eq=False)
class Row:
    """A child of a supervisor. `process` is a Process, RESTARTING or UNDEFINED."""

    spec: dict[str, Any]
    process: Any = UNDEFINED
    label: str = ""
    behaviour: dict[str, Any] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return isinstance(self.process, Process)

    @property
    def restart(self) -> str:
        return str(self.spec.get("restart", "permanent"))


class Refused(Exception):
    """A start failed, with a reason."""

    def __init__(self, reason: Term) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Lives:
    """The processes of one scenario, and the trace of what happens to them."""

    def __init__(self, scenario: dict[str, Any]) -> None:
        self.scenario = scenario
        self.trace: list[Event] = []
        self.numbers: dict[str, int] = {}
        self.latest: dict[str, Process] = {}
        self.supervisors: list[Process] = []

    def tell(self, ev: str, process: Process, **more: Any) -> None:
        """Record what happened to *process*."""
        self.trace.append({"ev": ev, "id": process.name, "start_no": process.number, **more})

    # --- lives ----------------------------------------------------------------------------------------------------

    def start(self, row: Row, parent: Process | None) -> Process | None:
        """Start *row*'s process; None if it ignored; `Refused` with the reason that its starter sees."""
        name = row.label or row.spec["id"]
        number = self.numbers[name] = self.numbers.get(name, 0) + 1
        script = row.spec["sup"] if "sup" in row.spec else {**row.spec.get("behaviour", {}), **row.behaviour}
        process = Process(row.spec, name, number, parent, script)
        if "start" in script:
            self.tell("start_call", process)
            self.tell("init_failed", process, reason=script["start"])
            kind, term = script["start"]
            raise Refused(["EXIT", [term, STACK]] if kind == "error" else unwrapped(term))
        self.tell("init", process)
        self.latest[name] = process
        try:
            if not (self.init_supervisor(process) if process.supervises else self.init_worker(process)):
                self.tell("init_ignored", process)
                return None
        except Refused as refused:
            process.alive = False
            self.tell("init_failed", process, reason=refused.reason)
            raise
        return process

    def init_worker(self, process: Process) -> bool:
        script, number = process.script, process.number
        since, later = script.get("init_from", [number + 1, None])
        plan = script.get("init_plan", {}).get(str(number), later if number >= since else script.get("init", "ok"))
        if isinstance(plan, list) and plan[0] in ("throw", "return"):
            plan = plan[1] if plan[1] == "ignore" or plan[1][0] == "stop" else ["bad", plan[1]]
        if plan in ("ok", "ignore"):
            process.alive = plan == "ok"
            return process.alive
        kind, reason = plan
        raise Refused({"error": [reason, STACK], "bad": ["bad_return_value", reason]}.get(kind, reason))

    def init_supervisor(self, process: Process) -> bool:
        if process.script.get("init") == "ignore":
            process.alive = False
            return False
        self.supervisors.append(process)
        if process.simple:
            return True
        for spec in process.script["children"]:
            process.rows.append(Row(spec))
        try:
            self.start_rows(process, list(process.rows))
        except FailedRow as failed:
            self.stop_rows(process, process.rows)
            raise Refused(["shutdown", ["failed_to_start_child", failed.row.spec["id"], failed.reason]]) from None
        return True

    def start_rows(self, sup: Process, rows: list[Row]) -> None:
        for row in rows:
            try:
                found = self.start(row, sup)
            except Refused as refused:
                raise FailedRow(row, refused.reason) from None
            row.process = found or UNDEFINED
            if found is None and row.restart == "temporary":
                sup.rows.remove(row)

    def stop_rows(self, sup: Process, rows: list[Row]) -> None:
        for row in list(reversed(rows)):
            if row.running:
                self.shut_down(row.process, row.spec)
            self.leave(sup, row)

    def leave(self, sup: Process, row: Row) -> None:
        row.process = UNDEFINED
        if row.restart == "temporary" or sup.simple:
            sup.rows.remove(row)

    def shut_down(self, process: Process, spec: dict[str, Any]) -> None:
        if not process.alive:
            return
        if spec.get("shutdown") == "brutal_kill":
            self.end(process, "killed")
        elif process.supervises:
            self.end_supervisor(process, "shutdown")
        else:
            self.end(process, self.last_words(process, "shutdown") if process.script.get("trap_exit") else "shutdown")

    def last_words(self, process: Process, reason: Term) -> Term:
        """The terminate callback: the reason it ends with."""
        self.tell("terminate", process, reason=reason)
        kind, term = process.script.get("terminate_raise", ["", None])
        return {"exit": term, "error": [term, STACK]}.get(kind, reason)

    def end(self, process: Process, reason: Term) -> None:
        process.alive = False
        self.tell("sup_down" if process.supervises else "down", process, reason=reason)

    def end_supervisor(self, sup: Process, reason: Term) -> None:
        self.stop_rows(sup, sup.rows)
        self.end(sup, reason)

    def die(self, process: Process, reason: Term) -> None:
        """It ends by itself: its supervisor will hear of it."""
        if process.supervises:
            self.end_supervisor(process, reason)
        else:
            self.end(process, reason)
        if process.parent is not None:
            process.parent.queue.append(("exit", process, reason))

    # --- supervising ----------------------------------------------------------------------------------------------

    def drain(self) -> None:
        while busy := [sup for sup in self.supervisors if sup.alive and sup.queue and not sup.held]:
            sup = busy[-1]
            kind, what, reason = sup.queue.popleft()
            row = next((row for row in sup.rows if (row.process if kind == "exit" else row) is what), None)
            if row is None or (kind == "again" and row.process != RESTARTING):
                continue
            if kind == "exit" and not wants(row, reason):
                self.leave(sup, row)
                if ends_all(sup, row):
                    self.die(sup, "shutdown")
                continue
            self.restart(sup, row)

    def restart(self, sup: Process, row: Row) -> None:
        sup.restarts += 1
        if sup.restarts > sup.script.get("intensity", 1):
            self.leave(sup, row)
            self.die(sup, "shutdown")
            return
        row.process = UNDEFINED
        strategy = sup.script.get("strategy", "one_for_one")
        group = [row]
        if strategy == "one_for_all":
            group = sup.rows
        elif strategy == "rest_for_one":
            group = sup.rows[sup.rows.index(row) :]
        if len(group) > 1:
            self.stop_rows(sup, group)
        try:
            self.start_rows(sup, [one for one in group if one in sup.rows])
        except FailedRow as failed:
            failed.row.process = RESTARTING
            sup.queue.append(("again", failed.row, None))
        if sup.simple and row.process == UNDEFINED:
            sup.rows.remove(row)


class FailedRow(Exception):
    """One of several starts failed."""

    def __init__(self, row: Row, reason: Term) -> None:
        super().__init__(str(reason))
        self.row, self.reason = row, reason


def wants(row: Row, reason: Term) -> bool:
    """Whether a child that ended with *reason* is started again."""
    clean = reason in ("normal", "shutdown") or (isinstance(reason, list) and reason[0] == "shutdown")
    return {"permanent": True, "transient": not clean}.get(row.restart, False)


def ends_all(sup: Process, row: Row) -> bool:
    """Whether the supervisor ends with *row*, which has ended for good."""
    if not row.spec.get("significant"):
        return False
    kind = sup.script.get("auto_shutdown", "never")
    others = [one for one in sup.rows if one.spec.get("significant") and one.process != UNDEFINED]
    return kind == "any_significant" or (kind == "all_significant" and not others)


def unwrapped(term: Term) -> Term:
    """The reason of a start function that returned *term*."""
    return term[1] if isinstance(term, list) and len(term) == 2 and term[0] == "error" else term
