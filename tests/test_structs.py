"""Records are Structs. None of them shows a value: not in its repr, not to rich, not to an encoder."""

import ast
import copy
import importlib
import inspect
import pickle
import pkgutil
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any, Final

import msgspec
import pytest
from msgspec import Struct
from rich.pretty import pretty_repr

import secrets_actor
from secrets_actor import BackendFactory, SecretValue
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.backends.aws.sdk_settings import ProfileSettings
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.http.proxy import Proxy
from secrets_actor.backends.http.response_parser import ParsedAnswer
from secrets_actor.backends.http.transport import HttpAnswer
from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.local.export_key import KEY, ExportKey
from secrets_actor.backends.master_key_setting import KeyPlace
from secrets_actor.backends.sigv4 import HttpRequest, Signed
from secrets_actor.delivery.environment import Mapped
from secrets_actor.delivery.pace import Pace
from secrets_actor.domain.masked import MaskedText
from secrets_actor.domain.operations import Filter, List, ListPage
from secrets_actor.domain.results import ReplicaRegion, ResourcePolicy, SecretBatch
from secrets_actor.domain.rotation_retry import RotationRetry
from secrets_actor.domain.semantics.entry import Entry
from secrets_actor.domain.tracing import CallerFacts
from secrets_actor.faces import exchange
from secrets_actor.faces.identity import Peer
from secrets_actor.messages import (
    AssociateReplica,
    CancelRotation,
    Create,
    CreateEmpty,
    CurrentVersions,
    Delete,
    DeletePolicy,
    Describe,
    DisassociateReplica,
    Get,
    GetMany,
    GetPolicy,
    Invalidate,
    ListPolicies,
    ListVersions,
    MoveStage,
    Put,
    PutPolicy,
    RandomPassword,
    Regenerate,
    RemoveRegions,
    Replicate,
    Request,
    Restore,
    Rotate,
    Set,
    StopReplication,
    Tag,
    Untag,
    Update,
    ValidatePolicy,
)
from secrets_actor.results import MaskedObject
from secrets_actor.runtime.daemon_settings import AccessKeySettings, TokenSettings
from secrets_actor.runtime.settings import AwsSettings, LocalSettings, VaultSettings
from secrets_actor.structs import Opaque, SelectiveStruct

CANARY: Final = "hunter2-canary-0123456789abcdefg"
AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
A_REGION: Final = "eu-central-1"
A_REPLICA: Final = "arn:aws:secretsmanager:us-east-1:210987654321:secret:b-AbCdEf"


# What another tool loads, in its own environment: it may not be here.
PLUGINS: Final = "secrets_actor.cli.helpers.ansible_lookup."


def modules() -> Iterator[ModuleType]:
    for module in pkgutil.walk_packages(secrets_actor.__path__, "secrets_actor."):
        if module.name.endswith("__main__") or module.name.startswith(PLUGINS):
            continue
        yield importlib.import_module(module.name)


def classes_below(base: type) -> dict[str, type[Any]]:
    """By module and name."""
    found = {}
    for module in modules():
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__:
                found[f"{module.__name__}.{value.__name__}"] = value
    return found


