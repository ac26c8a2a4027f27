"""Ansible's lookup plugin, in Ansible."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.helpers.guarded_folder import SCRIPTS_PATH
from tests.cli.program import Program

PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: |
          {{ lookup('secrets_actor', 'db/password') }}
          {{ query('secrets_actor', 'secret://db/login#user', 'db/login#nested#port') }}
          {{ lookup('secrets_actor', 'db/login', member='nested#port') }}
          {{ lookup('secrets_actor', 'db/password', stage='AWSPREVIOUS') }}
          nothing{{ lookup('secrets_actor', 'none', errors='ignore') }}
        dest: "{{ written }}"
        mode: "0400"
      no_log: true
    - ansible.builtin.assert:
        that: lookup('secrets_actor', 'db/password') is match('kanarie')
    - ansible.builtin.debug:
        msg: "{{ lookup('secrets_actor', 'db/password', 'db/bytes') }}"
      ignore_errors: true
    - ansible.builtin.debug:
        msg: "{{ lookup('secrets_actor', 'db/login#none') }}"
      ignore_errors: true
    - ansible.builtin.debug:
        msg: "{{ lookup('secrets_actor', 'none') }}"
"""


@pytest.mark.slow
def test_a_playbook_gets_values_and_shows_none(program: Program, tmp_path: Path) -> None:
    program("set", "db/password", stdin=b"kanarie-old")
    program("set", "db/password", stdin=b"kanarie-new")
    program("set", "db/login", stdin=json.dumps({"user": "kanarie", "nested": {"port": 5432}}).encode())
    program("set", "db/bytes", stdin=b"\xff\xfe")
    folder = program("helper", "ansible-path").text.strip()
    user = program.with_settings(
        PATH=SCRIPTS_PATH,
        ANSIBLE_LOOKUP_PLUGINS=folder,
        ANSIBLE_LOCALHOST_WARNING="false",
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_REMOTE_TMP=str(program.home / "tmp"),
    )
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    written = tmp_path / "written"

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, env=user.environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    played = run("ansible-playbook", "-vvv", "-e", f"written={written}", "play.yml")

    assert written.read_text().splitlines() == [
        "kanarie-new", "['kanarie', '5432']", "5432", "kanarie-old", "nothing",
    ], played.stdout  # fmt: skip
    assert "kanarie" not in played.stdout.replace("is match('kanarie')", "") + played.stderr
    assert played.returncode == 2
    said = " ".join(played.stdout.split())
    for told in ("missing: none;", "db/bytes is binary", "missing: db/login#none;"):
        assert f"secrets_actor: {told}" in said
    documented = run("ansible-doc", "-t", "lookup", "secrets_actor")
    assert documented.returncode == 0, documented.stderr
    assert "Asks the daemon that runs on the controller" in documented.stdout
