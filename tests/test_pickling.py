"""Errors and settings go through pickles and copies; what lives in a process, and what may be a key, does not."""

import copy
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import secrets_actor
from secrets_actor import AwsSettings, LocalSettings, LogSettings, PrefetchSettings, Settings, otp
from secrets_actor import errors as public
from secrets_actor.errors import SecretsError, StoreFailure
from secrets_actor.pickling import PortableError, plain_form
from secrets_actor.testing import fake_system
from tests.canaries.canary_forms import canary, forms, plain_canary

WAYS: list[Callable[[Any], Any]] = [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy]
by_every_way = pytest.mark.parametrize("way", WAYS, ids=["pickle", "copy", "deepcopy"])
# What belongs to the process that the error was raised in, or may hold a value, is in no pickle.
LOCAL: dict[type, str] = {otp.BadReturn: "value", otp.NameTaken: "holder", otp.ChildError: "pid"}
CRASH = otp.Crashed("ValueError", "a.py:7", ValueError("x"), "x")


def _error_classes() -> list[type[PortableError]]:
    found = {one for module in (public, otp) for one in vars(module).values() if isinstance(one, type)}
    return sorted((one for one in found if issubclass(one, BaseException)), key=lambda one: f"{one.__module__}{one}")


def _made(kind: type[PortableError]) -> PortableError:
    """An error of this *kind*; each argument that it needs is a text, or what its name wants."""
    wanted: dict[str, Any] = {
        "reason": otp.Shutdown(otp.FailedToStart("child", CRASH)),
        "mistakes": ("a: b", "c: d"),
        "status": 500,
    }
    args, named = [], {}
    for one in list(inspect.signature(kind.__init__).parameters.values())[1:]:
        given = wanted.get(one.name, f"some {one.name}")
        if one.kind is one.VAR_POSITIONAL:
            args.append(("a place", "a reason") if kind is public.NoCredentials else "what happened")
        elif one.kind is one.KEYWORD_ONLY:
            named[one.name] = given
        elif one.default is one.empty and one.kind is not one.VAR_KEYWORD:
            args.append(given)
    error = kind(*args, **named)
    if isinstance(error, SecretsError):
        error.token, error.origin, error.request_id, error.retryable = "t" * 32, "h:1", "r-1", not error.retryable
    return error


def test_the_errors_are_all_here() -> None:
    assert len(_error_classes()) > 50
    assert {public.StoreDamaged, public.NoCredentials, otp.ChildError, otp.Exit} <= set(_error_classes())


