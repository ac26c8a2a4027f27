"""Settings classes get their fields from secrets, and no error of theirs shows a value."""

import json
import traceback
from collections.abc import Iterator
from typing import Annotated, Any

import pydantic_settings
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, AliasPath, BaseModel, Field, SecretBytes, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

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


class Deep(BaseModel):
    model_config = {"populate_by_name": True}
    Host: str
    port: int = Field(0, validation_alias=AliasChoices("PortNumber", "P"))


class Nested(BaseModel):
    deep: Deep
    other: str = "x"


def shape(**config: Any) -> Any:
    """A settings class with fields of all kinds."""

    class Shape(BaseSettings):
        model_config = SettingsConfigDict(extra="ignore", **config)
        db_password: str = "none"
        Mixed: str = "none"
        aliased: str = Field("none", validation_alias="The_Alias")
        either: str = Field("none", validation_alias=AliasChoices("one", "Two", AliasPath("way", "in", 0)))
        path: str = Field("none", validation_alias=AliasPath("way", "out"))
        nested: Nested | None = None
        number: int = 0
        table: dict[str, int] = {}

    return Shape


# Those before looked for no field by its name where it has an alias, and not for all aliases in nested models.
OLD = tuple(map(int, pydantic_settings.VERSION.split(".")[:2])) < (2, 16)
FIELDS = {name.lower() for name in shape().model_fields}
MEMBERS: dict[str, Any] = {
    **dict.fromkeys(("db_password", "mixed", "the_alias", "aliased", "one", "two", "either", "path"), "text"),
    "way": {"in": ["first"], "out": "second", "OUT": "third"},
    "nested": {"Deep": {"HOST": "h", "portnumber": 3}, "OTHER": "o", "unknown": 1},
    "number": "7",
    "table": {"A": 1, "a": 2},
    "app_db_password": "by prefix",
    "app_nested": {"deep": {"Host": "h", "p": 4, "port": 5}},
}
cases = st.sampled_from([str.lower, str.upper, str.title, str.swapcase])
documents = st.dictionaries(st.sampled_from(list(MEMBERS)), cases).map(
    lambda found: {case(name): MEMBERS[name] for name, case in found.items()}
)
configs = st.fixed_dictionaries(
    {},
    optional={
        "case_sensitive": st.booleans(),
        "populate_by_name": st.booleans(),
        "env_prefix": st.sampled_from(["", "app_", "APP_"]),
    },
)


def found_by(shape: Any, make: Any) -> Any:
    """What the class is made to by the one source that *make* makes; the kinds of errors if it cannot be made."""

    class Read(shape):  # type: ignore[misc]
        @classmethod
        def settings_customise_sources(cls, settings_cls: type[BaseSettings], **_: Any) -> Any:
            return (make(settings_cls),)

    try:
        return Read().model_dump()
    except (ValidationError, ConfigurationError):
        return "refused"


@settings(max_examples=80, deadline=None)
@given(documents, configs)
@example({"DB_PASSWORD": "p", "MIXED": "m", "the_alias": "a", "TWO": "2"}, {})
@example({"DB_PASSWORD": "p"}, {"case_sensitive": True})
@example({"ALIASED": "p"}, {"populate_by_name": True})
@example({"NESTED": MEMBERS["nested"]}, {})
@example({"APP_DB_PASSWORD": "p"}, {"env_prefix": "app_"})
def test_members_are_found_as_pydantic_finds_variables(document: dict[str, Any], config: dict[str, Any]) -> None:
    prefix = config.get("env_prefix", "")
    if OLD:
        document = {name: one for name, one in document.items() if "nested" not in name.lower()}
        config = {name: one for name, one in config.items() if name != "populate_by_name"}
    if prefix:  # to us, members without it are good, too
        document = {name: one for name, one in document.items() if name.lower() not in FIELDS}
    with fake_system() as (system, store), pytest.MonkeyPatch.context() as patch:
        store.put("doc", json.dumps(document))
        for name in MEMBERS:
            for case in (str.lower, str.upper, str.title, str.swapcase):
                patch.delenv(case(name), raising=False)
        for name, value in document.items():
            patch.setenv(name, value if isinstance(value, str) else json.dumps(value))
        shaped = shape(**config)

        mine = found_by(shaped, lambda cls: SecretsSource(cls, system.secrets, document="doc"))
        theirs = found_by(shaped, EnvSettingsSource)

    assert mine == theirs


def test_an_exact_match_comes_first_and_a_secrets_name_has_one_case(world: tuple[System, FakeStore]) -> None:
    system, store = world
    store.put(
        "doc", json.dumps({"PASSWORD": "upper", "password": "exact", "Token": "t", "deep": {"HOST": "x", "Host": "y"}})
    )
    store.put("TOKEN", "upper")

    class Settings(reading(system, document="doc")):  # type: ignore[misc]
        password: str
        token: str = "none"
        deep: Deep

    class Other(reading(system)):  # type: ignore[misc]
        token: str = "none"

    class Sensitive(reading(system, document="doc", case_sensitive=True)):  # type: ignore[misc]
        token: str = "none"

    found = Settings()
    assert (found.password, found.token, found.deep.Host) == ("exact", "t", "y")
    assert Other().token == "none"
    assert Sensitive().token == "none"


def test_a_field_may_be_found_by_its_name_where_the_class_allows_that(world: tuple[System, FakeStore]) -> None:
    system, store = world
    store.put("by_name", "n")
    store.put("Alias", "a")
    Base: Any = reading(system)

    class Settings(Base):
        model_config = SettingsConfigDict(populate_by_name=True)
        by_name: str = Field(alias="Nowhere")
        other: str = Field(alias="Alias")

    class Strict(Base):
        by_name: str = Field("none", alias="Nowhere")

    assert (Settings().by_name, Settings().other) == ("n", "a")
    assert Strict().by_name == "none"


def test_a_source_before_this_one_has_a_field_under_any_of_its_keys(world: tuple[System, FakeStore]) -> None:
    system, store = world
    store.put("first", "1")
    Base: Any = reading(system)

    class Settings(Base):
        one: str = Field(validation_alias=AliasChoices("first", "second"))

    assert Settings(second="given").one == "given"
    assert store.calls.total() == 0


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
