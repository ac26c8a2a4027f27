"""What systemd asks for, by the name of its end of the connection, and which secret that is."""

import pytest

from secrets_actor.errors import InvalidParameter, InvalidSecretName
from secrets_actor.faces.identity import NOBODY, caller_facts, name_of, terms
from secrets_actor.faces.systemd_credentials import (
    CredentialRow,
    Wanted,
    all_mistakes,
    id_of,
    identity_of,
    meant_by,
    mistake_in,
    mistakes_in,
    secret_of,
    wanted_at,
)

WEB = Wanted("web@1.service", "tls~key")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (b"\x00897eca5c9f144f00/unit/ok.service/ok", Wanted("ok.service", "ok")),
        (b"\x0097eca5c9f144f00/unit/web@1.service/db~password", Wanted("web@1.service", "db~password")),
        (b"\x001/unit/a.socket/db@x+y,z=1", Wanted("a.socket", "db@x+y,z=1")),
        (b"897eca5c9f144f00/unit/ok.service/ok", None),  # no abstract one
        (b"\x00897ECA5C9F144F00/unit/ok.service/ok", None),
        (b"\x00897eca5c9f144f001/unit/ok.service/ok", None),  # more than 64 bits
        (b"\x00/unit/ok.service/ok", None),
        (b"\x001/user/ok.service/ok", None),
        (b"\x001/unit/ok.service/ok/more", None),
        (b"\x001/unit/ok.service/", None),
        (b"\x001/unit/ok.service/a b", None),
        (b"\x001/unit/ok.service/a:b", None),
        (b"\x001/unit/ok.service/..", None),
        (b"\x001/unit/ok.service/ok\x00", None),
        (b"\x001/unit/ok.service/\xc3\xa9", None),
        (b"\x001/unit/ok/ok", None),
        (b"\x001/unit/ok.timer/ok", None),  # runs no process
        (b"\x001/unit/a+b.service/ok", None),
        (b"", None),
        ("/run/peer.sock", None),
        ("", None),
        (None, None),
    ],
)
def test_unit_and_id_are_read_from_an_address_that_only_a_manager_gives(
    address: object, expected: Wanted | None
) -> None:
    assert wanted_at(address) == expected


def test_names_that_no_unit_and_no_credential_has_are_told() -> None:
    assert mistake_in(WEB) is None
    assert str(mistake_in(Wanted("web", "a"))).startswith("UNIT:")
    assert str(mistake_in(Wanted("web.service", "a/b"))).startswith("ID:")


def test_the_caller_is_the_unit_and_nobody_else() -> None:
    root = identity_of(WEB, 0, 990)

    assert root is not None
    assert terms(root) == {"unit:web@1.service", "unit:web@.service"}, "not user:root, who may be allowed everything"
    assert name_of(root) == "unit:web@1.service"
    assert dict(caller_facts(root).facts) == {"unit": "web@1.service", "by": "manager"}


def test_a_users_own_manager_speaks_for_that_users_units_and_a_stranger_for_none() -> None:
    own = identity_of(WEB, 990, 990)

    assert own is not None
    assert terms(own) == {"user_unit:990/web@1.service"}
    assert dict(caller_facts(own).facts)["by"] == "manager"
    assert identity_of(WEB, 1000, 990) is None
    assert identity_of(WEB, NOBODY, NOBODY) is None, "everybody whom our user namespace does not know"


def test_an_id_and_a_name_stand_for_each_other() -> None:
    assert secret_of("db~password") == "db/password"
    assert id_of("db/password") == "db~password"
    for name in ("a", "a/b/c", "a.b-c_d+e=f@g"):
        assert secret_of(id_of(name)) == name


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        ("db~password", "db/password"),
        ("db~login#user", "db/login#user"),
        ("db~password@AWSPREVIOUS", "db/password@AWSPREVIOUS"),
    ],
)
def test_without_a_row_that_fits_the_id_is_a_reference(credential: str, expected: str) -> None:
    rows = [CredentialRow("other.service", "*", "x"), CredentialRow("*", "other", "x")]

    meant = meant_by(rows, Wanted("web.service", credential))

    assert (str(meant.reference), meant.row) == (expected, None)


def test_an_id_that_is_no_secrets_name_is_refused() -> None:
    with pytest.raises(InvalidSecretName):
        meant_by((), Wanted("web.service", "db,password"))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (CredentialRow("web@1.service", "tls~key", "certs/web"), "certs/web"),
        (CredentialRow("web@*.service", "tls*", "certs/{instance}"), "certs/1"),
        (CredentialRow("web@.service", "*", "{unit_name}/{instance}/{credential}"), "web/1/tls/key"),
        (CredentialRow("*", "*", "app/{unit_name}#{credential}@AWSPREVIOUS"), "app/web#tls/key@AWSPREVIOUS"),
    ],
)
def test_a_row_says_which_secret_is_meant(row: CredentialRow, expected: str) -> None:
    assert not list(mistakes_in(row))
    meant = meant_by([row], WEB)

    assert (str(meant.reference), meant.row) == (expected, 0)


def test_the_first_row_that_fits_counts_and_one_with_an_instance_fits_instances_only() -> None:
    rows = [CredentialRow("*", "*", "{instance}"), CredentialRow("*", "*", "second"), CredentialRow("*", "*", "third")]

    assert meant_by(rows, WEB).row == 0
    assert meant_by(rows, Wanted("web.service", "a")).row == 1
    assert meant_by(rows, Wanted("web@.service", "a")).row == 1


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted("web@a\\x2fb.service", "x"),
        Wanted("web@...service", "x"),
        Wanted("web@..service", "x"),
        Wanted("web@1@AWSPREVIOUS.service", "x"),
        Wanted("web@a:b.service", "x"),
    ],
)
def test_an_instance_leads_nowhere_else(wanted: Wanted) -> None:
    with pytest.raises(InvalidParameter, match="instance"):
        meant_by([CredentialRow("*", "*", "certs/{instance}")], wanted)


@pytest.mark.parametrize("credential", ["..~admin", "a~..", "a~~b", "~a", "a~", "a#member", "a@AWSPREVIOUS", ".~a"])
def test_an_id_leads_nowhere_else(credential: str) -> None:
    row = CredentialRow("*", "*", "own/{credential}")

    with pytest.raises(InvalidParameter, match="credential"):
        meant_by([row], Wanted("web.service", credential))


def test_the_mistakes_of_a_row_are_named_with_its_number() -> None:
    rows = [
        CredentialRow("*", "*", "db/password"),
        CredentialRow("", "a/b", "{user}"),
        CredentialRow("**", "a b", "{"),
        CredentialRow("*", "*", ""),
        CredentialRow("*", "*", "a#"),
    ]

    assert [mistake.partition(": ")[0].removeprefix("daemon.systemd_credential") for mistake in all_mistakes(rows)] == [
        "[1].unit",
        "[1].credential",
        "[1].secret",
        "[2].unit",
        "[2].credential",
        "[2].secret",
        "[3].secret",
        "[4].secret",
    ]
