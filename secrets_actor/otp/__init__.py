"""OTP behaviours on pykka: gen_server, supervisor, dynamic supervisor. Knows nothing of secrets."""

from secrets_actor.otp.child_spec import BRUTAL_KILL, INFINITY, ChildSpec, Flags, Kind, Restart, Strategy
from secrets_actor.otp.clock import Clock, ManualClock, SystemClock
from secrets_actor.otp.dynamic_supervisor import DynamicSupervisor, TerminatePid
from secrets_actor.otp.errors import (
    BadReturn,
    CallFailed,
    CallingSelf,
    CallTimeout,
    ChildError,
    Exit,
    InvalidTree,
    NameTaken,
    NoProcess,
    OtpError,
    StartError,
)
from secrets_actor.otp.events import LifecycleEvent, Observer
from secrets_actor.otp.gen_server import (
    Address,
    CallDone,
    GenServer,
    Handled,
    Ignore,
    InitResult,
    NoReply,
    Ok,
    Reply,
    Stop,
    call,
    cast,
    stop,
)
from secrets_actor.otp.messages import Answered, Ask, Cast, Down, ExitSignal
from secrets_actor.otp.node import Node
from secrets_actor.otp.pid import MonitorRef, Pid
from secrets_actor.otp.process import IGNORE, Behaviour, NamedRef, spawn
from secrets_actor.otp.reasons import (
    KILL,
    KILLED,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    Crashed,
    ExitReason,
    FailedToStart,
    Shutdown,
    Stopped,
)
from secrets_actor.otp.registry import Name, Registry
from secrets_actor.otp.reply import From
from secrets_actor.otp.supervisor import (
    DeleteChild,
    RestartChild,
    StartChild,
    Supervisor,
    TerminateChild,
    WhichChildren,
    supervisor_spec,
)
from secrets_actor.otp.timer_server import TimerServer
from secrets_actor.otp.timers import Timer
from secrets_actor.otp.tree import Tree, TreeNode, draw, snapshot

__all__ = sorted(
    name
    for name, thing in list(globals().items())
    if not name.startswith("_") and getattr(thing, "__module__", __name__).startswith(__name__ + ".")
)
