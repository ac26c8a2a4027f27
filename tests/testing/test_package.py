"""The package as a user meets it: its names, its documented example, and what it does not drag in."""

import doctest
import subprocess
import sys

import secrets_actor.testing

SCRIPT = """
import sys
before = set(sys.modules)  # what measures coverage may be there
from secrets_actor.testing import fake_system
with fake_system() as (system, store):
    system.secrets.set("db/password", "hunter2")
    assert system.secrets.get("db/password").reveal() == "hunter2"
print(sorted({"asyncio", "cryptography", "httpx", "pydantic", "pytest", "sqlite3"} & (set(sys.modules) - before)))
"""


def test_the_documented_examples_run() -> None:
    results = doctest.testmod(secrets_actor.testing)

    assert results.attempted >= 5
    assert results.failed == 0


def test_the_public_names_are_listed_sorted_and_ours() -> None:
    names = secrets_actor.testing.__all__

    assert names == sorted(names)
    for name in names:
        assert getattr(secrets_actor.testing, name).__module__.startswith("secrets_actor.")


def test_a_fake_system_loads_no_store_and_no_test_framework() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)

    assert (ran.stdout.strip(), ran.returncode) == ("[]", 0), ran.stderr
