"""The only ways to a value are `reveal()` and `json()`: whoever walks over the objects that a program has in its hands,
by whatever names they have, meets no value, no key and no token."""

import copyreg
import dataclasses
import inspect
import io
import json
import pickle
import pprint
import types
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from secrets_actor import AwsSettings, LocalSettings, Secret, SecretValue, Settings, VaultSettings
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.domain.masked import MaskedObject, MaskedText
from secrets_actor.domain.ports import Answer, CallContext
from secrets_actor.messages import Put, Request, Set, Update
from secrets_actor.otp import From
from secrets_actor.results import SecretBatch
from secrets_actor.testing import fake_system
from tests.canaries.canary_forms import canary
from tests.canaries.canary_search import Hunt

VALUE, KEY, TOKEN = canary(), canary(), canary()


def _secret() -> Secret:
    return Secret("a", "arn", SecretValue(VALUE), "v", ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC))


def _answered() -> From[Secret]:
    handle: From[Secret] = From()
    handle.reply(_secret())
    return handle


_CREDENTIALS = AwsCredentials(KEY, SecretValue(KEY), SecretValue(TOKEN), datetime.now(UTC) + timedelta(1))
_SETTINGS = Settings(
    aws=AwsSettings(access_key=KEY, secret_key=KEY, session_token=TOKEN, proxy_url=f"http://me:{KEY}@p.example"),  # type: ignore[arg-type]
    vault=VaultSettings(token=TOKEN, role_id=KEY, secret_id=KEY, jwt=KEY, password=KEY, proxy_url=f"http://me:{KEY}@p"),  # type: ignore[arg-type]
    local=LocalSettings(key={"env": KEY}),
)
OBJECTS: dict[str, Callable[[], Any]] = {
    "value": lambda: SecretValue(VALUE),
    "bytes": lambda: SecretValue(VALUE.encode()),
    "secret": _secret,
    "set": lambda: Set("a", VALUE),
    "put": lambda: Put("a", VALUE),
    "update": lambda: Update("a", value=VALUE),
    "request": lambda: Request("PutSecretValue", {"SecretString": VALUE}),
    "object": lambda: MaskedObject({"SecretString": VALUE}),
    "text": lambda: MaskedText(KEY),
    "batch": lambda: SecretBatch({"a": _secret()}, {}),
    "answer": lambda: Answer(_secret()),
    "handle": _answered,
    "credentials": lambda: _CREDENTIALS,
    "context": lambda: CallContext(1.0, _CREDENTIALS),
    "settings": lambda: _SETTINGS,
    "aws": lambda: _SETTINGS.aws,
    "vault": lambda: _SETTINGS.vault,
    "key": lambda: _SETTINGS.aws.secret_key,
    "place": lambda: _SETTINGS.local.key,
    "in a dataclass": lambda: _Mine(_secret(), SecretValue(VALUE)),
}


@dataclasses.dataclass
class _Mine:
    secret: Secret
    value: SecretValue


def _names(found: object) -> Iterator[str]:
    for cls in type(found).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        yield from [slots] if isinstance(slots, str) else slots
        yield from cls.__dict__
    yield from dir(found)


def _plain(found: object, deep: int = 5) -> Any:
    """As a serialiser of slots does it: whatever a name leads to, and that again."""
    if deep == 0 or found is None or isinstance(found, (str, int, float, bytes, datetime)):
        return str(found)
    if isinstance(found, dict):
        return {str(key): _plain(one, deep - 1) for key, one in found.items()}
    if isinstance(found, (list, tuple)):
        return [_plain(one, deep - 1) for one in found]
    names = {name for name in _names(found) if not name.startswith("__")}
    facts = {name: getattr(found, name, None) for name in sorted(names)}
    return repr(found), {name: _plain(fact, deep - 1) for name, fact in facts.items() if not callable(fact)}


def _by_descriptors(found: object) -> list[object]:
    kinds = (types.MemberDescriptorType, types.GetSetDescriptorType)
    told = []
    for cls in type(found).__mro__:
        for name, one in vars(cls).items():
            if isinstance(one, kinds) and name not in ("__dict__", "__weakref__"):
                try:
                    told.append(one.__get__(found))
                except AttributeError:
                    told.append("nothing")
    return told


