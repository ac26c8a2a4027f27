"""A table becomes settings, or all mistakes are told, none with what was given."""

import copy
import json
import pickle
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from secrets_actor import AwsSettings, LogSettings, PrefetchSettings, Settings, VaultSettings
from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.master_key_setting import KeyPlace
from secrets_actor.domain.masked import MaskedText
from secrets_actor.runtime.daemon_settings import DaemonSettings, ListenSettings, TlsSettings
from secrets_actor.runtime.section import Section, Text
from secrets_actor.runtime.settings_validator import sections_of, validated

CANARY = "hunter2-must-not-show"
SECTIONS: dict[str, type[Section]] = {"": Settings, **sections_of(Settings)}
FIELDS = [(where, field) for where, section in SECTIONS.items() for field in structs.fields(section)]
NUMBERS = [
    (where, field.name, *get_args(one))
    for where, field in FIELDS
    for one in (field.type, *get_args(field.type))
    if get_origin(one) is Annotated and get_args(one)[0] is not str
]


def table(where: str, name: str, value: Any) -> dict[str, Any]:
    return {where: {name: value}} if where else {name: value}


def read(where: str, name: str, value: Any) -> Any:
    """What the settings have when a table says *value*; the mistake, if it is one."""
    found, mistakes = validated(Settings, table(where, name, value), {})
    if mistakes:
        [told] = mistakes
        assert (found.daemon or DaemonSettings()) == DaemonSettings()
        assert structs.replace(found, daemon=None) == Settings()
        return told
    return getattr(getattr(found, where) if where else found, name)


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("ttl_seconds", 60, 60.0),
        ("ttl_seconds", "60", 60.0),
        ("ttl_seconds", " 2.5\n", 2.5),
        ("ttl_seconds", "1e2", 100.0),
        ("ttl_seconds", Decimal("1.5"), 1.5),
        ("max_workers", 2.0, 2),
        ("max_workers", "2", 2),
        ("max_workers", "2.0", 2),
        ("aws.max_attempts", " 7 ", 7),
        ("aws.max_attempts", None, None),
        ("after_fork", "refuse", "refuse"),
        *(("aws.use_fips", text, True) for text in ("true", "True", "TRUE", "t", "yes", "Y", "on", "1", " true ", 1)),
        *(("aws.use_fips", text, False) for text in ("false", "False", "f", "no", "N", "off", "0", 0)),
        ("aws.use_fips", None, None),
        ("local.path", "~/x", Path("~/x")),
        ("local.path", Path("/x"), Path("/x")),
        ("local.path", PurePosixPath("/x"), Path("/x")),
        ("local.path", "/\udcff", Path("/\udcff")),  # the name of a file need not be Unicode
        ("aws.ca_bundle", "/x", Path("/x")),
        ("aws.region", "null", "null"),  # a text, and not the lack of one
        ("aws.external_id", "", ""),
        ("log.output", "naïve", "naïve"),
        ("aws.proxy_url", "http://p", MaskedText("http://p")),
        ("aws.proxy_url", MaskedText("http://p"), MaskedText("http://p")),
        ("aws.role_tags", {"a": "b"}, {"a": "b"}),
        ("aws.role_tags", '{"a": "b"}', {"a": "b"}),
        ("prefetch.names", ["a", "b"], ("a", "b")),
        ("prefetch.names", " a, b ,,", ("a", "b")),
        ("prefetch.names", "", ()),
        ("aws.access_key", "AKIA", KeySource("text", "AKIA")),
        ("aws.access_key", {"file": "/a"}, KeySource("file", "/a")),
        ("aws.access_key", KeySource("file", "/a"), KeySource("file", "/a")),
        ("aws.access_key", None, None),
        ("local.key", "file", KeyPlace()),
        ("local.key", KeyPlace("file", "/a"), KeyPlace("file", "/a")),
    ],
)
def test_a_value_becomes_what_its_field_wants(key: str, given: Any, expected: Any) -> None:
    where, _, name = key.rpartition(".")

    found = read(where, name, given)

    assert (type(found), found) == (type(expected), expected)


