"""The scenario language beyond what the given recordings use, against the rules of traces/README.md."""

from typing import Any

from tests.otp.replay import __main__ as command
from tests.otp.replay.canonical import canonical, differences
from tests.otp.replay.runner import Outcome, replay, run

Event = dict[str, Any]


def play(family: str, **scenario: Any) -> list[Event]:
    """The canonical trace of a scenario, without step events."""
    trace = run({"family": family, "scenario": scenario}).trace
    return [event for event in canonical(trace, scenario) if event["ev"] != "step"]


def servers(*steps: Event) -> list[Event]:
    return play("gen_server/x", steps=list(steps))


def start(name: str, **more: Any) -> Event:
    link = {"link": more.pop("link")} if "link" in more else {}
    return {"op": "start", "server": {"id": name, **more}, **link}


def cast(to: Any, label: str, *do: list[Any]) -> Event:
    return {"op": "cast", "to": to, "label": label, "do": list(do)}


def call(to: Any, label: str, *do: list[Any], **more: Any) -> Event:
    return {"op": "call", "to": to, "label": label, "do": list(do), **more}


def values(trace: list[Event], ev: str = "result") -> list[Any]:
    return [event["value"] for event in trace if event["ev"] == ev]


def handled(trace: list[Event], name: str, callback: str = "info") -> list[Any]:
    return [e["msg"] for e in trace if e["ev"] == "handle" and e["id"] == name and e["cb"] == callback]


def test_a_server_monitors_and_flushes_a_down_that_has_come() -> None:
    trace = servers(
        start("s"),
        start("t"),
        cast("s", "k1", ["monitor", "t", "m1"], ["monitor", "t", "m2"]),
        cast("s", "k2", ["signal", "t", "kill"], ["sleep", 30], ["demonitor", "m1", "flush"], ["demonitor", "m2"]),
    )
    assert handled(trace, "s") == [["DOWN", "m2", {"pid": "t#1"}, "killed"]]


def test_the_client_flushes_a_down_that_has_come() -> None:
    trace = servers(
        start("s"),
        {"op": "monitor", "to": "s", "key": "m"},
        {"op": "stop", "to": "s", "reason": "normal"},
        {"op": "demonitor", "key": "m", "flush": True},
        {"op": "mailbox"},
    )
    assert values(trace)[-2:] == [False, {"list": []}]


def test_reply_now_answers_before_the_callback_ends() -> None:
    trace = servers(start("s"), call("s", "c", ["reply_now", "early"], ["sleep", 60], ["emit", "end"], ["noreply"]))
    assert values(trace)[-1] == ["reply", "early"]
    assert values(trace, "note") == [True]


def test_a_call_from_a_server_can_fail_it_or_be_noted() -> None:
    trace = servers(
        start("s"),
        start("t"),
        cast("s", "k1", ["call", "t", 1000, "q", [["reply", 7]]], ["call", "t", 30, "slow", [["sleep", 90]]]),
        cast("s", "k2", ["call_raw", {"name": "nobody"}, 1000, "q", []]),
    )
    assert values(trace, "note") == [["reply", 7], ["exit", ["timeout", "$call"]]]
    assert trace[-1] == {"ev": "down", "id": "s", "start_no": 1, "reason": ["noproc", "$call"]}


def test_timers_can_be_read_and_sent_to_others() -> None:
    trace = servers(
        start("s"),
        start("t", register="t_name"),
        cast("s", "k", ["send_after_to", {"name": "t_name"}, 40, "tick", "x"], ["read_timer", "x"]),
        {"op": "sleep", "ms": 90},
        cast("s", "k2", ["read_timer", "x"]),
    )
    assert values(trace, "note") == ["time_left", False]
    assert handled(trace, "t") == ["tick"]