def _rich(found: object, **how: bool) -> str:
    import rich
    from rich.console import Console

    written = io.StringIO()
    rich.inspect(found, console=Console(file=written, width=500), **how)  # type: ignore[arg-type]
    return written.getvalue()


def _pretty(found: object) -> str:
    from rich.pretty import pretty_repr

    return pretty_repr([found, {"a": found}])


def _pickled(found: object) -> object:
    try:
        return pickle.dumps(found)
    except TypeError as error:
        return str(error)


def _reduced(found: object) -> object:
    told = []
    for reduce in (lambda: object.__reduce_ex__(found, 2), lambda: copyreg.__reduce_ex__(found, 2)):  # type: ignore[attr-defined]
        try:
            told.append(repr(reduce()))
        except TypeError as error:
            told.append(str(error))
    return told


WAYS: dict[str, Callable[[Any], object]] = {
    "dir": lambda found: {name: getattr(found, name, None) for name in dir(found)},
    "every name": _plain,
    "members": inspect.getmembers,
    "static members": inspect.getmembers_static,
    "descriptors": _by_descriptors,
    "state": lambda found: found.__getstate__(),
    "reduce": _reduced,
    "pickle": _pickled,
    "vars": lambda found: getattr(found, "__dict__", None),
    "vars of the class": lambda found: vars(type(found)),
    "asdict of a Struct": lambda found: msgspec.structs.asdict(found) if isinstance(found, msgspec.Struct) else "",
    "astuple": lambda found: msgspec.structs.astuple(found) if isinstance(found, msgspec.Struct) else "",
    "builtins": lambda found: msgspec.to_builtins({"a": found}, enc_hook=repr),
    "json by msgspec": lambda found: msgspec.json.encode([found], enc_hook=repr),
    "msgpack": lambda found: msgspec.msgpack.encode([found], enc_hook=repr),
    "asdict": lambda found: dataclasses.asdict(found) if dataclasses.is_dataclass(found) else "",  # type: ignore[call-overload]
    "json": lambda found: json.dumps(found, default=_plain),
    "json as text": lambda found: json.dumps({"a": found}, default=str),
    "pprint": lambda found: pprint.pformat([found, {"a": found}]),
    "rich": _rich,
    "all of rich": lambda found: _rich(found, all=True),
    "pretty": _pretty,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", OBJECTS)
def test_no_name_leads_to_a_value(what: str, way: str) -> None:
    hunt = Hunt()
    for name, planted in (("value", VALUE), ("key", KEY), ("token", TOKEN)):
        hunt.plant(name, planted)
    found = WAYS[way](OBJECTS[what]())
    hunt.text("way", way, found if isinstance(found, bytes) else repr(found))
    hunt.nothing_was_found()


def test_a_secret_from_the_cache_is_as_any_other() -> None:
    hunt = Hunt()
    hunt.plant("value", VALUE)
    with fake_system() as (system, store):
        store.put("a", VALUE)
        for number in range(2):
            secret = system.secrets.get("a")
            assert secret.source == ("cache" if number else "backend")
            for name, way in WAYS.items():
                found = way(secret)
                hunt.text("way", name, found if isinstance(found, bytes) else repr(found))
            assert secret.reveal() == VALUE
    hunt.nothing_was_found()


def test_settings_with_keys_go_nowhere_and_are_what_they_were() -> None:
    with pytest.raises(TypeError, match="name the variable or the file"):
        pickle.dumps(_SETTINGS)
    again = AwsSettings(access_key=KEY, secret_key=KEY, session_token=TOKEN, proxy_url=f"http://me:{KEY}@p.example")  # type: ignore[arg-type]
    assert again == _SETTINGS.aws
    assert msgspec.structs.replace(again, region="x").secret_key == again.secret_key
    assert again != msgspec.structs.replace(again, proxy_url="http://p.example")