ODD = (object(), [], {}, b"7", float("nan"), date(2020, 1, 1), datetime(2020, 1, 1), time(1))  # noqa: DTZ001  as TOML has it
ALLOWED: dict[str, tuple[str, tuple[Any, ...]]] = {
    "ttl_seconds": (
        "a number from 0 to 86400",
        (*ODD, True, None, "", "nan", "inf", "1e400", 10**400, "9" * 5000, "\udcff", CANARY, "null"),
    ),
    "call_timeout_seconds": ("a number greater than 0, and 3600 at most", (*ODD, 0, -1, 3601, "0")),
    "max_workers": ("a whole number from 1 to 256", (*ODD, False, True, 7.5, "7.5", "0x7", 257, 2**64, 10**400)),
    "aws.max_attempts": ("a whole number from 1 to 100", (*ODD, True, "null", 101)),
    "local.make": ('"first_write", "start" or "never"', (*ODD, "", CANARY, "NEVER", "\udcff", None, "always", 1)),
    "aws.use_fips": ("true or false", (*ODD, 2, 1.0, "", "yess", CANARY, "null", "\udcff")),
    "aws.region": ("a text that is not empty", (*ODD, "", 5, "\udcff")),
    "aws.external_id": ("a text", (*ODD, 5, "\udcff")),
    "aws.proxy_url": ("a text", (*ODD, 5, "\udcff")),
    "local.path": ("a path, as text", (*ODD, 5, None)),
    "prefetch.names": (
        "a list of texts; in the environment, one text with commas between them",
        (5, None, {"a": "b"}, {5}),
    ),
    "aws.role_tags": (
        "a table of texts; in the environment, a JSON object",
        (5, ["a"], {1: "a"}, {"\udcff": "a"}, "{", "[1]", "[" * 10_000),
    ),
    "aws.access_key": ('allowed: text, { env = "NAME" } or { file = "PATH" }', (5, " ", {}, {"env": 5}, ["a"])),
    "log": ("a table, with keys of its own", (5, None, "json", [], [{}])),
}


@pytest.mark.parametrize(("key", "words", "given"), [(k, w, one) for k, (w, all_) in ALLOWED.items() for one in all_])
def test_a_mistake_is_the_key_and_what_is_allowed_there(key: str, words: str, given: Any) -> None:
    where, _, name = key.rpartition(".")

    assert read(where, name, given) == f"{key}: {words}"


@pytest.mark.parametrize(
    ("key", "given", "told"),
    [
        ("prefetch.names", ["a", 1, "b", ["c"], "\udcff"], ["1", "3", "4"]),
        ("aws.role_tags", {"team": 1, "b": "b", "cost": "\udcff", CANARY: 2}, ["team", "cost", "****"]),
        ("aws.role_tags", '{"team": {}}', ["team"]),
    ],
)
def test_a_member_that_is_wrong_is_named(key: str, given: Any, told: list[str]) -> None:
    where, _, name = key.rpartition(".")

    assert validated(Settings, table(where, name, given), {})[1] == [f"{key}.{one}: a text" for one in told]


@pytest.mark.parametrize(("where", "name", "kind", "limits"), NUMBERS)
def test_each_number_has_two_limits_and_both_are_kept(where: str, name: str, kind: Any, limits: msgspec.Meta) -> None:
    least = limits.ge if limits.gt is None else limits.gt
    assert least is not None
    assert limits.le is not None
    step = 1 if kind is int else 0.001

    assert read(where, name, limits.le) == limits.le
    assert read(where, name, str(limits.le)) == limits.le
    assert (read(where, name, least) == least) is (limits.gt is None)
    for beyond in (least - step, limits.le + step):
        told = read(where, name, beyond)
        assert str(least) in told
        assert str(limits.le) in told


