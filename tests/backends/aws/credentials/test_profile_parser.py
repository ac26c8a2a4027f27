"""AWS's shared files, read as botocore reads them: by table and by hypothesis."""

import os
import tempfile
from pathlib import Path

import pytest
from botocore.configloader import build_profile_map, raw_config_parse
from botocore.exceptions import ConfigNotFound, ConfigParseError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secrets_actor.backends.aws.credentials.profile_parser import Unparsable, combine, parse
from secrets_actor.backends.aws.credentials.shared_files import profile_name, profile_region, read_profiles
from secrets_actor.domain.errors import CredentialsError
from tests.backends.aws.credentials.conftest import Machine

names = st.sampled_from(["default", "dev", "a b", '"a b"', "x]y", "ü", "DEFAULT", "", "'", "sso-session s"])
titles = (
    names
    | names.map("profile {}".format)
    | st.sampled_from(["profile", "profiles a", "services s", "preview", "profile  dev"])
)
keys = st.sampled_from(["region", "aws_access_key_id", "AWS_Secret_Access_Key", "s3", "role_arn", "ü", "a b", "%x"])
values = st.sampled_from(
    [
        *("", "x", "a = b", "a : b", "ü # no comment", "v ; w", "%(region)s", "\n  a = b\n  c=d", "\n  nothing", "\n"),
        *("one\n  two", "[x]", "\t", '"quoted"', "$HOME"),
    ]
)
separators = st.sampled_from([" = ", "=", ":", " : ", " "])
lines = st.builds("{}{}{}".format, keys, separators, values) | st.sampled_from(
    ["# note", "; note", "", "  indented = x", "junk"]
)
sections = st.builds(lambda title, body: "\n".join([f"[{title}]", *body]), titles, st.lists(lines, max_size=5))
files = st.lists(sections | lines, max_size=6).map("\n".join)


def of_botocore(text: str, folder: Path) -> "dict[str, dict[str, object]] | None":
    """The sections by botocore; None when it understands nothing."""
    path = folder / "file"
    path.write_text(text, encoding="utf-8")
    try:
        return raw_config_parse(str(path))
    except ConfigParseError:
        return None


def of_ours(text: str) -> "dict[str, dict[str, object]] | None":
    """The sections by us, likewise."""
    try:
        return dict(parse(text))  # type: ignore[arg-type]
    except Unparsable:
        return None


@settings(max_examples=400, deadline=None)
@given(files, files)
@example("[profile a]\nregion = b\n[profile a]\nregion = c", "")
@example("[default]\nx = 1\nX = 2", "")
@example("x = 1", "[a]\n[b]\n= x")
@example("[sso-session s]\na = 1", "")
@example("[profile default]\na = 1\n[default]\nb = 2", "[default]\nc = 3")
def test_files_say_what_they_say_to_botocore(config: str, credentials: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        theirs = [of_botocore(text, Path(folder)) for text in (config, credentials)]
    assert [of_ours(text) for text in (config, credentials)] == theirs
    if theirs[0] is None or theirs[1] is None:
        return
    found = combine(theirs[0], theirs[1])
    expected = build_profile_map(theirs[0])["profiles"]
    assert found.config == expected
    assert found.services == build_profile_map(theirs[0])["services"]
    for name, section in theirs[1].items():  # as botocore's Session.full_config does
        expected[name] = {**expected.get(name, {}), **section}
    assert found.merged == expected
    assert found.credentials == theirs[1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("canary", 1),
        ("[a]\ncanary", 2),
        ("[a]\n\n= canary", 3),
        ("[a]\n[a]\n", 2),
        ("[a]\nx = 1\nx = canary", 3),
        ("[a]\nx =\n  canary", None),
    ],
)
def test_what_is_not_understood_is_told_by_its_line(text: str, line: int | None) -> None:
    with pytest.raises(Unparsable) as caught:
        parse(text)

    assert caught.value.line == line
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_only_plain_values_are_texts() -> None:
    found = combine(parse("[default]\nregion = x\ns3 =\n  a = b"), {})

    assert found.text("default", "region") == "x"
    assert found.text("default", "s3") is None
    assert found.text("default", "nothing") is None
    assert found.text("nobody", "region") is None


def test_a_title_that_cannot_be_split_is_no_profile() -> None:
    assert combine(parse("[profile 'a]\nregion = x"), {}).config == {}


