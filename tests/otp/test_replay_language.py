"""The gen_server scenarios beyond what the given recordings use, against the rules of traces/README.md."""

from tests.otp.scripted import call, cast, handled, servers, start, values


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


def test_a_reply_where_nobody_asked_is_no_answer() -> None:
    for action in (["reply", 1], ["throw_reply", 1]):
        trace = servers(start("s"), cast("s", "c", action))
        assert trace[-1]["reason"] == ["bad_return_value", ["reply", 1, "state"]]
    trace = servers(start("s", on_info={"m": [["stop", "bye", 1]]}), {"op": "send", "to": "s", "msg": "m"})
    assert trace[-1]["reason"] == ["bad_return_value", ["stop", "bye", 1, "state"]]


def test_two_servers_that_call_each_other_wait_only_as_long_as_the_first_will() -> None:
    trace = servers(
        start("a"),
        start("b"),
        cast("a", "go", ["call", "b", 400, "x", [["call", "a", 60, "y", [["reply", 1]]], ["reply", 2]]]),
        {"op": "sleep", "ms": 150},
    )
    assert [(e["id"], e["value"]) for e in trace if e["ev"] == "note"] == [
        ("b", ["exit", ["timeout", "$call"]]),
        ("a", ["reply", 2]),
    ]
    assert handled(trace, "a", "call") == ["y"]  # carried out, though nobody waits any more


def test_a_crash_travels_up_through_calls_that_let_it() -> None:
    trace = servers(
        start("a"), start("b"), call("a", "go", ["call_raw", "b", 1000, "x", [["error", "boom"]]], ["reply", 1])
    )
    inner = [["boom", "$stack"], "$call"]
    assert [e["reason"] for e in trace if e["ev"] == "down"] == [inner[0], inner]
    assert values(trace)[-1] == ["exit", [inner, "$call"]]