@by_every_way
@pytest.mark.parametrize("kind", _error_classes(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_error_comes_back_equal_and_alone(kind: type[PortableError], way: Callable[[Any], Any]) -> None:
    try:
        raise _made(kind) from KeyError("what only the worker should see")
    except PortableError as raised:
        error = raised
    back = way(error)

    assert type(back) is kind
    assert back is not error
    assert (str(back), repr(back), back.args) == (str(error), repr(error), error.args)
    local = LOCAL.get(kind) if way is WAYS[0] else None
    assert vars(back) == {name: value for name, value in vars(error).items() if name != local}
    assert getattr(back, "code", None) == getattr(error, "code", None)
    assert (back.__traceback__, back.__cause__, back.__context__) == (None, None, None)


class Refused(StoreFailure):
    """An error of a backend of one's own, with an `__init__` of its own."""

    def __init__(self, *, host: str) -> None:
        super().__init__(f"{host} refused", status=503)
        self.host = host


@by_every_way
def test_an_error_class_of_a_program_needs_nothing_for_it(way: Callable[[Any], Any]) -> None:
    back = way(Refused(host="h"))

    assert (type(back), str(back), back.host, back.status) == (Refused, "h refused", "h", 503)


def refused_job(settings: Settings) -> str:
    with secrets_actor.start(settings) as system:
        return system.secrets.get("db/password", timeout=-1).text()


POOL = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from secrets_actor import InvalidParameter, Settings
from tests.test_pickling import refused_job

if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        try:
            executor.submit(refused_job, Settings(ttl_seconds=5)).result(60)
        except InvalidParameter as error:
            print(error.parameter, executor.submit(abs, -1).result(60))
"""


@pytest.mark.slow  # it starts two interpreters
def test_settings_go_into_a_process_pool_and_an_error_comes_out_of_it() -> None:
    ended = subprocess.run([sys.executable, "-c", POOL], check=False, capture_output=True, text=True, timeout=60)

    assert (ended.stdout, ended.stderr) == ("timeout 1\n", "")


# --- what an error of the kernel leaves at home -----------------------------------------------------------------------


def test_what_belongs_to_a_process_stays_there_and_a_copy_has_it() -> None:
    value, holder = object(), object()
    pairs: list[tuple[Any, str, object]] = [
        (otp.BadReturn("bad", value), "value", value),
        (otp.NameTaken("a", holder), "holder", holder),
        (otp.ChildError("a", "running", holder), "pid", holder),  # type: ignore[arg-type]
    ]

    for error, name, there in pairs:
        back = pickle.loads(pickle.dumps(error))
        assert getattr(back, name) is None
        assert str(back) == str(error)
        assert getattr(copy.copy(error), name) is getattr(copy.deepcopy(error), name) is there


def test_the_wrong_values_of_a_tree_are_in_the_pickle_if_they_are_plain() -> None:
    wrong = otp.InvalidTree("bad", "child", ("bad_combination", ("restart", 1.5), None, lambda: 1, object()))
    back = pickle.loads(pickle.dumps(wrong))

    assert back.part == "child"
    assert back.problem == ("bad_combination", ("restart", 1.5), None, "function", "object")
    assert copy.copy(wrong).problem == wrong.problem


@pytest.mark.parametrize("make", [otp.Shutdown, otp.Stopped])
def test_a_reason_is_pickled_with_what_its_text_says(make: Callable[[object], otp.ExitReason]) -> None:
    for term in ("plain", 7, None, ("a", 1), CRASH, otp.NORMAL, public.ServerDown("gone")):
        back = pickle.loads(pickle.dumps(make(term)))
        assert str(back) == str(make(term))
        assert type(back) is type(make(term))
    odd = make([lambda: 1])
    assert str(pickle.loads(pickle.dumps(odd))) == str(odd)
    assert copy.deepcopy(odd) is odd


def test_no_value_gets_into_a_pickle_by_an_exception_that_a_reason_keeps() -> None:
    value = canary()
    try:
        raise ValueError(value)
    except ValueError as error:
        hidden, told = otp.Crashed.by(error), otp.Crashed.by(error, explains=True)
    try:
        raise LookupError("a cause") from ValueError(value)
    except LookupError as error:
        caused = otp.Crashed.by(error, explains=True)

    for leaving in (hidden, caused, otp.CallFailed(hidden), otp.BadReturn("bad", [value]), otp.Exit(hidden)):
        pickled = pickle.dumps(leaving)
        assert not [name for form, name in forms(value).items() if form in pickled]
    assert pickle.loads(pickle.dumps(hidden)) == hidden
    assert pickle.loads(pickle.dumps(told)).text == value  # the process explains itself: its text says it, too
    kept = otp.Crashed("ServerDown", "a.py:1", public.ServerDown("gone", token="t"))
    assert pickle.loads(pickle.dumps(kept)).error.token == "t"


def test_a_plain_form_is_the_value_or_the_name_of_its_type() -> None:
    assert plain_form(("a", 1, 1.5, True, None, ("b",))) == ("a", 1, 1.5, True, None, ("b",))
    assert plain_form((b"a", ["b"], otp.Kind.WORKER)) == ("bytes", "list", "Kind")


# --- settings ---------------------------------------------------------------------------------------------------------

SETTINGS: list[Any] = [
    Settings(),
    LocalSettings(),
    LogSettings(output="stderr"),
    PrefetchSettings(names=("a",)),
    LocalSettings(key={"env": "MY_KEY"}, recovery_window=7),
    LocalSettings(key={"file": "/etc/my.key"}),
    LocalSettings(key={"file": "/etc/my.key", "make": True}),
    LocalSettings(key={"passphrase": {"env": "MY_KEY"}}),
    LocalSettings(key={"keyring": "service"}),
    LocalSettings(key="a key in the wrong place, which is dropped at once"),
    AwsSettings(region="eu-west-1", role_tags={"a": "b"}, proxy_url="http://proxy.example:8080"),
    Settings(ttl_seconds=5, aws=AwsSettings(access_key={"env": "A"}, secret_key={"file": "/etc/k"})),  # type: ignore[arg-type]
]


@by_every_way
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda one: repr(one)[:60])
def test_settings_without_a_key_in_clear_come_back_equal(settings: Any, way: Callable[[Any], Any]) -> None:
    back = way(settings)

    assert back == settings
    assert repr(back) == repr(settings)


def _with_keys(key: str) -> Iterator[Any]:
    for name in ("access_key", "secret_key", "session_token"):
        yield AwsSettings(**{name: key})
    yield Settings(aws=AwsSettings(access_key=key, secret_key=key))  # type: ignore[arg-type]
    yield AwsSettings(proxy_url=f"http://me:{key}@proxy.example")
    yield LocalSettings(key={"env": key})
    yield LocalSettings(key={"file": key})
    yield LocalSettings(key={"keyring": key})


def test_settings_with_a_key_in_clear_are_copied_and_not_pickled() -> None:
    key = plain_canary()
    for settings in _with_keys(key):
        assert copy.deepcopy(settings) == copy.copy(settings) == settings
        with pytest.raises(TypeError, match=r'\{"env": "NAME"\} or \{"file": "PATH"\}|HTTPS_PROXY') as caught:
            pickle.dumps(settings)
        assert key not in str(caught.value)
        frame = caught.value.__traceback__
        while frame is not None:
            if "test_pickling" not in frame.tb_frame.f_code.co_filename:
                assert key not in repr(frame.tb_frame.f_locals)
            frame = frame.tb_next


# --- what lives in a process ------------------------------------------------------------------------------------------


def test_what_lives_in_a_process_says_what_to_do_in_another_one() -> None:
    with fake_system() as (system, _), system.subscribe("a", print) as subscription:
        pid = system.whereis("secrets")
        assert pid is not None
        start = "start a system in the process that uses it, .* with Settings"
        living = [
            *((one, start) for one in (system, system.secrets, system.secrets.for_caller("me"), system.async_secrets)),
            (subscription, "subscribe anew in the process"),
            *((one, "make one in the process that uses it") for one in (system.ref, system.address, pid, pid.node)),
        ]
        for one, advice in living:
            with pytest.raises(TypeError, match=f"{type(one).__name__} cannot be pickled: .*{advice}"):
                pickle.dumps(one)
            assert copy.copy(one) is one
            assert copy.deepcopy({"a": one})["a"] is one
