"""Operations of one secret take effect in the order in which they came; different secrets do not wait."""

from secrets_actor import System
from tests.actor.rig import ARN, RigStore, eventually, failure, in_background, process

TOKEN = "33333333-3333-4333-8333-333333333333"  # the caller's own: what it set may be the past by now


def open_calls(system: System, count: int) -> None:
    eventually(lambda: process(system, "secrets").open_calls == count, f"{count} callers")


def test_a_get_behind_a_set_sees_it(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "old")
    hold = rig_store.hold("set")
    setting = in_background(lambda: system.secrets.set("a", "new"))
    hold.wait()
    getting = in_background(lambda: system.secrets.get("a").reveal())
    by_arn = in_background(lambda: system.secrets.get(ARN.format("a"), timeout=10).reveal())
    open_calls(system, 3)
    assert rig_store.count("get") == 0, "it waits for the set"
    hold.go.set()

    assert setting.result(10).created is False
    assert getting.result(10) == "new"
    assert by_arn.result(10) == "new"
    assert rig_store.count("get") == 0, "what was set is what they get"


def test_while_a_set_is_under_way_the_cached_value_answers_no_more(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "old")
    system.secrets.get("a")
    hold = rig_store.hold("set")
    setting = in_background(lambda: system.secrets.set("a", "new"))
    hold.wait()
    getting = in_background(lambda: system.secrets.get("a").reveal())
    open_calls(system, 2)
    hold.go.set()

    assert getting.result(10) == "new"
    setting.result(10)


def test_a_get_behind_a_queued_set_does_not_join_the_get_before_it(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "old")
    hold = rig_store.hold("get", after=True)
    first = in_background(lambda: system.secrets.get("a").reveal())
    hold.wait()
    setting = in_background(lambda: system.secrets.set("a", "new", token=TOKEN))
    open_calls(system, 2)
    second = in_background(lambda: system.secrets.get("a").reveal())
    open_calls(system, 3)
    hold.go.set()

    assert (first.result(10), second.result(10)) == ("old", "new")
    setting.result(10)
    assert [one.kind for one in rig_store.seen] == ["get", "set", "get"]
    assert system.secrets.get("a").reveal() == "new", "what was read before the set is not kept"


def test_sets_of_one_secret_take_effect_in_their_order(system: System, rig_store: RigStore) -> None:
    hold = rig_store.hold("set", "a")
    sets = []
    for number in range(8):
        sets.append(in_background(lambda number=number: system.secrets.set("a", str(number))))
        open_calls(system, number + 1)
    hold.go.set()
    for one in sets:
        one.result(10)

    assert [value.reveal() for _, value in rig_store.versions["a"]] == [str(number) for number in range(8)]


def test_different_secrets_and_a_list_do_not_wait_for_each_other(system: System, rig_store: RigStore) -> None:
    rig_store.put("b", "v")
    hold = rig_store.hold("set", "a")
    setting = in_background(lambda: system.secrets.set("a", "v"))
    hold.wait()

    assert system.secrets.get("b").reveal() == "v"
    assert [info.name for info in system.secrets.list()] == ["b"]
    system.secrets.set("c", "v")
    assert not setting.done()
    hold.go.set()
    setting.result(10)


def test_whoever_gives_up_in_the_queue_lets_those_behind_him_go_on(system: System, rig_store: RigStore) -> None:
    hold = rig_store.hold("set", "a")
    setting = in_background(lambda: system.secrets.set("a", "1"))
    hold.wait()
    failure(lambda: system.secrets.set("a", "never", timeout=0.05))
    behind = in_background(lambda: system.secrets.get("a").reveal())
    open_calls(system, 2)
    hold.go.set()

    setting.result(10)
    assert behind.result(10) == "1"
    assert rig_store.count("set") == 1, "nobody's job is not done"


def test_a_long_queue_of_callers_who_have_all_given_up_is_worked_off_without_a_call(
    system: System, rig_store: RigStore
) -> None:
    hold = rig_store.hold("set", "a")
    setting = in_background(lambda: system.secrets.set("a", "1"))
    hold.wait()
    for _ in range(300):  # deeper than a careless recursion goes
        failure(lambda: system.secrets.set("a", "never", timeout=0.0))
    hold.go.set()
    setting.result(10)

    assert system.secrets.get("a").reveal() == "1"
    assert rig_store.count("set") == 1
