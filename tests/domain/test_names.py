"""Names and ARNs: parsed once, trusted after."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.domain.errors import InvalidInput, InvalidSecretName, SecretsError
from secrets_actor.domain.names import MAX_ID_LENGTH, MAX_NAME_LENGTH, SecretId, name_part, without_suffix

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"
ALPHABET = "abcXYZ019/_+=.@-!"
names = st.text(st.sampled_from(ALPHABET), min_size=1, max_size=64).filter(lambda name: not name.startswith("arn:"))


@given(names)
def test_a_name_stays_the_text_it_is(name: str) -> None:
    secret_id = SecretId(name)

    assert secret_id == name
    assert hash(secret_id) == hash(name)
    assert json.dumps(secret_id) == json.dumps(name)
    assert not secret_id.is_arn
    assert secret_id.lanes == (name,)
    assert not secret_id.looks_whole


@given(names)
def test_an_arn_shares_the_lane_of_its_name(name: str) -> None:
    secret_id = SecretId(f"{ARN}{name}-AbC123")

    assert secret_id.is_arn
    assert secret_id.lanes == (name, f"{name}-AbC123")
    assert secret_id.looks_whole
    assert secret_id.fits(name, secret_id)
    assert secret_id.means(secret_id)


@given(names)
def test_an_arn_without_its_suffix_shares_the_lane_of_its_name(name: str) -> None:
    secret_id, whole = SecretId(f"{ARN}{name}"), f"{ARN}{name}-AbC123"

    assert name in secret_id.lanes
    assert secret_id.may_mean(whole)
    assert secret_id.fits(name, whole)
    assert secret_id.means(whole) is not secret_id.looks_whole


@given(names)
def test_the_name_in_an_arn_is_found_though_its_region_is_called_secret(name: str) -> None:
    """As in the ARNs of the KV mount `secret`, which is the default of OpenBao and Vault."""
    beginning = "arn:vault:secretsmanager:secret:000000000000:secret:"
    whole = f"{beginning}{name}-AbC123"

    assert SecretId(whole).lanes == (name, f"{name}-AbC123")
    assert SecretId(whole).fits(name, whole)
    assert SecretId(beginning + name).may_mean(whole)
    assert name_part(whole) == f"{name}-AbC123"
    assert without_suffix(whole) == beginning + name
    assert (name_part("no ARN-AbC123"), without_suffix("no ARN-AbC123")) == ("", None)


def test_an_arn_that_ends_as_whole_ones_do_may_mean_two_secrets() -> None:
    """The API reference: a hyphen and six characters, whatever they are."""
    assert SecretId(f"{ARN}db/password").lanes == ("db/password",)
    assert SecretId(f"{ARN}-apikey").lanes == ("-apikey",), "there is no name before it"
    for name in ("prod-apikey", "prod-a.b_c=", "a-b-cd-e"):
        ambiguous = SecretId(ARN + name)
        assert ambiguous.lanes == (name[:-7], name)
        assert ambiguous.fits(name[:-7], ambiguous)
        assert ambiguous.fits(name, f"{ambiguous}-AbC123")
        assert ambiguous.may_mean(f"{ambiguous}-AbC123")
        assert ambiguous.means(ambiguous)
        assert not ambiguous.means(f"{ambiguous}-AbC123"), "it may be the whole ARN of another one"


@pytest.mark.parametrize(
    ("asked", "name", "arn"),
    [
        ("a", "b", f"{ARN}a-AbC123"),
        (f"{ARN}a-AbC123", "a", f"{ARN}a-XxXxXx"),
        (f"{ARN}a-AbC123", "b", f"{ARN}a-AbC123"),
        (f"{ARN}a", "a", f"{ARN}a-b-AbC123"),
        (f"{ARN}a", "b", f"{ARN}a-AbC123"),
        (f"{ARN}a", "a", f"{ARN}a"),
        (f"{ARN}a", "a", f"{ARN.replace('eu-central-1', 'eu-west-1')}a-AbC123"),
        (f"{ARN}a", "a", f"{ARN.replace('123456789012', '210987654321')}a-AbC123"),
        (f"{ARN}a", "a", ""),
    ],
)
def test_an_answer_for_another_secret_does_not_fit(asked: str, name: str, arn: str) -> None:
    assert not SecretId(asked).fits(name, arn)


def test_a_name_is_no_arn_of_any_secret() -> None:
    assert SecretId("a").fits("a", "whatever the store calls it")
    assert not SecretId("a").may_mean(f"{ARN}a-AbC123")
    assert not SecretId("a").means(f"{ARN}a-AbC123")


def test_what_is_checked_is_not_checked_again() -> None:
    secret_id = SecretId("a")

    assert SecretId(secret_id) is secret_id


@pytest.mark.parametrize("name", ["rds!db-1234", "a!b"])
def test_what_a_service_of_aws_manages_has_a_name_that_says_so(name: str) -> None:
    assert SecretId(name).is_managed
    assert SecretId(f"{ARN}{name}-AbC123").is_managed
    assert SecretId(f"{ARN}{name}-AbC123").lanes[0] == name
    assert not SecretId("rds/db").is_managed


def test_the_longest_names_and_arns_pass() -> None:
    assert len(SecretId("n" * MAX_NAME_LENGTH)) == MAX_NAME_LENGTH
    assert len(SecretId(ARN + "n" * (MAX_ID_LENGTH - len(ARN)))) == MAX_ID_LENGTH


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("n" * 513, "512 characters at most, this one 513"),
        ("a b", "ASCII letters"),
        ("a\n", "ASCII letters"),
        ("grün", "ASCII letters"),
        ("a:b", "ASCII letters"),
        ("\ud800", "ASCII letters"),
        ("arn:", "a secret ARN reads"),
        ("arn:aws:s3:::bucket", "a secret ARN reads"),
        (ARN, "a secret ARN reads"),
        (f"{ARN}a b", "a secret ARN reads"),
        (f"{ARN}a\n", "a secret ARN reads"),
        ("arn:aws:secretsmanager:eu:12345678901:secret:a", "a secret ARN reads"),
        ("arn:aws:secretsmanager:eu:１２３４５６７８９０１２:secret:a", "a secret ARN reads"),  # noqa: RUF001
        (ARN + "n" * (MAX_ID_LENGTH - len(ARN) + 1), "2048 characters at most"),
        (b"bytes", "not bytes"),
        (None, "not NoneType"),
        (7, "not int"),
    ],
)
def test_what_aws_would_not_accept_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(InvalidSecretName, match=says) as caught:
        SecretId(text)

    assert isinstance(caught.value, (InvalidInput, ValueError, SecretsError))
    assert "\n" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_name_or_an_invalid_name(text: str) -> None:
    try:
        secret_id = SecretId(text)
    except InvalidSecretName:
        return
    assert secret_id == text
    assert secret_id.lanes
