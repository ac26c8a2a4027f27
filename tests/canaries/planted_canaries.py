"""What is planted in a system, and the operations that every store must pass without letting any of it out."""

import contextlib
import copy
import hashlib
import hmac
import json
import pickle
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from secrets_actor import InvalidInput, SecretDeleted, SecretNotFound, SecretsError, System
from secrets_actor.errors import InvalidSecretName, InvalidSecretValue, UnknownMessage
from secrets_actor.messages import Ask, Delete, Get, List, Set
from tests.canaries.canary_forms import canary, plain_canary
from tests.canaries.canary_search import Hunt
from tests.servers.account import REGION, Keys


@dataclass(frozen=True)
class Values:
    """Values of each kind, all of them canaries."""

    text: str = field(default_factory=canary)
    other: str = field(default_factory=canary)
    json: str = field(default_factory=lambda: json.dumps({"user": canary(), "password": canary()}))
    binary: bytes = field(default_factory=lambda: b"\0\xff\x80" + canary().encode() + b"\r\n")
    long: str = field(default_factory=lambda: canary() * 1500)
    surrogate: str = field(default_factory=lambda: canary() + "\ud800")

    @classmethod
    def planted(cls, hunt: Hunt) -> Self:
        """New ones, which *hunt* must not find."""
        made = cls()
        for name in ("text", "other", "binary"):
            hunt.plant(name, getattr(made, name))
        for name, value in json.loads(made.json).items():
            hunt.plant(f"json {name}", value)
        hunt.plant("long", made.long[: len(made.long) // 1500])
        hunt.plant("surrogate", made.surrogate[:-1])
        return made


def plant_keys(hunt: Hunt, keys: Keys) -> None:
    """Keys as a server made them, and what a signature is made with for their sake."""
    hunt.plant("access key id", keys.access_key_id)
    hunt.plant("secret key", keys.secret_key)
    if keys.session_token is not None:
        hunt.plant("session token", keys.session_token)
    for day in (datetime.now(UTC), datetime.now(UTC) + timedelta(days=1)):
        key = f"AWS4{keys.secret_key}".encode()
        for part in (f"{day:%Y%m%d}", REGION, "secretsmanager", "aws4_request"):
            key = hmac.digest(key, part.encode(), hashlib.sha256)
            hunt.plant(f"signing key of {day:%d}, {part}", key)


def some_keys() -> Keys:
    """Keys that no server knows."""
    return Keys("AKIA" + plain_canary()[6:22].upper(), plain_canary(40), plain_canary(70))


def all_operations(hunt: Hunt, system: System, values: Values) -> None:
    """Every operation, every kind of value, and all that a caller can do wrong."""
    secrets, name = system.secrets, "canaries/one"
    for value in (values.text, values.json, values.binary, bytearray(values.binary)):
        hunt.attempt("set", lambda value=value: secrets.set(name, value, description="of no interest"))
        hunt.attempt("get", lambda: secrets.get(name))
    hunt.attempt("get again", lambda: secrets.get(name))
    hunt.attempt("get fresh", lambda: secrets.get(name, refresh=True))
    hunt.attempt("get previous", lambda: secrets.get(name, stage="AWSPREVIOUS"))
    hunt.attempt("list", secrets.list)
    _what_callers_do_with_a_secret(hunt, system, values)
    _what_callers_do_wrong(hunt, system, values)
    _what_actors_do(hunt, system, values)
    hunt.objects("in the middle", system)
    hunt.attempt("delete", lambda: secrets.delete(name))
    hunt.failure("get deleted", SecretDeleted, lambda: secrets.get(name))
    hunt.failure("set deleted", SecretDeleted, lambda: secrets.set(name, values.text))
    hunt.attempt("restore", lambda: secrets.restore(name))
    hunt.attempt("get restored", lambda: secrets.get(name))
    hunt.attempt("delete for good", lambda: secrets.delete(name, force=True))
    hunt.failure("get missing", SecretNotFound, lambda: secrets.get(name))
    hunt.failure("get missing version", SecretNotFound, lambda: secrets.get(name, version_id="0" * 32))
    hunt.objects("at the end", system)


def _what_callers_do_with_a_secret(hunt: Hunt, system: System, values: Values) -> None:
    system.secrets.set("canaries/text", values.text)
    secret = system.secrets.get("canaries/text")
    value = secret.value
    assert value.reveal() == values.text
    for shown in (f"{secret} {value} {value!r} {value:>30}", "{0} {0!s}".format(value), "%s %r" % (secret, value)):  # noqa: UP031, UP032
        hunt.text("answer", "formatted", shown)
    hunt.text("answer", "copied", repr((copy.copy(secret), copy.deepcopy(secret), [value], {"a": secret})))
    hunt.failure("pickled", TypeError, lambda: pickle.dumps(secret))
    hunt.failure("dumped", TypeError, lambda: json.dumps({"a": value}))
    hunt.failure("added", TypeError, lambda: value + "x")
    hunt.failure("hashed", TypeError, lambda: hash(value))
    hunt.failure("ordered", TypeError, lambda: value < value)
    hunt.failure("iterated", TypeError, lambda: list(value))
    hunt.failure("not json", InvalidSecretValue, secret.json)
    hunt.attempt("compared", lambda: (value == values.text, value == value, secret == copy.copy(secret)))


def _what_callers_do_wrong(hunt: Hunt, system: System, values: Values) -> None:
    secrets = system.secrets
    wrong_values: tuple[Any, ...] = (
        {"password": values.text}, [values.text], None, "", b"", values.long, values.surrogate, Holder(values.text),
    )  # fmt: skip
    for value in wrong_values:
        hunt.failure("wrong value", InvalidSecretValue, lambda value=value: secrets.set("canaries/bad", value))
        hunt.failure("wrong value in a message", InvalidSecretValue, lambda value=value: Set("canaries/bad", value))
    for name in ("no name", values.text, values.long):
        given_right = name == "no name"
        for call in (
            lambda name=name: secrets.set(name, values.other),
            lambda name=name: Set(name, values.other),
            lambda name=name: secrets.get(name),
        ):
            hunt.failure("wrong name", InvalidSecretName, call, locals_too=given_right)
    for wrong in (
        lambda: secrets.set("canaries/bad", values.text, token="short"),
        lambda: Set("canaries/bad", values.text, "short"),
        lambda: secrets.set("canaries/bad", values.text, description="x" * 3000),
        lambda: Set("canaries/bad", values.text, description="x" * 3000),
        lambda: secrets.set("canaries/bad", values.text, timeout=-1),
        lambda: secrets.delete("canaries/bad", recovery_window=3),
    ):
        hunt.failure("wrong parameter", InvalidInput, wrong)
    for misplaced in (
        lambda: secrets.set("canaries/bad", values.text, token=values.other),
        lambda: secrets.set("canaries/bad", values.text, description=values.surrogate),
        lambda: secrets.get("canaries/bad", version_id=values.text),
        lambda: secrets.get("canaries/bad", stage=values.long),
    ):
        hunt.failure("value in a wrong place", InvalidInput, misplaced, locals_too=False)
    token = "0" * 36
    hunt.attempt("token", lambda: secrets.set("canaries/token", values.text, token=token))
    with contextlib.suppress(SecretsError):  # ministack lets it pass
        hunt.attempt("token again", lambda: secrets.set("canaries/token", values.other, token=token))


class Holder:
    """An object of the caller's that shows what it holds."""

    def __init__(self, held: str) -> None:
        self.held = held

    def __str__(self) -> str:
        return self.held


def _what_actors_do(hunt: Hunt, system: System, values: Values) -> None:
    ref = system.ref
    hunt.attempt("ask", lambda: ref.ask(Set("canaries/asked", values.text)))
    hunt.attempt("ask", lambda: ref.ask(Get("canaries/asked"), timeout=10))
    hunt.attempt("ask later", lambda: ref.ask(List(), block=False))
    hunt.failure("ask nonsense", UnknownMessage, lambda: ref.ask({"password": values.text}), locals_too=False)
    hunt.failure("ask nonsense", UnknownMessage, lambda: ref.ask(values.text), locals_too=False)
    hunt.attempt("tell nonsense", lambda: ref.tell(("password", values.text)))
    hunt.attempt("tell", lambda: ref.tell(Set("canaries/told", values.text)))
    hunt.attempt("tell", lambda: ref.tell(Delete("canaries/nothing", force=True)))
    for message in (Set("canaries/asked", values.text), Get("a"), Ask(Get("a"), ref)):
        hunt.text("message", type(message).__name__, f"{message!r} {message}")
    hunt.attempt("asked last", lambda: ref.ask(Get("canaries/asked")))
