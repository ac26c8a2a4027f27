"""git's credential helper, by its protocol and by git itself."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from secrets_actor.errors import SecretDeleted
from secrets_actor.faces.aws_api import AwsApi
from secrets_actor.faces.identity import Identity
from tests.cli.helpers.guarded_folder import SCRIPTS_PATH, served
from tests.cli.program import Program
from tests.faces.served import served as served_by
from tests.faces.served_system import served_system

ASKED = "protocol=https\nhost=git.example\n"


def ask(program: Program, operation: str, attributes: str, *options: str) -> dict[str, str]:
    """What the helper answers; it must not fail."""
    done = program("helper", "git", *options, operation, stdin=attributes.encode())
    assert done.status == 0, done.stderr
    assert not done.stderr or "made a store" in done.complaint
    return dict(line.partition("=")[::2] for line in done.text.splitlines())


def value(program: Program, name: str) -> Any:
    return json.loads(program("get", name, "--raw").stdout)


def test_an_account_is_stored_given_and_erased(program: Program) -> None:
    assert ask(program, "get", ASKED) == {}

    ask(program, "store", f"capability[]=authtype\n{ASKED}username=u\npassword=p=1 é\n\nignored=1\n")
    assert value(program, "git/git.example") == {"username": "u", "password": "p=1 é"}
    found = ask(program, "get", f"{ASKED}wwwauth[]=Basic realm=x\nwwwauth[]=Bearer\n")
    assert found == {"username": "u", "password": "p=1 é"}
    assert ask(program, "get", ASKED.replace("https", "http")) == {}  # everybody on the way could read it
    assert ask(program, "get", ASKED.replace("git.example", "GIT.example")) == found

    ask(program, "store", f"{ASKED}username=u\npassword=p=1 é\n")
    assert len(program("history", "git/git.example", "--json").json) == 1  # git stores it again after each use

    ask(program, "erase", f"{ASKED}username=u\npassword=mistyped\n")
    assert ask(program, "get", ASKED) == found
    ask(program, "erase", f"{ASKED}username=u\npassword=p=1 é\n")
    assert ask(program, "get", ASKED) == {}
    ask(program, "erase", ASKED)
    ask(program, "store", f"{ASKED}username=u\npassword=p2\n")  # though it is scheduled for deletion
    assert ask(program, "get", ASKED)["password"] == "p2"


def test_an_account_has_a_path_a_user_and_an_end_and_may_be_a_token_alone(program: Program) -> None:
    kept = {"username": "u", "password": "p", "password_expiry_utc": 4102444800, "note": "by hand"}
    program("set", "team/git.example=3A8443/a/b.git", stdin=json.dumps(kept).encode())
    program("set", "git/git.example", stdin=b"1234")
    of_path = "protocol=https\nhost=git.example:8443\npath=a/b.git\n"

    found = ask(program, "get", of_path, "--prefix", "team/")
    assert found == {"username": "u", "password": "p", "password_expiry_utc": "4102444800"}
    assert ask(program, "get", f"{of_path}username=other\n", "--prefix", "team/") == {}
    assert ask(program, "get", f"{ASKED}username=me\n") == {"password": "1234"}

    ask(program, "store", f"{of_path}username=u\npassword=p2\n", "--prefix", "team/", "--read-only")
    assert value(program, "team/git.example=3A8443/a/b.git") == kept
    ask(program, "store", f"{of_path}username=u\npassword=p2\n", "--prefix", "team/")
    assert value(program, "team/git.example=3A8443/a/b.git") == {**kept, "password": "p2"}
    other = program("helper", "git", "--prefix=team/", "store", stdin=f"{of_path}username=x\npassword=y\n".encode())
    assert (other.status, "another user" in other.complaint) == (1, True)


def test_what_git_has_just_been_given_is_not_written_again(program: Program) -> None:
    by_hand = {
        "token": "1234",
        "number": '{"username": "u", "password": 1234, "password_expiry_utc": 4102444800}',
        "nobody": '{"password": "1234", "username": null}',
    }
    for host, kept in by_hand.items():
        program("set", f"git/{host}", stdin=kept.encode())
        asked = f"protocol=https\nhost={host}\nusername=u\n"
        found = ask(program, "get", asked)
        assert found["password"] == "1234"

        given = {"username": "u", **found}
        ask(program, "store", asked + "".join(f"{name}={value}\n" for name, value in given.items()))
        assert program("get", f"git/{host}", "--raw").text == kept
        assert len(program("history", f"git/{host}", "--json").json) == 1
    ask(program, "store", "protocol=https\nhost=token\nusername=u\npassword=new\n")
    assert value(program, "git/token") == {"username": "u", "password": "new"}
    ask(program, "erase", "protocol=https\nhost=number\nusername=u\npassword=1234\n")
    assert program("get", "git/number").status == 1


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (b'{"username": "u", "password": {"kanarie": 1}}', "the password in git/git.example is neither"),
        (b'{"username": true, "password": "kanarie"}', "the username in git/git.example is neither"),
        (b"kanarie\xff", "git/git.example is binary"),
    ],
)
def test_an_account_that_is_none_is_refused_by_the_name_of_its_secret(program: Program, kept: bytes, told: str) -> None:
    program("set", "git/git.example", "--value-file", "-", stdin=kept)

    done = program("helper", "git", "get", stdin=ASKED.encode())
    assert (done.status, done.stdout) == (2, b"")
    assert told in done.complaint
    assert "kanarie" not in done.complaint


def test_what_git_could_not_read_is_not_given_and_what_it_may_say_one_day_is_ignored(program: Program) -> None:
    program("set", "git/git.example", stdin=json.dumps({"username": "u", "password": "kanarie\nhost=evil"}).encode())

    done = program("helper", "git", "get", stdin=ASKED.encode())
    assert (done.status, done.stdout) == (2, b"")
    assert "git/git.example" in done.complaint
    assert "kanarie" not in done.stderr
    bad = program("helper", "git", "get", stdin=b"host=kanarie\xff\n")
    assert bad.status == 2
    assert "kanarie" not in bad.complaint
    assert ask(program, "capability", ASKED) == {}
    program("set", "git/git.example", stdin=b'{"username": null, "password": "p"}')
    assert ask(program, "get", f"{ASKED}username=me\n") == {"password": "p"}


def test_a_new_password_is_not_erased_because_a_daemon_still_gave_the_old_one(program: Program, tmp_path: Path) -> None:
    name = "git/git.example"
    with served_system() as system:
        face = AwsApi(system.service, lambda request: Identity(request.peer, "ci"))
        with served_by(face.answer, tmp_path) as listener:

            def erase(password: str) -> None:
                given = f"{ASKED}username=u\npassword={password}\n".encode()
                socket = listener.place.removeprefix("unix:")
                done = program("--socket", socket, "helper", "git", "erase", stdin=given)
                assert (done.status, done.stderr) == (0, "")

            system.store.put(name, '{"username": "u", "password": "old"}')
            system.system.secrets.get(name)
            system.store.put(name, '{"username": "u", "password": "new"}')  # by another machine
            erase("old")
            assert "new" in system.system.secrets.get(name, refresh=True).text()
            erase("new")
            with pytest.raises(SecretDeleted):
                system.system.secrets.get(name, refresh=True)


@pytest.mark.slow
def test_git_itself_asks_stores_and_rejects(program: Program, tmp_path: Path) -> None:
    user = program.with_settings(
        PATH=SCRIPTS_PATH,
        GIT_TERMINAL_PROMPT="0",
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0="credential.helper",
        GIT_CONFIG_VALUE_0="secrets-actor --prefix=forge/",
    )

    def git(*arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["git", *arguments], env=user.environment, cwd=tmp_path, input=stdin, text=True, capture_output=True,
            timeout=60, check=False,
        )  # fmt: skip

    git("init", "--bare", "served/app.git")
    git("-C", "served/app.git", "update-server-info")
    with served(tmp_path / "served") as address:
        asked = f"protocol=http\nhost={address}\n"
        assert git("ls-remote", f"http://{address}/app.git").returncode == 128  # it would have asked its user

        git("credential", "approve", stdin=f"{asked}username=u\npassword=p\n")
        assert f"{asked}username=u\npassword=p\n" == git("credential", "fill", stdin=asked).stdout
        cloned = git("ls-remote", f"http://{address}/app.git")
        assert cloned.returncode == 0, cloned.stderr

        git("credential", "reject", stdin=f"{asked}username=u\npassword=p\n")
        assert git("credential", "fill", stdin=asked).returncode == 128
    listed = user("list", "--include-deleted", "--json").json
    assert [one["name"] for one in listed] == [f"forge/http=3A=2F=2F{address.replace(':', '=3A')}"]
    assert all(one["deleted_at"] for one in listed)
