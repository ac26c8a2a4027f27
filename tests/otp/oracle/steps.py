"""The steps of a supervisor scenario, as the oracle takes them."""

from typing import Any

from tests.otp.oracle.lives import RESTARTING, STACK, UNDEFINED, Event, Lives, Process, Refused, Row, Term

TIMED = frozenset(("sleep", "settle", "work"))
NOPROC = ["exit", ["noproc", "$call"]]
CLIENT = {"pid": "client"}


def covers(document: dict[str, Any]) -> bool:
    """Whether nothing in *document* depends on time, on a supervisor that is killed, or on a tree that is refused."""
    scenario, outcome = str(document["scenario"]), str(document["trace"])
    timed = any(word in scenario for word in ("_ms'", "'settle'", "'hang'"))
    refused = any(word in outcome for word in ("'start_spec'", "'supervisor_data'", "'bad_combination'"))
    killed = any(e["ev"] == "sup_down" and e["reason"] == "killed" for e in document["trace"])
    return not (timed or refused or killed or any(step["op"] in TIMED for step in document["scenario"]["steps"]))


class Oracle(Lives):
    """Runs one scenario; `trace` is what comes of it."""

    def run(self) -> list[Event]:
        """Do every step."""
        self.start_root()
        for number, step in enumerate(self.scenario["steps"], 1):
            self.step(number, step)
        return self.trace

    def start_root(self) -> None:
        """Step 0."""
        self.trace.append({"ev": "step", "step": 0, "op": "start"})
        try:
            found = self.start(Row({"id": "root", "sup": self.scenario}), None)
            value: Term = "ignore" if found is None else ["ok", found.term]
        except Refused as refused:
            value = ["error", refused.reason]
        self.trace.append({"ev": "result", "step": 0, "value": value})

    def step(self, number: int, step: Event) -> None:
        """Do *step* and all that follows from it."""
        self.trace.append({"ev": "step", "step": number, "op": step["op"]})
        value = getattr(self, f"do_{step['op']}")(step)
        result = [] if value is None else [{"ev": "result", "step": number, "value": value}]
        late = step["op"] == "stop_sup" and step["how"] == "stop"  # it returns when the supervisor is down
        self.trace += [] if late else result
        self.drain()
        self.trace += result if late else []

    # --- workers --------------------------------------------------------------------------------------------------

    def do_crash(self, step: Event) -> Term:
        """A cast that makes a worker end by itself."""
        worker = self.latest.get(step["child"])
        if worker is None or not worker.alive:
            return None
        kind, term = step["how"]
        reason = {"error": [term, STACK], "throw": ["bad_return_value", term]}.get(kind, term)
        self.die(worker, self.last_words(worker, reason))
        return None

    def do_signal(self, step: Event) -> Term:
        """An exit signal of the client, who is the parent of the root only."""
        process, reason = self.latest.get(str(step.get("child", step.get("sup", "root")))), step["reason"]
        if process is None or not process.alive:
            return None
        if reason == "kill":
            self.die(process, "killed")
        elif process.supervises:
            if process.parent is None:
                self.die(process, reason)
        elif process.script.get("trap_exit"):
            self.tell("info", process, msg=["EXIT", CLIENT, reason])
        elif reason != "normal":
            self.die(process, reason)
        return None

    def do_incr(self, step: Event) -> Term:
        if (worker := self.latest.get(step["child"])) is not None:
            worker.count += 1
        return None

    def do_count(self, step: Event) -> Term:
        worker = self.latest.get(step["child"])
        return worker.count if worker is not None and worker.alive else NOPROC

    def do_ping(self, step: Event) -> Term:
        worker = self.latest.get(step["child"])
        return ["pong", worker.number] if worker is not None and worker.alive else NOPROC

    def do_alive(self, step: Event) -> Term:
        process = self.latest.get(step["child"])
        return process is not None and process.alive

    def do_suspend(self, step: Event) -> Term:
        """A supervisor handles nothing; what comes queues up."""
        if (sup := self.sup(step)) is not None:
            sup.held = True
        return None

    def do_resume(self, step: Event) -> Term:
        if (sup := self.sup(step)) is not None:
            sup.held = False
        return None

    # --- supervisors ----------------------------------------------------------------------------------------------

    def sup(self, step: Event) -> Process | None:
        found = self.latest.get(step.get("sup", "root"))
        return found if found is not None and found.alive else None

    def row(self, sup: Process, step: Event) -> Row | None:
        """The row that *step* names; under simple_one_for_one and by pid, that of the latest instance."""
        if sup.simple:
            latest = self.latest.get(step["child"])
            return next((row for row in sup.rows if row.process is latest), None)
        return next((row for row in sup.rows if row.spec["id"] == step["child"] and step.get("by") != "pid"), None)

    def do_which_children(self, step: Event) -> Term:
        if (sup := self.sup(step)) is None:
            return NOPROC
        return {"children": [self.shown(sup, row) for row in reversed(sup.rows)]}

    def shown(self, sup: Process, row: Row) -> Term:
        process = row.process.term if row.running else row.process
        return [UNDEFINED if sup.simple else row.spec["id"], process, row.spec.get("type", "worker")]

    def do_count_children(self, step: Event) -> Term:
        if (sup := self.sup(step)) is None:
            return NOPROC
        kinds = [row.spec.get("type", "worker") for row in sup.rows]
        return {
            "specs": 1 if sup.simple else len(kinds),
            "active": sum(row.running for row in sup.rows),
            "supervisors": kinds.count("supervisor"),
            "workers": kinds.count("worker"),
        }

    def do_start_child(self, step: Event) -> Term:
        if (sup := self.sup(step)) is None:
            return NOPROC
        if sup.simple:
            row = Row(sup.script["children"][0], UNDEFINED, step["args"]["label"], step["args"].get("behaviour", {}))
        else:
            row = Row(step["spec"])
            if (present := self.row(sup, {"child": step["spec"]["id"]})) is not None:
                return ["error", ["already_started", present.process.term] if present.running else "already_present"]
        try:
            found = self.start(row, sup)
        except Refused as refused:
            return ["error", refused.reason if sup.simple else [refused.reason, {"child": {}}]]
        row.process = found or UNDEFINED
        if found is not None or not (sup.simple or row.restart == "temporary"):
            sup.rows.append(row)
        return self.started(row)

    def started(self, row: Row) -> Term:
        if not row.running:
            return ["ok", UNDEFINED]
        extra = [row.process.script["start_info"]] if "start_info" in row.process.script else []
        return ["ok", row.process.term, *extra]

    def do_terminate_child(self, step: Event) -> Term:
        if (sup := self.sup(step)) is None:
            return NOPROC
        row = self.row(sup, step)
        if sup.simple:
            latest = self.latest.get(step["child"])
            if step.get("by") != "pid" or latest is None:
                return ["error", "simple_one_for_one"]
            if row is None:
                return ["error", "not_found"] if latest.alive else "ok"
        if row is None:
            return ["error", "not_found"]
        if row.running:
            self.shut_down(row.process, row.spec)
        self.leave(sup, row)
        return "ok"

    def refusal(self, sup: Process | None, step: Event) -> Term:
        """Why a request for a stopped child cannot be met; None if it can."""
        if sup is None:
            return NOPROC
        row = self.row(sup, step)
        problem = "running"
        if sup.simple:
            problem = "simple_one_for_one"
        elif row is None:
            problem = "not_found"
        elif row.process == UNDEFINED:
            return None
        elif row.process == RESTARTING:
            problem = RESTARTING
        return ["error", problem]

    def do_restart_child(self, step: Event) -> Term:
        sup = self.sup(step)
        if (problem := self.refusal(sup, step)) is not None or sup is None:
            return problem
        row = self.row(sup, step)
        assert row is not None
        try:
            row.process = self.start(row, sup) or UNDEFINED
        except Refused as refused:
            return ["error", refused.reason]
        return self.started(row)

    def do_delete_child(self, step: Event) -> Term:
        sup = self.sup(step)
        if (problem := self.refusal(sup, step)) is not None or sup is None:
            return problem
        row = self.row(sup, step)
        assert row is not None
        sup.rows.remove(row)
        return "ok"

    def do_get_childspec(self, step: Event) -> Term:
        if (sup := self.sup(step)) is None:
            return NOPROC
        row = self.row(sup, step)
        if sup.simple:
            template = sup.script["children"][0]
            latest = self.latest.get(step["child"]) if step.get("by") == "pid" else None
            known = step["child"] == template["id"] if latest is None else row is not None or not latest.alive
            row = Row(template) if known else None
        if row is None:
            return ["error", "not_found"]
        spec = row.spec
        kind = spec.get("type", "worker")
        shutdown = spec.get("shutdown", 5000 if kind == "worker" else "infinity")
        told = {"id": spec["id"], "restart": row.restart, "shutdown": shutdown, "type": kind}
        return ["ok", {**told, "significant": spec.get("significant", False)}]

    def do_stop_sup(self, step: Event) -> Term:
        sup = self.sup(step)
        if sup is None:
            return ["exit", "noproc"] if step["how"] == "stop" else None
        self.die(sup, step["reason"])
        return "ok" if step["how"] == "stop" else None