def test_the_files_are_where_the_variables_say_or_in_the_home(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.config("[default]\nregion = here")
    environ = {"AWS_CONFIG_FILE": "~/config", "AWS_SHARED_CREDENTIALS_FILE": "$HOME/credentials"}
    machine.credentials("[default]\naws_access_key_id = x")
    assert read_profiles(environ).merged["default"] == {"region": "here", "aws_access_key_id": "x"}

    (machine.home / ".aws").mkdir()
    (machine.home / ".aws" / "config").write_text("[default]\nregion = home")
    assert read_profiles({"HOME": str(machine.home)}).text("default", "region") == "home"
    assert read_profiles({}).merged == {}


def test_a_file_that_is_missing_is_empty_for_botocore_too(machine: Machine) -> None:
    assert read_profiles({"AWS_CONFIG_FILE": str(machine.home / "nowhere")}).merged == {}
    assert read_profiles({"AWS_CONFIG_FILE": str(machine.home)}).merged == {}
    with pytest.raises(ConfigNotFound):
        raw_config_parse(str(machine.home))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"canary", "not understood from line 1 on"),
        (b"\xff", "not UTF-8"),
        (b"#" * 1_048_577, "larger than 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_and_not_quoted(machine: Machine, content: bytes, told: str) -> None:
    (machine.home / "config").write_bytes(content)
    environ = {"AWS_CONFIG_FILE": str(machine.home / "config")}

    with pytest.raises(CredentialsError, match=told) as caught:
        read_profiles(environ)
    assert "~/.aws/config (or where AWS_CONFIG_FILE points)" in str(caught.value)
    assert caught.value.__context__ is None
    assert "canary" not in str(caught.value)
    assert profile_region(environ) is None


def test_a_byte_order_mark_and_the_line_ends_of_windows_are_no_part_of_a_file(machine: Machine) -> None:
    for file in (machine.home / "config", machine.home / "credentials"):
        file.write_bytes(b"\xef\xbb\xbf[default]\r\nregion = r\r\ns3 =\r\n  a = b\r\n")

        assert read_profiles({"AWS_CONFIG_FILE": str(file)}).merged == {"default": {"region": "r", "s3": {"a": "b"}}}


def test_a_file_in_utf_16_is_named(machine: Machine) -> None:
    (machine.home / "config").write_bytes("[default]\n".encode("utf-16"))

    with pytest.raises(CredentialsError, match="UTF-16; save it as UTF-8"):
        read_profiles({"AWS_CONFIG_FILE": str(machine.home / "config")})


def test_without_a_home_there_are_no_files_and_a_path_that_needs_it_is_told(machine: Machine) -> None:
    machine.set(HOME="")
    machine.unset("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")

    assert read_profiles(os.environ).merged == {}
    machine.set(AWS_CONFIG_FILE="~/config")
    with pytest.raises(CredentialsError, match=r"AWS_CONFIG_FILE points.* is no path"):
        read_profiles(os.environ)


def test_nobody_waits_for_a_file_that_is_a_pipe(machine: Machine) -> None:
    """It is nothing to botocore either."""
    os.mkfifo(machine.home / "fifo")

    assert read_profiles({"AWS_CONFIG_FILE": str(machine.home / "fifo")}).merged == {}
    with pytest.raises(ConfigNotFound):
        raw_config_parse(str(machine.home / "fifo"))


def test_a_file_that_is_closed_to_us_is_told(machine: Machine) -> None:
    """A file of /proc that nobody may read, root neither."""
    environ = {"AWS_CONFIG_FILE": "/proc/self/mem"}

    with pytest.raises(CredentialsError, match="cannot be read"):
        read_profiles(environ)


def test_the_profile_and_its_region_are_those_of_botocore(machine: Machine) -> None:
    machine.config("[default]\nregion = d\n[profile a]\nregion = a\n[profile b]\nregion = b\n[profile c]\nregion =")
    files = {"AWS_CONFIG_FILE": str(machine.home / "config")}

    assert profile_name({}) is None
    assert profile_region(files) == "d"
    assert profile_region({**files, "AWS_PROFILE": "a"}) == "a"
    assert profile_region({**files, "AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": "b"}) == "b"
    assert profile_region({**files, "AWS_PROFILE": "a"}, "b") == "b"
    assert profile_region(files, "c") is None
    assert profile_region(files, "nobody") is None