STRUCTS: Final = classes_below(Struct)
OPAQUE: Final = classes_below(Opaque)
# Those that look at what they are given: made with a canary wherever they take one.
CHECKED: Final[dict[type[Any], Callable[[], object]]] = {
    AwsSettings: lambda: AwsSettings(access_key=CANARY, secret_key=CANARY, session_token=CANARY, proxy_url=CANARY),
    LocalSettings: lambda: LocalSettings(key=CANARY),
    VaultSettings: lambda: VaultSettings(
        token=CANARY, role_id=CANARY, secret_id=CANARY, jwt=CANARY, password=CANARY, proxy_url=CANARY
    ),
    BackendFactory: lambda: BackendFactory("mine", object, endpoints=("h:1",)),
    AssociateReplica: lambda: AssociateReplica("a", A_REPLICA),
    CancelRotation: lambda: CancelRotation("a"),
    Create: lambda: Create("a", CANARY),
    CreateEmpty: lambda: CreateEmpty("a"),
    CallerFacts: lambda: CallerFacts("unit:a.service", (("uid", 1),)),
    Mapped: Mapped,
    Pace: Pace,
    TokenSettings: lambda: TokenSettings(name="a", value=CANARY),
    AccessKeySettings: lambda: AccessKeySettings(name="a", secret_key=CANARY),
    AwsCredentials: lambda: AwsCredentials(CANARY, SecretValue(CANARY), SecretValue(CANARY)),
    Delete: lambda: Delete("a"),
    DeletePolicy: lambda: DeletePolicy("a"),
    Describe: lambda: Describe("a"),
    Entry: lambda: Entry("a", "arn", AT, AT),
    DisassociateReplica: lambda: DisassociateReplica("a", A_REPLICA),
    Filter: lambda: Filter("name", "a"),
    Get: lambda: Get("a"),
    CurrentVersions: lambda: CurrentVersions(["a"]),
    GetMany: lambda: GetMany(["a"]),
    GetPolicy: lambda: GetPolicy("a"),
    Invalidate: lambda: Invalidate("a"),
    KeyPlace: lambda: KeyPlace("file", CANARY + "\n"),
    KeySource: lambda: KeySource("text", CANARY),
    List: List,
    ListPage: ListPage,
    ListPolicies: lambda: ListPolicies("a"),
    ListVersions: lambda: ListVersions("a"),
    MoveStage: lambda: MoveStage("a", "stage", "v" * 32),
    Put: lambda: Put("a", CANARY),
    PutPolicy: lambda: PutPolicy("a", "{}"),
    RandomPassword: RandomPassword,
    Regenerate: lambda: Regenerate("a"),
    RemoveRegions: lambda: RemoveRegions("a", [A_REGION]),
    ReplicaRegion: lambda: ReplicaRegion(A_REGION),
    Replicate: lambda: Replicate("a", [A_REGION]),
    Request: lambda: Request("PutSecretValue", {"SecretString": CANARY}),
    Restore: lambda: Restore("a"),
    Rotate: lambda: Rotate("a"),
    RotationRetry: lambda: RotationRetry(ValueError),
    Set: lambda: Set("a", CANARY),
    StopReplication: lambda: StopReplication("a"),
    Tag: lambda: Tag("a", {"a": "b"}),
    Untag: lambda: Untag("a", ["b"]),
    Update: lambda: Update("a", CANARY),
    ValidatePolicy: lambda: ValidatePolicy("{}"),
}
VALUES: Final = re.compile(r"_?(value|body|secret_key|password|passphrase|signature|authorization|payload)")
# Bytes that are no value: ids, salts, sums, certificates, and keys that another key has encrypted.
IN_CLEAR: Final = {
    "_Carried.nonce",
    "Derivation.salt",
    "Keys.master",
    "Keys.store_id",
    "NewStore.header",
    "VaultTls.ca_pem",
    "VaultTls.cert",
    "WrappedKey.master",
    "WrappedKey.wrapped",
    "WrappedKeys.store_id",
}
# A text or anything that is called like a value, and is none.
NO_VALUE: Final = {
    "Answered.value",
    "KeyPlace.value",
    "LiveGauge.value",  # a number, or a state of the breaker
    "KeySource.value",
    "Reply.value",
    "Stated.value",
}


def annotations(cls: type[Struct]) -> dict[str, str]:
    found: dict[str, str] = {}
    for above in reversed(cls.__mro__):
        for name, hint in vars(above).get("__annotations__", {}).items():
            found[name] = hint.__name__ if isinstance(hint, type) else str(hint)
    return {name: found[name] for name in cls.__struct_fields__}


def sample(cls: type[Any]) -> Any:
    """One of *cls* with a value in each field; nothing looks at types but what is in `CHECKED`."""
    if cls in CHECKED:
        return CHECKED[cls]()
    return cls(**dict.fromkeys(cls.__struct_fields__, SecretValue(CANARY)))


def told(action: Callable[[], object]) -> object:
    """The answer, or the error's text."""
    try:
        return action()
    except (TypeError, ValueError, AttributeError) as error:
        return error


