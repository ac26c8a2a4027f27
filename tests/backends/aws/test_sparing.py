"""A connection loads httpx without its command line; a program that has loaded httpx keeps it whole."""

import subprocess
import sys

import pytest

LOAD = "import secrets_actor.backends.aws.transport, sys"


def printed(code: str) -> str:
    """What *code* prints in a fresh process."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return run.stdout.strip()


def test_a_connection_does_not_load_httpxs_command_line() -> None:
    parts = "{'httpx._main', 'rich', 'pygments', 'click'}"

    assert printed(f"{LOAD}; print('httpx' in sys.modules, *{parts} & set(sys.modules))") == "True"


@pytest.mark.parametrize("code", [f"import httpx; whole = httpx.main; {LOAD}; print(httpx.main is whole)",
                                  f"{LOAD}; import httpx._main; print(callable(httpx._main.main))"])  # fmt: skip
def test_the_program_can_have_it_all_the_same(code: str) -> None:
    assert printed(code) == "True"