def test_unlink_and_trap_exit_change_what_a_death_does() -> None:
    trace = servers(
        start("s"),
        start("t"),
        start("u"),
        cast("s", "k1", ["link", "t"], ["link", "u"], ["unlink", "t"]),
        cast("t", "die", ["exit", "boom"]),
        {"op": "alive", "to": "s"},
        cast("s", "k2", ["trap_exit", True]),
        cast("u", "die", ["exit", "kill"]),
        {"op": "alive", "to": "s"},
    )
    assert values(trace)[-1] is True
    assert handled(trace, "s") == [["EXIT", {"pid": "u#1"}, "kill"]]


def test_a_trapping_child_ends_with_its_parent() -> None:
    trace = servers(
        start("s"),
        cast("s", "k1", ["start_linked", {"id": "t", "trap_exit": True}]),
        cast("s", "k2", ["stop", "normal"]),
    )
    assert trace[-2:] == [
        {"ev": "terminate", "id": "t", "start_no": 1, "reason": "normal"},
        {"ev": "down", "id": "t", "start_no": 1, "reason": "normal"},
    ]


def test_a_thrown_reply_is_a_reply_and_a_throw_in_terminate_is_nothing() -> None:
    trace = servers(
        start("s", on_terminate=[["throw", "whatever"]]),
        call("s", "c", ["throw_reply", "thrown"]),
        {"op": "stop", "to": "s", "reason": "normal"},
    )
    assert values(trace)[1:] == [["reply", "thrown"], "ok"]


def test_a_start_and_a_stop_can_time_out() -> None:
    trace = servers(
        {**start("s", init=[["sleep", 200]]), "timeout": 40},
        start("t"),
        {**cast("t", "busy", ["sleep", 150]), "settle": False},
        {"op": "stop", "to": "t", "reason": "normal", "timeout": 30},
    )
    assert values(trace)[0] == ["error", "timeout"]
    assert ["exit", "timeout"] in values(trace)
    assert trace[-1]["ev"] == "result"
    assert {"ev": "down", "id": "t", "start_no": 1, "reason": "normal"} in trace


def test_an_exit_signal_to_oneself_of_reason_normal_is_death() -> None:
    trace = servers(start("s"), cast("s", "k", ["signal", "self", "normal"]), {"op": "alive", "to": "s"})
    assert values(trace)[-1] is False


def supervisor(*steps: Event, **flags: Any) -> list[Event]:
    return play("supervisor/x", steps=list(steps), **flags)


def child(name: str, **more: Any) -> Event:
    return {"id": name, **more}


def test_a_stranger_s_exit_signal_is_a_message_to_a_trapping_worker_and_work_is_recorded() -> None:
    trace = supervisor(
        {"op": "signal", "child": "a", "reason": "boom"},
        {"op": "work", "child": "a", "ms": 1, "tag": "done"},
        children=[child("a", behaviour={"trap_exit": True})],
    )
    assert next(e for e in trace if e["ev"] == "info")["msg"] == ["EXIT", {"pid": "client"}, "boom"]
    assert next(e for e in trace if e["ev"] == "work")["tag"] == "done"


def test_a_supervisor_may_ignore_and_a_stranger_cannot_end_it() -> None:
    assert values(supervisor(init="ignore", children=[])) == ["ignore"]
    trace = supervisor(
        {"op": "signal", "child": "s", "reason": "boom"},
        {"op": "alive", "child": "s"},
        children=[child("s", type="supervisor", sup={"children": []})],
    )
    assert values(trace)[-1] is True


def test_wrong_trees_have_otp_s_words() -> None:
    def refused(children: list[Event], **flags: Any) -> Any:
        return values(supervisor(children=children, **flags))[0][1]

    assert refused([], intensity=-1) == ["supervisor_data", ["invalid_intensity", -1]]
    assert refused([], period=0) == ["supervisor_data", ["invalid_period", 0]]
    assert refused([], auto_shutdown="some") == ["supervisor_data", ["invalid_auto_shutdown", "some"]]
    assert refused([child("a"), child("a")]) == ["start_spec", ["duplicate_child_name", "a"]]
    assert refused([child("a", restart="often")]) == ["start_spec", ["invalid_restart_type", "often"]]
    assert refused([child("a", shutdown="soon")]) == ["start_spec", ["invalid_shutdown", "soon"]]
    simple = refused([child("a")], strategy="simple_one_for_one", auto_shutdown="any_significant")
    culprits = [["auto_shutdown", "any_significant"], ["strategy", "simple_one_for_one"]]
    assert simple == ["supervisor_data", ["bad_combination", culprits]]