WAYS: Final[dict[str, Callable[[Any], object]]] = {
    "repr": repr,
    "text": str,
    "format": lambda one: f"{one}",
    "rich": pretty_repr,
    "rich's fields": lambda one: one.__rich_repr__(),
    "builtins": msgspec.to_builtins,
    "builtins with a hook": lambda one: msgspec.to_builtins(one, enc_hook=repr),
    "json": msgspec.json.encode,
    "json with a hook": lambda one: msgspec.json.encode(one, enc_hook=repr),
    "msgpack with a hook": lambda one: msgspec.msgpack.encode(one, enc_hook=repr),
    "asdict": msgspec.structs.asdict,
    "astuple": msgspec.structs.astuple,
    "copy": lambda one: repr(copy.copy(one)),
    "pickle": pickle.dumps,
    "match": lambda one: [getattr(one, name) for name in one.__match_args__],
}


@pytest.mark.parametrize("name", [name for name in STRUCTS if not name.startswith("secrets_actor.testing.")])
def test_no_struct_shows_a_value(name: str) -> None:
    cls = STRUCTS[name]
    assert cls in CHECKED or "__post_init__" not in dir(cls), "tell CHECKED how one is made that is no mistake"
    one = sample(cls)

    for way, shown in WAYS.items():
        found = told(lambda shown=shown: shown(one))  # type: ignore[misc]
        assert CANARY not in (found.decode("latin-1") if isinstance(found, bytes) else repr(found)), way


def test_there_are_structs_to_look_at() -> None:
    assert len(STRUCTS) > 200
    assert len(OPAQUE) > 9
    assert set(CHECKED) <= set(STRUCTS.values())


def test_what_holds_a_value_in_clear_is_no_struct() -> None:
    bytes_in, called_so = set(), set()
    for cls in STRUCTS.values():
        for name, hint in annotations(cls).items():
            if re.search(r"\b(bytes|bytearray|memoryview)\b", hint):
                bytes_in.add(f"{cls.__name__}.{name}")
            if VALUES.fullmatch(name) and re.search(r"\b(str|Any|object)\b", hint):
                called_so.add(f"{cls.__name__}.{name}")

    for cls in (one for one in classes_below(tuple).values() if hasattr(one, "_fields")):
        assert not re.search(r"\b(bytes|bytearray|memoryview)\b", str(vars(cls)["__annotations__"])), cls
    assert bytes_in == IN_CLEAR
    assert called_so == NO_VALUE


IN_THE_OPEN: Final[dict[str, Callable[[], Any]]] = {
    "call": lambda: Call("PutSecretValue", CANARY.encode()),
    "request": lambda: HttpRequest("POST", body=CANARY.encode()),
    "signed": lambda: Signed("host", CANARY, CANARY, CANARY, (("Authorization", CANARY),), CANARY),
    "proxy": lambda: Proxy("p.example", 1, CANARY.encode()),
    "answer": lambda: HttpAnswer(200, {"a": CANARY}, CANARY.encode()),
    "parsed answer": lambda: ParsedAnswer(200, [(b"a", CANARY.encode())], CANARY.encode(), True),
    "profile": lambda: ProfileSettings("p", {"aws_secret_access_key": CANARY}, {"s": {"a": CANARY}}),
    "export key": lambda: ExportKey(KEY, CANARY.encode()),
    "request to a face": lambda: exchange.Request(
        "GET", "/", CANARY, (("authorization", CANARY),), CANARY.encode(), Peer(uid=1), "unix:/s", 1.0
    ),
    "response of a face": lambda: exchange.Response(200, (("etag", CANARY),), CANARY.encode()),
}


@pytest.mark.parametrize("name", IN_THE_OPEN)
def test_what_holds_one_shows_what_is_known_to_be_none(name: str) -> None:
    one = IN_THE_OPEN[name]()

    for way in ("repr", "text", "format", "rich", "builtins", "builtins with a hook", "json", "json with a hook"):
        assert CANARY not in repr(told(lambda way=way: WAYS[way](one))), way  # type: ignore[misc]
    with pytest.raises(TypeError, match="unsupported"):
        msgspec.to_builtins(one)
    assert one == IN_THE_OPEN[name]() != object()
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@pytest.mark.parametrize("name", OPAQUE)
def test_an_opaque_class_shows_fields_that_it_has(name: str) -> None:
    if OPAQUE[name] is not Opaque:
        assert set(OPAQUE[name].SHOWN) < set(OPAQUE[name].__slots__)


