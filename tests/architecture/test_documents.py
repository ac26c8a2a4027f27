"""What the documents say is what the program does."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import secrets_actor
from secrets_actor.backends.aws import protocol
from secrets_actor.otp import Flags, TreeNode
from secrets_actor.runtime import tree
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.settings_source import load
from secrets_actor.testing import fake_system, settled

ROOT = Path(secrets_actor.__file__).parent.parent
README = (ROOT / "README.md").read_text()
SUPERVISION = (ROOT / "supervision.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", README, re.DOTALL))


def outline(node: TreeNode, depth: int = 0) -> list[tuple[int, str, str]]:
    return [
        (depth, node.id, node.strategy or node.restart),
        *(line for child in node.children for line in outline(child, depth + 1)),
    ]


def test_the_tree_in_supervision_md_is_the_running_one() -> None:
    drawing = re.search(r"```\n(secrets_actor .*?)```", SUPERVISION, re.DOTALL)
    assert drawing is not None
    drawn = []
    for line in drawing[1].splitlines():
        found = re.fullmatch(r"([│├└─ ]*)(\w+)\s+(\w+)", line)
        assert found is not None, line
        drawn.append((len(found[1]) // 3, found[2], found[3]))

    with fake_system() as (system, store):
        store.put("a", "value")
        system.secrets.get("a")  # brings a worker
        running = outline(settled(system).root)

    assert drawn == running


@pytest.mark.parametrize(
    ("supervisor", "flags"),
    [
        ("secrets_actor", tree.ROOT_FLAGS),
        ("infra", tree.INFRA_FLAGS),
        ("core", tree.CORE_FLAGS),
        ("workers", tree.WORKERS_FLAGS),
    ],
)
def test_the_restart_table_has_the_intensities_in_force(supervisor: str, flags: Flags) -> None:
    row = re.search(rf"^\| `{supervisor}` \| (\w+) \| (\d+) in (\d+) s \|", SUPERVISION, re.MULTILINE)

    assert row is not None
    assert (int(row[2]), float(row[3])) == (flags.intensity, flags.period)


def test_the_error_table_names_classes_that_exist() -> None:
    section = SUPERVISION.split("## The names of the Erlang module")[1]
    named = {name for row in section.splitlines() if row.startswith("|") for name in re.findall(r"`([A-Z]\w+)`", row)}

    assert len(named) > 25
    assert {name for name in named if not hasattr(secrets_actor, name)} == set()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_the_readme_runs(name: str, tmp_path: Path) -> None:
    environ = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}

    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", EXAMPLES[name]],
        capture_output=True,
        text=True,
        env=environ,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_readme_has_its_examples() -> None:
    assert set(EXAMPLES) >= {"embedding", "errors", "actors", "supervision", "testing"}


def test_the_annotated_configuration_is_the_default() -> None:
    assert load(ROOT / "config" / "secrets_actor.toml", {}) == Settings()


def test_the_annotated_configuration_names_every_key() -> None:
    text = (ROOT / "config" / "secrets_actor.toml").read_text()

    for section in (Settings(), Settings().local, Settings().aws, Settings().log):
        for key in section.__slots__:
            assert re.search(rf"^(# )?(\[{key}\]|{key} = )", text, re.MULTILINE), key


def test_the_aws_example_holds() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "example"}

    settings = load(ROOT / "config" / "aws.toml", keys)

    assert (settings.backend, settings.aws.region) == ("aws_secrets_manager", "us-east-1")


def test_the_policy_allows_what_we_call_and_nothing_else() -> None:
    policy = json.loads((ROOT / "config" / "iam-policy.json").read_text())
    allowed = {action for one in policy["Statement"] for action in [one["Action"]] if isinstance(action, str)}
    allowed |= {action for one in policy["Statement"] if isinstance(one["Action"], list) for action in one["Action"]}
    source = Path(protocol.__file__).read_text()
    called = set(
        re.findall(r'"(?:secretsmanager\.)?((?:Get|Create|Update|Put|Delete|Restore|List|Describe)[A-Z]\w+)"', source)
    )

    assert allowed == {f"secretsmanager:{operation}" for operation in called}