def test_an_instance_whose_restart_fails_shows_as_restarting_until_it_is_terminated() -> None:
    template = child("tpl", behaviour={"init_ms": 60, "init_from": [2, ["stop", "no"]]})
    trace = supervisor(
        {"op": "start_child", "args": {"label": "w"}},
        {"op": "crash", "child": "w", "how": ["exit", "boom"], "settle": False},
        {"op": "sleep", "ms": 90, "settle": False},
        {"op": "which_children", "settle": False},
        {"op": "count_children"},
        {"op": "get_childspec", "child": "tpl"},
        {"op": "delete_child", "child": "tpl"},
        strategy="simple_one_for_one",
        intensity=3,
        period=10,
        children=[template],
    )
    answers = values(trace)
    assert {"children": [["undefined", "restarting", "worker"]]} in answers
    assert {"specs": 1, "active": 0, "supervisors": 0, "workers": 1} in answers
    assert trace[-1]["ev"] == "result"


def test_a_template_may_be_a_supervisor_and_one_may_be_added_later() -> None:
    inner = {"strategy": "simple_one_for_one", "children": [child("tpl", type="supervisor", sup={"children": []})]}
    trace = supervisor(
        {"op": "start_child", "spec": child("s", type="supervisor", sup=inner)},
        {"op": "start_child", "sup": "s", "args": {"label": "w"}},
        {"op": "which_children", "sup": "s"},
        {"op": "terminate_child", "sup": "s", "child": "w", "by": "pid"},
        children=[],
    )
    assert values(trace)[3:] == [{"children": [["undefined", {"pid": "w#1"}, "supervisor"]]}, "ok"]
    assert trace[-2] == {"ev": "sup_down", "id": "w", "start_no": 1, "reason": "shutdown"}


def test_a_process_that_hangs_forever_does_not_hold_the_steps_up() -> None:
    trace = supervisor(
        {"op": "signal", "child": "root", "reason": "kill"},
        {"op": "alive", "child": "a"},
        children=[child("a", behaviour={"trap_exit": True, "terminate_ms": "hang"})],
    )
    assert values(trace)[-1] is True


def test_a_difference_names_scenario_index_and_both_sides() -> None:
    document = {
        "name": "n",
        "family": "gen_server/x",
        "scenario": {"steps": [call({"name": "nobody"}, "c", max_ms=-1000)]},
        "trace": [{"ev": "step", "step": 1, "op": "call"}, {"ev": "result", "step": 1, "value": "other"}],
    }
    outcome = replay(document, slack=0)
    assert not outcome.passed
    assert outcome.problems[0].startswith("n[1]: got ")
    assert '"other"' in outcome.problems[0]
    assert "step 1: took" in outcome.problems[1]


def test_a_scenario_that_cannot_be_run_has_failed(capsys: Any) -> None:
    outcome = replay({"name": "n", "family": "gen_server/x", "scenario": {"steps": [{"op": "fly"}]}, "trace": []})
    assert "the harness failed" in outcome.problems[0]
    assert command.report([outcome, Outcome("q", "f", ("p",), "quirk: why"), Outcome("g", "f")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 passed, 1 failed, 1 skipped"
    assert "skipped 1: quirk: why" in lines


def test_the_record_of_a_child_in_an_error_is_not_compared() -> None:
    recorded = [{"ev": "result", "step": 1, "value": ["error", ["boom", {"child": {"id": "b"}}]]}]
    mine = [{"ev": "result", "step": 1, "value": ["error", ["boom", {"child": {}}]]}]
    step = {"ev": "step", "step": 1, "op": "start_child"}
    document = {"name": "n", "scenario": {"steps": [{"op": "start_child"}]}, "trace": [step, *recorded]}
    assert differences([step, *mine], document, {}) == []
