"""Settings classes get their fields from secrets, and no error of theirs shows a value."""

import json
import traceback
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field, SecretBytes, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from secrets_actor import ConfigurationError, InvalidParameter, System, Throttled
from secrets_actor.extras.pydantic_settings import InSecret, SecretsSource
from secrets_actor.testing import FakeStore, fake_system

CANARY = "hunter2-canary"


@pytest.fixture
def world() -> Iterator[tuple[System, FakeStore]]:
    with fake_system() as started:
        yield started


def reading(system: System, **options: Any) -> type[BaseSettings]:
    """A base for settings classes that read from *system*, after what they are given and the environment."""

    class Base(BaseSettings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, SecretsSource(settings_cls, system.secrets, **options)

    return Base


def shown(error: BaseException) -> str:
    """All that a traceback may print of *error*, locals too."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def test_fields_come_from_secrets_by_prefix_alias_and_mark(world: tuple[System, FakeStore]) -> None:
    system, store = world
    store.put("app/password", "p")
    store.put("app/smtp-password", "s")
    store.put("app/key", b"\xff\x00")
    store.put("shared/api", json.dumps({"token": "t", "port": 25}))
    Base: Any = reading(system, prefix="app/")

    class Settings(Base):
        password: SecretStr
        smtp: SecretStr = Field(alias="smtp-password")
        key: SecretBytes
        token: Annotated[SecretStr, InSecret("shared/api", key="token")]
        port: Annotated[int, InSecret("shared/api", key="port")]
        nowhere: str = "default"
        maybe: SecretStr | None = None

    found = Settings()

    assert found.password.get_secret_value() == "p"
    assert found.smtp.get_secret_value() == "s"
    assert found.key.get_secret_value() == b"\xff\x00"
    assert (found.token.get_secret_value(), found.port) == ("t", 25)
    assert (found.nowhere, found.maybe) == ("default", None)
    assert store.calls == {"get_many": 1}


def test_plain_types_are_plain_and_complex_ones_are_json(world: tuple[System, FakeStore]) -> None:
    system, store = world

    class Server(BaseModel):
        host: str
        port: int
        weight: float
        tls: bool

    server = {"host": "h", "port": 1, "weight": 0.5, "tls": True}
    store.put("name", "plain")
    store.put("port", "5432")
    store.put("server", json.dumps(server))
    store.put("servers", json.dumps([server]))
    store.put("raw", b"r")
    Base: Any = reading(system)

    class Settings(Base):
        name: str
        port: int
        server: Server
        servers: list[Server]
        raw: bytes
        optional: SecretStr | None = Field(None, validation_alias="name")

    found = Settings()

    assert (type(found.name), found.name, found.port, bytes(found.raw)) == (str, "plain", 5432, b"r")
    assert found.server == Server(**server) == found.servers[0]
    assert type(found.server.host) is str
    assert found.optional is not None
    assert found.optional.get_secret_value() == "plain"


def test_one_document_has_them_all(world: tuple[System, FakeStore]) -> None:
    system, store = world
    store.put("app", json.dumps({"password": "p", "smtp-port": 25, "deep": {"token": "t"}}))
    Base: Any = reading(system, document="app")

    class Settings(Base):
        password: SecretStr
        port: int = Field(validation_alias=AliasChoices("port", "smtp-port"))
        token: SecretStr = Field(validation_alias=AliasPath("deep", "token"))
        none: str = Field("default", validation_alias=AliasPath("deep", "none"))
        other: str = "default"

    found = Settings()

    assert (found.password.get_secret_value(), found.port, found.token.get_secret_value()) == ("p", 25, "t")
    assert (found.none, found.other) == ("default", "default")


def test_of_several_aliases_the_first_that_is_there_counts(world: tuple[System, FakeStore]) -> None:
    system, store = world
    store.put("second", "2")
    store.put("third", json.dumps({"n": "3"}))
    Base: Any = reading(system)

    class Settings(Base):
        one: SecretStr = Field(validation_alias=AliasChoices("first", "second", AliasPath("third", "n")))
        two: SecretStr = Field(validation_alias=AliasChoices("first", AliasPath("third", "n"), "second"))

    found = Settings()

    assert (found.one.get_secret_value(), found.two.get_secret_value()) == ("2", "3")


def test_what_was_given_before_is_not_asked_for(
    world: tuple[System, FakeStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    system, store = world
    monkeypatch.setenv("FROM_ENVIRONMENT", "e")
    Base: Any = reading(system)

    class Settings(Base):
        given: str
        from_environment: str

    found = Settings(given="g")

    assert (found.given, found.from_environment) == ("g", "e")
    assert store.calls.total() == 0


def test_only_the_named_fields_are_looked_for(world: tuple[System, FakeStore]) -> None:
    system, store = world
    store.put("password", "p")
    store.put("debug", "true")
    Base: Any = reading(system, fields=["password"])

    class Settings(Base):
        password: SecretStr
        debug: bool = False

    assert Settings().debug is False


def test_every_field_that_does_not_hold_is_named_and_no_value(world: tuple[System, FakeStore]) -> None:
    system, store = world
    for name in ("port", "server", "short", "listed", "text"):
        store.put(name, CANARY)
    store.put("number", json.dumps({"n": CANARY, "l": [CANARY]}))
    store.put("binary", b"\xff" + CANARY.encode())
    Base: Any = reading(system)

    class Settings(Base):
        port: int
        server: dict[str, int]
        short: SecretStr = Field(max_length=3)
        n: Annotated[int, InSecret("number", key="n")]
        missing: Annotated[str, InSecret("number", key="none")]
        no_object: Annotated[str, InSecret("text", key="none")]
        path: int = Field(validation_alias=AliasPath("number", "l", 0))
        binary: SecretStr
        bad_name: str = Field(validation_alias="no secret's name")

    with pytest.raises(ConfigurationError) as caught:
        Settings()

    told = {mistake.split(":")[0] for mistake in caught.value.mistakes}
    assert told == {"port", "server", "short", "n", "missing", "no_object", "path", "binary", "bad_name"}
    assert "what is in the secret port does not fit: int_parsing" in str(caught.value)
    assert CANARY not in shown(caught.value) + repr(caught.value.mistakes)


def test_pydantics_own_errors_show_no_value_either(world: tuple[System, FakeStore]) -> None:
    system, store = world
    for name in ("secret", "text", "refused"):
        store.put(name, CANARY)
    store.put("raw", CANARY.encode())
    store.put("table", json.dumps({"a": CANARY, "n": 7011, "f": 7011.5, "l": [CANARY]}))
    Base: Any = reading(system)

    class Settings(Base):
        model_config = SettingsConfigDict(extra="forbid")
        secret: SecretStr
        text: str
        raw: bytes
        table: dict[str, Any]
        refused: str
        absent: str

        @field_validator("refused")
        @classmethod
        def _refuse(cls, value: str) -> str:
            raise ValueError("not this one")

    with pytest.raises(ValidationError) as caught:
        Settings()

    assert {error["loc"] for error in caught.value.errors()} == {("absent",), ("refused",)}
    assert CANARY not in str(caught.value) + repr(caught.value)
    assert "7011" not in repr(caught.value.errors())
    assert CANARY not in repr(caught.value.errors())


def test_trouble_of_the_store_is_raised_and_names_the_field(world: tuple[System, FakeStore]) -> None:
    system, store = world
    store.put("gone", "v")
    system.secrets.delete("gone")
    Base: Any = reading(system)

    class Settings(Base):
        gone: SecretStr = SecretStr("default")

    with pytest.raises(Exception, match="scheduled for deletion") as caught:
        Settings()
    assert caught.value.__notes__ == ["while the field gone of Settings was read"]
    store.fail_next(Throttled("slow down"), times=9)
    with pytest.raises(Throttled):
        Settings()


def test_one_field_by_the_base_classs_method(world: tuple[System, FakeStore]) -> None:
    system, store = world
    store.put("a", "v")
    store.put("n", CANARY)

    class Settings(BaseSettings):
        a: SecretStr = SecretStr("x")
        b: str = ""
        n: int = 0

    source = SecretsSource(Settings, system.secrets)
    fields = Settings.model_fields

    assert source.get_field_value(fields["a"], "a") == (SecretStr("v"), "a", False)
    assert source.get_field_value(fields["b"], "b") == (None, "b", False)
    with pytest.raises(ConfigurationError, match="int_parsing"):
        source.get_field_value(fields["n"], "n")
    assert repr(source) == "SecretsSource(Settings, 3 fields)"


def test_options_that_do_not_go_together_are_refused(world: tuple[System, FakeStore]) -> None:
    system, _ = world

    class Settings(BaseSettings):
        a: str = ""

    with pytest.raises(InvalidParameter, match="document"):
        SecretsSource(Settings, system.secrets, prefix="p/", document="d")
    with pytest.raises(InvalidParameter, match="fields"):
        SecretsSource(Settings, system.secrets, fields=["no_such_field"])
