"""What OTP's supervisors do, computed: the trace of a scenario without threads, clocks or waiting. PURE.

An interpreter of the supervisor scenarios of its own, written from the rules of traces/README.md; it shares no code
with the kernel or the replay. The recordings say whether it is right; then it judges the kernel over scenarios that
nobody recorded. `lives.py` has what processes do, `tracing.py` the steps.
"""

from tests.otp.oracle.steps import Oracle, covers

__all__ = ["Oracle", "covers"]
