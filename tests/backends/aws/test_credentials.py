"""Static keys: from where they are read, what is missing, and that nothing shows them."""

import os
import traceback
from pathlib import Path

import pytest

from secrets_actor.backends.aws.credentials.static import StaticCredentials, checked
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.backends.key_source import KeySource
from secrets_actor.domain import errors
from secrets_actor.domain.secret import SecretValue

LATER = 1e12


@pytest.fixture(autouse=True)
def _no_keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def text(value: str) -> KeySource:
    return KeySource("text", value)


def test_keys_are_read_from_texts_variables_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(" token \n")
    monkeypatch.setenv("MY_SECRET", "secret\n")

    found = StaticCredentials(text("AKID"), KeySource("env", "MY_SECRET"), KeySource("file", str(file))).fetch(LATER)

    assert found == AwsCredentials("AKID", SecretValue("secret"), SecretValue("token"))


def test_a_changed_file_counts_from_the_next_fetch_on(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("one")
    source = StaticCredentials(text("AKID"), KeySource("file", str(file)))
    first = source.fetch(LATER).secret_key

    file.write_text("two")

    assert (first.reveal(), source.fetch(LATER).secret_key.reveal()) == ("one", "two")


def test_without_a_configured_key_the_usual_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-env")
    without_token = StaticCredentials().fetch(LATER)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-env")

    assert without_token == AwsCredentials("AKIDENV", SecretValue("from-env"))
    assert StaticCredentials().fetch(LATER) == AwsCredentials(
        "AKIDENV", SecretValue("from-env"), SecretValue("token-env")
    )
    assert StaticCredentials(None, text("mine"), text("own")).fetch(LATER) == AwsCredentials(
        "AKIDENV", SecretValue("mine"), SecretValue("own")
    )


def test_a_configured_key_is_never_paired_with_what_the_environment_happens_to_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-env")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token-env")

    with pytest.raises(errors.MissingSecretKey, match=r"set aws\.secret_key"):
        StaticCredentials(text("AKID")).fetch(LATER)
    assert StaticCredentials(text("AKID"), text("mine")).fetch(LATER).session_token is None


def test_a_missing_access_key_is_told_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(errors.MissingAccessKey, match=r"variable AWS_ACCESS_KEY_ID: set aws\.access_key"):
        StaticCredentials().fetch(LATER)
    with pytest.raises(errors.MissingAccessKey, match=r"file .*nowhere"):
        StaticCredentials(KeySource("file", str(tmp_path / "nowhere")), text("s")).fetch(LATER)
    with pytest.raises(errors.MissingAccessKey, match=r"text \*\*\*\*"):
        StaticCredentials(text("  "), text("s")).fetch(LATER)


def test_a_missing_secret_key_is_told_with_where_it_was_looked_for() -> None:
    with pytest.raises(errors.MissingSecretKey, match="environment variable MY_SECRET"):
        StaticCredentials(text("AKID"), KeySource("env", "MY_SECRET")).fetch(LATER)


def test_a_session_token_whose_variable_is_not_set_is_none_and_whose_file_is_missing_is_an_error(
    tmp_path: Path,
) -> None:
    assert StaticCredentials(text("A"), text("s"), KeySource("env", "MY_TOKEN")).fetch(LATER).session_token is None
    with pytest.raises(errors.CredentialsError, match=r"no session token in file .*nowhere"):
        StaticCredentials(text("A"), text("s"), KeySource("file", str(tmp_path / "nowhere"))).fetch(LATER)


def test_a_file_that_is_no_text_holds_no_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xff\xfe\x00")

    os.mkfifo(tmp_path / "fifo")

    for path, told in (
        (str(file), "is not UTF-8, but UTF-16; save it as UTF-8"),
        (str(tmp_path), "is a folder, not a plain file"),
        (str(tmp_path / "fifo"), "is a pipe, not a plain file"),
        ("/dev/zero", "is a device, not a plain file"),
        ("~no-such-user-here/key", "is no path: it begins with ~"),
    ):
        source = KeySource("file", path)
        for name, sources in (
            ("access_key", (source, text("s"))),
            ("secret_key", (text("A"), source)),
            ("session_token", (text("A"), text("s"), source)),
        ):
            with pytest.raises(errors.CredentialsError, match=rf"aws\.{name}: the file .*{told}"):
                StaticCredentials(*sources).fetch(LATER)


def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xef\xbb\xbfAKID\r\n")

    assert KeySource("file", str(file)).read() == "AKID"


@pytest.mark.parametrize("bad", ["can ary", "can\nary", "canäry", "can\x00ary", "\ud800canary"])
def test_what_cannot_be_a_key_is_refused_without_being_quoted(bad: str) -> None:
    good = SecretValue("good")
    tries = [lambda: AwsCredentials(bad, good)]
    if "\ud800" not in bad:
        tries += [
            lambda: AwsCredentials("AKID", SecretValue(bad)),
            lambda: AwsCredentials("AKID", good, SecretValue(bad)),
        ]
    for build in tries:
        with pytest.raises(errors.CredentialsError) as caught:
            checked(build())
        assert "ary" not in str(caught.value)
        assert caught.value.__context__ is None


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
def test_the_variable_that_holds_no_key_is_named(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv(variable, "can ary")

    with pytest.raises(
        errors.CredentialsError, match=f"in environment variable {variable} holds a character that no credential has"
    ) as caught:
        StaticCredentials().fetch(LATER)
    ours = [frame.f_locals for frame, _ in traceback.walk_tb(caught.value.__traceback__) if "self" in frame.f_locals]
    assert ours
    assert "can ary" not in repr(ours)


def test_binary_keys_are_checked_alike() -> None:
    fine = AwsCredentials("AKID", SecretValue(b"secret"), SecretValue(b"token"))

    assert checked(fine) is fine
    with pytest.raises(errors.CredentialsError, match="session token"):
        checked(AwsCredentials("AKID", SecretValue(b"secret"), SecretValue(b"\xff")))
    with pytest.raises(errors.CredentialsError, match="access key id is empty"):
        checked(AwsCredentials("", SecretValue(b"secret")))


def test_no_repr_shows_a_key() -> None:
    source = StaticCredentials(text("canary-id"), text("canary-secret"), KeySource("env", "MY_TOKEN"))

    shown = f"{source!r} {source} {text('canary')!r} {source.fetch(LATER)!r} {KeySource('env', 'MY_TOKEN')!r}"
    assert "canary" not in shown
    assert "environment variable MY_TOKEN" in shown