# --- structs of which not all fields count ----------------------------------------------------------------------------


class Part(SelectiveStruct, frozen=True):
    HIDDEN = frozenset({"hidden"})
    UNCOMPARED = frozenset({"note"})
    UNHASHED = frozenset({"tags"})

    x: int
    hidden: str = "h"
    note: str = ""
    tags: tuple[dict[str, str], ...] = ()


class Another(Part, frozen=True):
    pass


def test_a_hidden_field_is_in_no_repr() -> None:
    part = Part(1, "hunter2", "n")

    assert repr(part) == "Part(x=1, note='n', tags=())"
    assert "hunter2" not in pretty_repr(part)
    assert repr(ResourcePolicy("a", "arn", CANARY)).count(CANARY) == 0


def test_equality_and_hash_look_at_the_fields_that_count() -> None:
    assert Part(1, note="a") == Part(1, note="b") != Part(2)
    assert Part(1, "a") != Part(1, "b")
    assert Part(1, tags=({"a": "b"},)) != Part(1)
    assert hash(Part(1, note="a", tags=({"a": "b"},))) == hash(Part(1)) != hash(Part(2))
    assert Part(1) != Another(1)
    assert hash(SecretBatch({}, {})) == hash(SecretBatch({"a": None}, {}))  # type: ignore[dict-item]


def test_what_is_named_is_a_field() -> None:
    for cls in classes_below(SelectiveStruct).values():
        assert set(cls.__struct_fields__) >= cls.HIDDEN | cls.UNCOMPARED | cls.UNHASHED


# --- what a type checker sees ----------------------------------------------------------------------------------------


def written(cls: type[Any]) -> ast.FunctionDef | None:
    """The `__init__` that only type checkers see, for it takes more types than the fields then have."""
    (tree,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(tree, ast.ClassDef)
    inits = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
    return inits[0] if inits else None


def test_what_a_type_checker_sees_is_what_runs() -> None:
    found = 0
    for cls in STRUCTS.values():
        init = written(cls)
        if init is not None:
            found += 1
            runs = inspect.signature(cls).parameters
            seen = [one.arg for one in init.args.args[1:]]
            required = len(seen) - len(init.args.defaults)
            derived = [one for one in list(runs)[len(seen) :] if not one.startswith("_")]  # those are not a program's
            assert list(runs)[: len(seen)] == seen
            assert derived == (["secret_id"] if cls is Request else [])
            assert [one for one in runs if runs[one].default is inspect.Parameter.empty] == seen[:required]
    assert found > 9


def test_a_refused_value_is_not_in_the_message_that_is_left() -> None:
    for make in (lambda: Set("a", CANARY * 3000), lambda: Request("No such", {"a": CANARY}), lambda: Put("", CANARY)):
        with pytest.raises(secrets_actor.InvalidInput) as caught:
            make()
        trace = caught.value.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename != __file__:
                for one in trace.tb_frame.f_locals.values():
                    fields = getattr(one, "__struct_fields__", ())
                    assert CANARY not in repr(one) + repr([getattr(one, name) for name in fields])
            trace = trace.tb_next


def test_a_message_can_be_copied_changed_and_pickled() -> None:
    message = Describe("db/password")

    assert copy.copy(message) == copy.deepcopy(message) == pickle.loads(pickle.dumps(message)) == message
    assert msgspec.structs.replace(Put("a", "v"), token="t" * 32) == Put("a", "v", token="t" * 32)
    assert msgspec.structs.replace(Request("A1", {"SecretId": "a"}), operation="B1").secret_id == "a"
    assert isinstance(Request("A1").payload, MaskedObject)
    assert AwsCredentials(MaskedText("a"), SecretValue("b")) == AwsCredentials("a", SecretValue("b"))
