"""The supervisor scenarios beyond what the given recordings use, against the rules of traces/README.md."""

from typing import Any

from tests.otp.scripted import child, supervisor, values


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
    def refused(children: list[dict[str, Any]], **flags: Any) -> Any:
        return values(supervisor(children=children, **flags))[0][1]

    assert refused([], intensity=-1) == ["supervisor_data", ["invalid_intensity", -1]]
    assert refused([], period=0) == ["supervisor_data", ["invalid_period", 0]]
    assert refused([], auto_shutdown="some") == ["supervisor_data", ["invalid_auto_shutdown", "some"]]
    assert refused([child("a"), child("a")]) == ["start_spec", ["duplicate_child_name", "a"]]
    assert refused([child("a", restart="often")]) == ["start_spec", ["invalid_restart_type", "often"]]
    assert refused([child("a", shutdown="soon")]) == ["start_spec", ["invalid_shutdown", "soon"]]
    # a list, which is no key of any table
    assert refused([child("a", shutdown=["a", 1])]) == ["start_spec", ["invalid_shutdown", ["a", 1]]]


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


def test_what_an_instance_says_goes_over_what_its_template_says_key_by_key() -> None:
    trace = supervisor(
        {"op": "start_child", "args": {"label": "w1", "behaviour": {"init": ["stop", "no"]}}},
        {"op": "start_child", "args": {"label": "w2", "behaviour": {"terminate_ms": 0}}},
        {"op": "terminate_child", "child": "w2", "by": "pid"},
        strategy="simple_one_for_one",
        children=[child("tpl", behaviour={"trap_exit": True, "init": "ok"})],
    )
    assert values(trace)[1:] == [["error", "no"], ["ok", {"pid": "w2#1"}], "ok"]
    assert [event["id"] for event in trace if event["ev"] == "terminate"] == ["w2"], "it traps exits, as its template"


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


def test_while_one_of_a_group_is_tried_again_the_others_have_stopped() -> None:
    for strategy in ("one_for_all", "rest_for_one"):
        trace = supervisor(
            {"op": "suspend"},
            {"op": "crash", "child": "b", "how": ["exit", "boom"]},
            {"op": "crash", "child": "a", "how": ["exit", "boom"]},
            {"op": "resume", "settle": False},
            {"op": "sleep", "ms": 60, "settle": False},
            {"op": "which_children"},
            strategy=strategy,
            intensity=4,
            period=10,
            children=[
                child("a", behaviour={"init_ms": 30, "init_from": [2, ["stop", "no"]]}),
                child("b", behaviour={"init_from": [2, ["stop", "no"]]}),
            ],
        )
        rows = [["b", "undefined", "worker"], ["a", "restarting", "worker"]]
        assert {"children": rows} in values(trace)


def test_the_one_that_died_has_stopped_while_one_before_it_is_tried_again() -> None:
    trace = supervisor(
        {"op": "crash", "child": "b", "how": ["exit", "boom"], "settle": False},
        {"op": "sleep", "ms": 60, "settle": False},
        {"op": "which_children"},
        strategy="one_for_all",
        intensity=5,
        period=10,
        children=[child("a", behaviour={"init_ms": 30, "init_from": [2, ["stop", "no"]]}), child("b")],
    )
    assert {"children": [["b", "undefined", "worker"], ["a", "restarting", "worker"]]} in values(trace)


def test_a_start_function_can_ignore() -> None:
    trace = supervisor({"op": "which_children"}, children=[child("a", behaviour={"start": ["return", "ignore"]})])
    assert values(trace)[-1] == {"children": [["a", "undefined", "worker"]]}


def test_the_spec_of_an_instance_that_is_gone_is_the_template_s() -> None:
    trace = supervisor(
        {"op": "start_child", "args": {"label": "w"}},
        {"op": "crash", "child": "w", "how": ["exit", "normal"]},
        {"op": "get_childspec", "child": "w", "by": "pid"},
        {"op": "get_childspec", "child": "root", "by": "pid"},
        strategy="simple_one_for_one",
        children=[child("tpl", restart="temporary")],
    )
    spec = {"id": "tpl", "restart": "temporary", "shutdown": 5000, "type": "worker", "significant": False}
    assert values(trace)[-2:] == [["ok", spec], ["error", "not_found"]]


def test_a_significant_instance_ends_its_supervisor() -> None:
    def downs(auto: str) -> list[str]:
        trace = supervisor(
            {"op": "start_child", "args": {"label": "v"}},
            {"op": "start_child", "args": {"label": "w"}},
            {"op": "crash", "child": "v", "how": ["stop", "normal"]},
            {"op": "alive", "child": "w"},
            {"op": "crash", "child": "w", "how": ["stop", "normal"]},
            children=[child("tpl", restart="transient", significant=True)],
            strategy="simple_one_for_one",
            auto_shutdown=auto,
        )
        return [f"{one['id']} {one['reason']}" for one in trace if one["ev"].endswith("down")]

    assert downs("any_significant") == ["v normal", "w shutdown", "root shutdown"]
    assert downs("all_significant") == ["v normal", "w normal", "root shutdown"]


def test_a_supervisor_that_is_held_obeys_its_parent_and_a_stop_and_nobody_else() -> None:
    crash = {"op": "crash", "child": "a", "how": ["exit", "boom"]}
    for how in ("exit", "stop"):
        trace = supervisor(
            {"op": "suspend"},
            crash,
            {"op": "stop_sup", "how": how, "reason": "shutdown"},
            children=[child("a"), child("b")],
        )
        assert [(event["id"], event["reason"]) for event in trace if "down" in event["ev"]] == [
            ("a", "boom"),
            ("b", "shutdown"),
            ("root", "shutdown"),
        ]
        assert not [event for event in trace if event.get("start_no") == 2]
    trace = supervisor({"op": "suspend"}, crash, {"op": "resume"}, {"op": "count_children"}, children=[child("a")])
    assert values(trace)[-1]["active"] == 1


def test_error_shutdown_is_an_end_in_good_order() -> None:
    trace = supervisor(
        {"op": "crash", "child": "a", "how": ["error", "shutdown"]}, children=[child("a", restart="transient")]
    )
    assert trace[-1] == {"ev": "down", "id": "a", "start_no": 1, "reason": ["shutdown", "$stack"]}


def test_simple_one_for_one_takes_one_template() -> None:
    ((error, (word, *_)),) = values(supervisor(strategy="simple_one_for_one", children=[child("a"), child("b")]))
    assert (error, word) == ("error", "bad_start_spec")
