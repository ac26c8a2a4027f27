"""What a program may give at the doors of a system by mistake: it hears at once what was expected, in an error of
ours, and nothing else changes. A stop is carried out whatever it is given."""

import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import secrets_actor
from secrets_actor import (
    AsyncSecrets,
    AwsSettings,
    BackendFactory,
    ConfigurationError,
    InvalidParameter,
    PrefetchSettings,
    Secrets,
    SecretsError,
    Settings,
    System,
    VaultSettings,
    child_spec,
    messages,
    otp,
    start,
)
from secrets_actor.testing import FakeStore, fake_system

# What somebody may give in place of anything else.
ODD: list[Any] = [None, 5, -1, 2.5, math.nan, True, "", "x", b"x", [], [5], [None], {}, {"a": 5}, object()]
# Arguments that fit, by their names; "a" for any other.
FITTING: dict[str, Any] = {
    "value": "v",
    "policy": "{}",
    "attempt": lambda _: 1,
    "login_error": ValueError,
    "secret_ids": ["a"],
    "regions": ["eu-west-1"],
    "region": "eu-west-1",
    "keys": ["a"],
    "tags": {"a": "b"},
    "callback": print,
    "operation": messages.Get("a"),
    "source": Settings(),
}
SPEC = otp.ChildSpec("a", otp.GenServer)


@pytest.fixture
def system() -> Iterator[System]:
    """A running system with one secret."""
    store = FakeStore()
    store.put("a", "value")
    with fake_system(store) as (system, _):
        yield system