def test_what_a_table_leaves_out_has_its_default() -> None:
    assert validated(Settings, {}, {}) == (Settings(), [])
    empty = {section: {} for section in SECTIONS if section}
    assert validated(Settings, empty, {}) == (Settings(daemon=DaemonSettings()), []), "an empty [daemon] is there"


def test_what_is_right_is_kept_where_something_else_is_wrong() -> None:
    raw = {"ttl_seconds": -1, "max_workers": 2, "log": 5, "aws": {"region": "eu-west-1", "timeout": 0, "access_key": 5}}

    found, mistakes = validated(Settings, raw, {})

    assert found == Settings(max_workers=2, aws=AwsSettings(region="eu-west-1"))
    assert [one.partition(":")[0] for one in mistakes] == ["ttl_seconds", "log", "aws.timeout", "aws.access_key"]


def test_a_key_that_nobody_knows_is_named_if_it_looks_like_one() -> None:
    raw = {"frobnicate": 1, CANARY: 1, "aws": {"colour": CANARY, CANARY: 1}, "local": {"ttl_seconds": 1}}

    assert validated(Settings, raw, {}) == (
        Settings(),
        [f"{key}: unknown key" for key in ("frobnicate", "****", "aws.colour", "aws.****", "local.ttl_seconds")],
    )


def test_a_variable_that_holds_a_key_has_to_be_set() -> None:
    raw = {"aws": {"secret_key": {"env": "KEY"}}, "local": {"key": {"passphrase": {"env": "PHRASE"}}}}

    assert validated(Settings, raw, {"KEY": "x", "PHRASE": "y"})[1] == []
    assert validated(Settings, raw, {"KEY": ""}) == (
        Settings(),
        [
            "aws.secret_key: the environment variable KEY is not set",
            "local.key.passphrase: the environment variable PHRASE is not set",
        ],
    )


class OtherSettings(Section, frozen=True, kw_only=True):
    """Fields that are called as keys are in other sections."""

    key: Text = "none"
    session_token: int = 1
    token: KeySource | None = None


class AllSettings(Section, frozen=True, kw_only=True):
    aws: AwsSettings = AwsSettings()
    vault: OtherSettings = OtherSettings()


def test_a_key_is_known_by_its_section_and_not_by_its_name_alone() -> None:
    found, mistakes = validated(
        AllSettings,
        {"aws": {"session_token": "a"}, "vault": {"key": "k", "session_token": "5", "token": {"file": "/t"}}},
        {},
    )

    assert mistakes == []
    assert found == AllSettings(
        aws=AwsSettings(session_token=KeySource("text", "a")),
        vault=OtherSettings(key="k", session_token=5, token=KeySource("file", "/t")),
    )
    assert validated(AllSettings, {"session_token": "a", "vault": {"key": ""}, "aws": {"key": "file"}}, {}) == (
        AllSettings(),
        ["session_token: unknown key", "vault.key: a text that is not empty", "aws.key: unknown key"],
    )


def test_a_list_of_tables_becomes_sections_and_each_mistake_names_its_row() -> None:
    rows = [{"address": "unix:/a", "faces": ["aws"]}, 5, {"mode": 7, "tls": {"cert": "/c", "size": 1}}, {"tls": None}]

    for one in (rows, tuple(rows), json.dumps(rows)):
        found, mistakes = validated(Settings, {"daemon": {"listen": one}}, {})

        assert mistakes == [
            "daemon.listen[1]: a table, with keys of its own",
            'daemon.listen[2].mode: an octal mode as text, such as "0660"',
            "daemon.listen[2].tls.size: unknown key",
        ]
        assert found.daemon == DaemonSettings(
            listen=(
                ListenSettings(address="unix:/a", faces=("aws",)),
                ListenSettings(),
                ListenSettings(tls=TlsSettings(cert=Path("/c"))),
                ListenSettings(),
            )
        )
    for wrong in (5, "[", "5", {"address": "unix:/a"}):
        assert validated(Settings, {"daemon": {"listen": wrong}}, {})[1] == [
            "daemon.listen: a list of tables, [[daemon.listen]]; in the environment, a JSON array of objects"
        ]


