"""An address becomes a name that every store takes, and is found again from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.cli.helpers.address_names import decoded, encoded
from secrets_actor.domain.names import SecretId


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("github.com", "github.com"),
        ("git.example:8443/team/app.git", "git.example=3A8443/team/app.git"),
        ("https://index.docker.io/v1/", "https=3A=2F=2Findex.docker.io/v1=2F"),
        ("a=b%2F", "a=3Db=252F"),
        ("bücher", "b=C3=BCcher"),
        ("../x/./..", "=2E=2E/x/=2E/=2E=2E"),
        ("/a//b/.../.c", "=2Fa=2F=2Fb/.../.c"),
    ],
)
def test_what_a_name_cannot_have_is_written_as_bytes(address: str, name: str) -> None:
    assert encoded(address) == name
    assert decoded(name) == address


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40) | st.text("a./=:", min_size=1, max_size=12))
def test_every_address_has_a_name_of_its_own(address: str) -> None:
    name = encoded(address)

    assert decoded(name) == address
    assert SecretId(name)
    assert not {"", ".", ".."} & set(name.split("/"))


@pytest.mark.parametrize("name", ["a=2Eb", "a=3d", "x=FF", "a//b", "a/..", "with:colon", "=ED=A0=80"])
def test_a_name_that_no_address_has_is_told(name: str) -> None:
    assert decoded(name) is None


def test_what_is_no_text_has_no_name() -> None:
    with pytest.raises(UnicodeError):
        encoded("\udc80")
