"""What `otp` says of itself, and what can be imported from it."""

import subprocess
import sys
import textwrap

from secrets_actor import otp
from secrets_actor.otp import events

EXAMPLE = textwrap.dedent("    from threading" + (otp.__doc__ or "").partition("    from threading")[2])


def test_the_example_runs() -> None:
    ended = subprocess.run([sys.executable, "-c", EXAMPLE], check=False, capture_output=True, text=True, timeout=30)

    assert (ended.stdout.splitlines(), ended.stderr) == (["1", "11", "ended: shutdown"], "")


def test_every_event_of_otp_is_at_its_front_door() -> None:
    kinds = {
        name for name, found in vars(events).items() if isinstance(found, type) and found.__module__ == events.__name__
    }

    assert {"ProcessCrashed", "SupervisorGaveUp"} <= kinds
    assert kinds <= set(otp.__all__)


def test_the_callbacks_are_those_of_the_class() -> None:
    told = {
        line.split("`")[3].partition("(")[0] for line in (otp.__doc__ or "").splitlines() if line.startswith("| `call")
    }
    told |= {
        part.partition("(")[0] for part in (otp.__doc__ or "").split("`") if part.startswith("handle_") and "(" in part
    }

    assert told == {name for name in vars(otp.GenServer) if name.startswith("handle_")}