def fitting(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {one.name: FITTING.get(one.name, "a") for one in parameters if one.default is one.empty}


def refused(call: Callable[[], Any]) -> SecretsError | None:
    """The error of ours that *call* raises, or None; what a generator raises counts. Any other error is a fault."""
    try:
        given = call()
        if inspect.isgenerator(given):
            list(given)
        elif isinstance(given, secrets_actor.Subscription):
            given.cancel()
    except SecretsError as error:
        return error
    return None


METHODS = [name for name in dir(Secrets) if not name.startswith("_")]


@pytest.mark.parametrize("method", METHODS)
def test_whatever_a_client_is_given_only_errors_of_ours_come_of_it(system: System, method: str) -> None:
    function, actor = getattr(system.secrets, method), system.whereis("secrets")
    for parameter in inspect.signature(function).parameters:
        for odd in ODD:
            refused(lambda given={parameter: odd}: function(**(fitting(function) | given)))
    assert system.whereis("secrets") is actor, "it goes on"


@pytest.mark.parametrize("operation", ["x", None, 5, messages.Get, messages], ids=str)
def test_only_a_message_can_be_asked(system: System, operation: Any) -> None:
    for error in (
        refused(lambda: system.secrets.ask(operation)),
        refused(lambda: drive(system.async_secrets.ask(operation))),
    ):
        assert isinstance(error, InvalidParameter)
        assert str(error) == "operation: a message, such as messages.Get(name): an object, not its class"


def drive(coroutine: Any) -> Any:
    """The first step of a coroutine, which is all that a refused call takes."""
    try:
        return coroutine.send(None)
    finally:
        coroutine.close()


LISTS: list[tuple[str, Callable[[Secrets, Any], Any]]] = [
    ("secret_ids: a list of names", lambda secrets, given: secrets.get_many(given)),
    ("names: a list of names", lambda secrets, given: secrets.prefetch(given)),
    ("prefixes: a list of beginnings of names", lambda secrets, given: secrets.prefetch(prefixes=given)),
    ("tags: a list of tags", lambda secrets, given: secrets.prefetch(tags=given)),
    ("filters: a list of Filters", lambda secrets, given: list(secrets.iterate(given))),
    ("filters: a list of Filters", lambda secrets, given: secrets.ask(messages.ListPage(given))),
    ("stages: a list of stages", lambda secrets, given: secrets.put("a", "v", stages=given)),
    ("regions: a list of regions", lambda secrets, given: secrets.replicate("a", given)),
    ("regions: a list of regions", lambda secrets, given: secrets.remove_regions("a", given)),
    ("keys: a list of keys", lambda secrets, given: secrets.untag("a", given)),
]


@pytest.mark.parametrize(("text", "call"), LISTS)
def test_a_list_is_asked_for_where_one_text_or_none_is_given(
    system: System, text: str, call: Callable[[Secrets, Any], Any]
) -> None:
    assert str(refused(lambda: call(system.secrets, 5))) == text
    assert str(refused(lambda: call(system.secrets, "db"))) == f"{text}, not one text"


def test_the_values_of_a_filter_are_one_text_or_a_list() -> None:
    number: Any = 5
    assert str(refused(lambda: messages.Filter("name", number))) == "filters: a list of values"
    assert messages.Filter("name", "a").values == ("a",)


def test_a_function_is_asked_for(system: System) -> None:
    for given in (None, 5, "x"):
        for call in (
            lambda given=given: system.subscribe("a", given),
            lambda given=given: system.secrets.retry_on_rotation("a", given, login_error=ValueError),
            lambda given=given: drive(system.async_secrets.retry_on_rotation("a", given, login_error=ValueError)),
            lambda given=given: system.async_secrets.subscribe("a", given),
        ):
            error = refused(call)
            assert isinstance(error, InvalidParameter)
            assert "a function" in error.allowed


# --- start ------------------------------------------------------------------------------------------------------------

DOORS: list[Callable[..., Any]] = [start, System, child_spec]
by_every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
WRONG: list[tuple[str, Any, str]] = [
    ("backend", FakeStore(), "a BackendFactory, not FakeStore: its factory.. makes one"),
    ("backend", "fake", "a BackendFactory, not str"),
    ("children", [SPEC], "a function, not list"),
    ("children", lambda _: None, "a function that takes the client and returns otp.ChildSpecs: not NoneType"),
    ("children", lambda _: SPEC, "a function that takes the client and returns otp.ChildSpecs: not ChildSpec"),
    ("children", lambda _: "spec", "a function that takes the client and returns otp.ChildSpecs: not str"),
    ("children", lambda _: _coroutine(), "a function that takes .*: not coroutine"),
    ("observer", 5, "a function, not int"),
    ("on_give_up", 5, "a function, not int"),
    ("tracer", 5, "an object with a method begin, not int"),
    ("source", {"ttl_seconds": 5}, r"the path of a file, a text; Settings\(...\); or None; not dict"),
    ("source", b"a.toml", ".* not bytes"),
    ("source", AwsSettings(), ".* not AwsSettings"),
]


async def _coroutine() -> list[otp.ChildSpec]:
    return [SPEC]


@by_every_door
@pytest.mark.parametrize(("parameter", "given", "text"), WRONG, ids=lambda one: str(one)[:20])
def test_a_system_says_what_it_wants_before_anything_starts(
    door: Callable[..., Any], parameter: str, given: Any, text: str
) -> None:
    name = "settings" if door is System and parameter == "source" else parameter
    if name not in inspect.signature(door).parameters:
        return  # `child_spec` has not all of them
    with pytest.raises(InvalidParameter, match=text) as caught:
        door(**{name: given})
    assert caught.value.parameter == parameter


def test_the_children_may_come_out_of_a_generator() -> None:
    def children(_: Secrets) -> Iterator[otp.ChildSpec]:
        yield SPEC

    with fake_system(children=children) as (system, _):
        assert "faces" in str(system.tree())


def test_a_fake_system_wants_a_fake_store() -> None:
    path: Any = "config.toml"
    with pytest.raises(InvalidParameter, match="store: a FakeStore, not str"), fake_system(path):
        raise AssertionError


def test_a_wrong_configuration_changes_nothing(system: System) -> None:
    actor = system.whereis("secrets")
    for odd in ODD[1:]:
        assert refused(lambda odd=odd: system.configure(odd)) is not None
        assert refused(lambda odd=odd: system.configure(Settings(), backend=odd)) is not None
    assert system.whereis("secrets") is actor


TEXT: Any = "db"
SINGLE = {
    "prefetch.names": Settings(prefetch=PrefetchSettings(names=TEXT)),
    "prefetch.prefixes": Settings(prefetch=PrefetchSettings(prefixes=TEXT)),
    "prefetch.tags": Settings(prefetch=PrefetchSettings(tags=TEXT)),
    "vault.addresses": Settings(vault=VaultSettings(addresses=TEXT)),
}


@pytest.mark.parametrize("key", SINGLE)
def test_one_text_for_a_list_is_a_mistake(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        System(SINGLE[key])
    assert caught.value.mistakes == (f"{key}: a list of texts, not one text",)


FACTORIES: list[tuple[str, dict[str, Any]]] = [
    ("name", {"name": ""}),
    ("name", {"name": 5}),
    ("connect", {"connect": None}),
    ("credentials", {"credentials": "key"}),
    ("diagnose", {"diagnose": 5}),
    ("prepare", {"prepare": 5}),
    ("endpoints", {"endpoints": None}),
    ("endpoints", {"endpoints": "abc"}),
    ("endpoints", {"endpoints": (5,)}),
    ("endpoints", {"endpoints": ("",)}),
    ("endpoints", {"endpoints": ("u:p@h",)}),
]


@pytest.mark.parametrize(("parameter", "given"), FACTORIES)
def test_a_factory_says_what_it_wants_when_it_is_made(parameter: str, given: dict[str, Any]) -> None:
    error = refused(lambda: BackendFactory(**({"name": "mine", "connect": object} | given)))

    assert isinstance(error, InvalidParameter)
    assert error.parameter == parameter
    assert "u:p" not in str(error)


def test_the_endpoints_of_a_factory_may_come_in_any_list() -> None:
    found: Any = (one for one in ("a:1", "b:2"))
    assert BackendFactory("mine", object, endpoints=found).endpoints == ("a:1", "b:2")  # type: ignore[arg-type]


# --- stop -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [*ODD, math.inf, 10**400], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("parameter", ["timeout", "drain"])
def test_a_stop_never_raises_and_the_system_stops(parameter: str, given: Any) -> None:
    with fake_system() as (system, store):
        store.put("a", "v")
        system.secrets.get("a")
        system.stop(**{parameter: given})
        assert not system.running


def test_a_stop_without_a_limit_waits_for_a_child_that_takes_its_time() -> None:
    ended: list[bool] = []

    class Slow(otp.GenServer):
        trap_exit = True

        def terminate(self, reason: otp.ExitReason) -> None:
            ended.append(True)

    with fake_system(children=lambda _: [otp.ChildSpec("slow", Slow, shutdown=otp.INFINITY)]) as (system, _):
        system.stop(timeout=None, drain=None)
    assert ended == [True]


@pytest.mark.parametrize("given", [*ODD[4:]], ids=lambda one: type(one).__name__)
def test_a_wait_wants_a_time(system: System, given: Any) -> None:
    error = refused(lambda: system.wait(given))

    assert isinstance(error, InvalidParameter)
    assert error.parameter == "timeout"
    assert system.running


# --- what a system says of itself -------------------------------------------------------------------------------------


def test_a_system_over_a_backend_of_the_programs_own_says_so() -> None:
    with fake_system() as (system, store):
        assert str(system) == "<System with the program's own backend fake running>"
        system.configure(Settings(), backend=BackendFactory("other", store.factory().connect))
        assert repr(system) == "<System with the program's own backend other running>"
    assert repr(system).endswith("stopped>")
    assert isinstance(system.async_secrets, AsyncSecrets)
