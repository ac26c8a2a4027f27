"""podman's driver for secrets, by its protocol and by podman itself."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.cli.helpers.guarded_folder import SCRIPTS_PATH
from tests.cli.program import Done, Program

ID = "840507400f5a7f26ec9bc6b04"


def drive(program: Program, operation: str, given: str = "", secret_id: str = ID) -> Done:
    return program.with_settings(SECRET_ID=secret_id)("helper", "podman", operation, stdin=given.encode())


def test_a_reference_is_kept_under_podmans_id_and_looked_up_each_time(program: Program) -> None:
    state = program.home / ".local/state/secrets-actor/podman"
    program("set", "db/login", stdin=b'{"user": "u"}')
    assert drive(program, "list").text == ""

    assert drive(program, "store", "secret://db/login\n").status == 0
    assert drive(program, "store", "secret://db/login#user", "b2").status == 0
    assert drive(program, "list").text == f"{ID}\nb2\n"
    assert (oct(state.stat().st_mode)[-3:], oct((state / ID).stat().st_mode)[-3:]) == ("700", "600")
    assert drive(program, "lookup").stdout == b'{"user": "u"}'
    assert drive(program, "lookup", secret_id="b2").stdout == b"u"
    program("set", "db/login", "--value-file", "-", stdin=b"\xff\n")
    assert drive(program, "lookup").stdout == b"\xff\n"

    twice = drive(program, "store", "secret://other")
    assert (twice.status, "File exists" in twice.complaint) == (1, True)
    assert drive(program, "delete").status == 0
    for operation in ("lookup", "delete"):
        gone = drive(program, operation)
        assert (gone.status, "there is no reference" in gone.complaint) == (1, True)


def test_a_folder_that_cannot_be_used_is_told_and_a_relative_one_is_none(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in ("/proc/nothing", str(tmp_path / "file")):
        done = drive(program.with_settings(XDG_STATE_HOME=folder), "store", "secret://db/login")
        assert (done.status, f"the reference {folder}/" in done.complaint) == (1, True)
    nowhere = drive(program.with_settings(HOME=""), "list")
    assert (nowhere.status, "set XDG_STATE_HOME" in nowhere.complaint) == (1, True)
    assert drive(program.with_settings(XDG_STATE_HOME="state"), "store", "secret://db/login").status == 0
    assert drive(program, "list").text == f"{ID}\n"


@pytest.mark.parametrize("given", ["kanarie", "secret://kanarie kanarie", "secret://a#"])
def test_a_value_in_the_place_of_a_reference_is_refused_and_not_kept(program: Program, given: str) -> None:
    refused = drive(program, "store", given)

    assert refused.status in (1, 2)
    assert "kanarie" not in refused.complaint
    assert drive(program, "list").text == ""


@pytest.mark.parametrize("secret_id", ["", "../x", "a/b"])
def test_what_is_no_id_of_podmans_is_no_file(program: Program, secret_id: str) -> None:
    assert drive(program, "store", "secret://db", secret_id).status == 2
    assert not (program.home / ".local/state").exists()


# Makes a container of one program, with podman's own files below this folder. It needs limits that this machine allows,
# and a tree of control groups as it is on most machines, which this one may have in another form.
CONTAINER = """
mount --make-rprivate /
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
p() { podman --root "$PWD/store" --runroot /run/podman "$@"; }
printf secret://db/password | p secret create db-password - >/dev/null
p secret ls --format '{{.Name}} {{.Driver}}'
p --cgroup-manager cgroupfs run --rm --secret db-password --ulimit nofile=999:999 --ulimit nproc=999:999 \
  --network none --cgroups disabled --rootfs "$PWD/files" /bin/cat /run/secrets/db-password
echo
p secret rm db-password >/dev/null
"""


@cache
def missing() -> str | None:
    """Why podman cannot make a container here; None if it can."""
    if os.geteuid() != 0 or shutil.which("podman") is None or shutil.which("unshare") is None:
        return "podman is not installed, or this is not root"
    tried = subprocess.run(
        ["unshare", "-m", "sh", "-c", "umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup"],
        capture_output=True, timeout=30, check=False,
    )  # fmt: skip
    return "namespaces are refused here" if tried.returncode else None


@pytest.mark.slow
def test_podman_gives_a_container_the_value(program: Program, tmp_path: Path) -> None:
    if reason := missing():
        pytest.skip(reason)
    linked = subprocess.run(["ldd", "/bin/cat"], capture_output=True, text=True, check=True, timeout=30).stdout
    for file in ["/bin/cat", *(word for word in linked.split() if word.startswith("/"))]:
        (tmp_path / "files" / file[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "files" / file[1:])
    (tmp_path / "containers.conf").write_text(
        '[secrets]\ndriver = "shell"\n[secrets.opts]\n'
        + "".join(f'{one} = "secrets-actor helper podman {one}"\n' for one in ("list", "lookup", "store", "delete"))
    )
    user = program.with_settings(PATH=SCRIPTS_PATH, CONTAINERS_CONF=str(tmp_path / "containers.conf"))
    program("set", "db/password", stdin=b"hunter2")

    done = subprocess.run(
        ["unshare", "-m", "-C", "sh", "-euc", CONTAINER],
        env=user.environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.stdout == "db-password shell\nhunter2\n", done.stderr
    assert list((program.home / ".local/state/secrets-actor/podman").iterdir()) == []
    assert b"hunter2" not in b"".join(one.read_bytes() for one in tmp_path.glob("store/secrets/**/*") if one.is_file())