def test_a_key_that_is_kept_elsewhere_is_never_text() -> None:
    def read(value: Any) -> tuple[Any, list[str]]:
        found, mistakes = validated(Settings, {"daemon": {"token": [{"value": value}]}}, {"NAME": "x"})
        assert found.daemon is not None
        return found.daemon.token[0].value, mistakes

    assert read({"env": "NAME"}) == (KeySource("env", "NAME"), [])
    assert read({"file": "/a"}) == (KeySource("file", "/a"), [])
    for text in (CANARY, KeySource("text", CANARY)):
        assert read(text) == (None, ['daemon.token[0].value: allowed: { env = "NAME" } or { file = "PATH" }'])


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.datetimes(), st.just(CANARY)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.just(CANARY), inner, max_size=3)
)
NAMES = sorted({field.name for _, field in FIELDS} | {CANARY, "env", "file", "passphrase"})
TABLES = st.dictionaries(st.sampled_from(NAMES) | st.text(), VALUES, max_size=8)


@given(TABLES, st.dictionaries(st.sampled_from(sorted(SECTIONS)), TABLES, max_size=4))
def test_any_table_is_settings_or_mistakes_and_no_mistake_holds_what_was_given(
    top: dict[str, Any], sections: dict[str, Any]
) -> None:
    found, mistakes = validated(Settings, {**top, **sections}, {})

    assert validated(Settings, as_table(found), {}) == (found, []), "what is kept is right"
    assert CANARY not in " ".join(mistakes)


def as_table(section: Section) -> dict[str, Any]:
    return {name: as_raw(value) for name, value in structs.asdict(section).items()}


def as_raw(value: Any) -> Any:
    if isinstance(value, tuple):
        return [as_raw(one) for one in value]
    return as_table(value) if isinstance(value, Section) else value


def test_settings_show_no_key_whoever_takes_them_apart() -> None:
    made = AwsSettings(access_key=CANARY, proxy_url=f"http://u:{CANARY}@p")  # type: ignore[arg-type]  # as users do
    changed = structs.replace(AwsSettings(), secret_key=CANARY, proxy_url=CANARY)  # type: ignore[arg-type]
    vault = VaultSettings(token=CANARY, role_id=CANARY, secret_id=CANARY, jwt=CANARY, password=CANARY, proxy_url=CANARY)  # type: ignore[arg-type]

    for one in (made, changed, vault, copy.copy(made), copy.deepcopy(changed), copy.deepcopy(vault)):
        whole = Settings(vault=one) if isinstance(one, VaultSettings) else Settings(aws=one)
        assert CANARY not in f"{whole!r} {one} {structs.asdict(one)} {list(one.__rich_repr__())} {structs.astuple(one)}"
        for encode in (msgspec.to_builtins, msgspec.json.encode):
            with pytest.raises(TypeError) as caught:
                encode(whole)
            assert CANARY not in str(caught.value)


def test_settings_with_a_key_in_clear_are_not_pickled_and_all_others_are() -> None:
    for section in (
        VaultSettings(token=CANARY),  # type: ignore[arg-type]
        VaultSettings(proxy_url=f"http://u:{CANARY}@p"),
        AwsSettings(proxy_url=f"http://u:{CANARY}@p"),
    ):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(section)
        assert CANARY not in str(caught.value)
    elsewhere = VaultSettings(addresses=("https://a",), token=KeySource("env", "MY_TOKEN"), proxy_url="http://p")
    assert pickle.loads(pickle.dumps(elsewhere)) == elsewhere


def test_settings_are_equal_by_value_and_do_not_change() -> None:
    assert Settings(log=LogSettings(format="console")) == Settings(log=LogSettings(format="console"))
    assert Settings() != Settings(prefetch=PrefetchSettings(names=("a",)))
    with pytest.raises(AttributeError):
        Settings().ttl_seconds = 5.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        Settings(5)  # type: ignore[misc]
