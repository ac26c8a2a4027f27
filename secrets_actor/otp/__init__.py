"""OTP behaviours on pykka: gen_server, supervisor, dynamic supervisor, timers. This package knows nothing of secrets.

A gen_server is a class whose callbacks each handle one kind of message. All of them run in the server's own thread, one
at a time, so they need no lock. A callback says what happens next by what it returns.

| what comes | callback | it returns |
|---|---|---|
| the start | `init()` | `Ok(...)`, `Ignore()`, `Stop(reason)`; None is `Ok()` |
| `call(address, request)` | `handle_call(request, caller)` | `Reply(value)`, or later `caller.reply(value)` |
| `cast(address, message)` | `handle_cast(message)` | `NoReply()`, `Stop(reason)`; None is `NoReply()` |
| anything else: of a timer, `Down`, `ExitSignal` | `handle_info(message)` | as `handle_cast` |
| `then=` of the last result | `handle_continue(message)` | as `handle_cast` |
| silence for `timeout=` seconds of the last result | `handle_timeout()` | as `handle_cast` |
| the end: `Stop`, `stop(address)`, a crash | `terminate(reason)` | what it returns is dropped |

An exception in a callback is a crash: the supervisor starts the server anew, with a fresh state.

    from threading import Event
    from secrets_actor.otp import (
        ChildSpec, ExitReason, Flags, From, GenServer, Handled, InitResult, Node, NoReply, Ok, Reply, Supervisor,
        TimerServer, call, cast, spawn, stop,
    )

    ten_more = Event()

    class Counter(GenServer):
        trap_exit = True                         # have terminate run when the supervisor shuts it down

        def init(self) -> InitResult:
            self.count = 0
            return Ok(then="warm up")            # the starter goes on; handle_continue comes first of all

        def handle_continue(self, message: object) -> Handled:
            self.count += 1
            return NoReply()

        def handle_call(self, request: object, caller: From[int]) -> Handled:
            return Reply(self.count)

        def handle_cast(self, message: object) -> Handled:
            self.send_after(0.01, message)       # seconds; comes to handle_info
            return NoReply()

        def handle_info(self, message: object) -> Handled:
            self.count += 10
            ten_more.set()
            return NoReply()

        def terminate(self, reason: ExitReason) -> None:
            print("ended:", reason)

    node = Node()
    children = [
        ChildSpec("timers", TimerServer),        # send_after needs it
        ChildSpec("counter", Counter, name="counter"),
    ]
    root = spawn(node, lambda: Supervisor(Flags(), children), label="root")
    counter = node.name("counter")               # an address that survives restarts; a Pid does not
    print(call(counter, "how many?"))
    cast(counter, "later")
    ten_more.wait()
    print(call(counter, "how many?"))
    stop(root)                                   # prints 1, 11, "ended: shutdown"
"""

from secrets_actor.clock import Clock, ManualClock, SystemClock
from secrets_actor.otp.backoff import Backoff
from secrets_actor.otp.behaviour import Behaviour
from secrets_actor.otp.calls import Address, call, cast, holds_up, stop
from secrets_actor.otp.child_spec import (
    BRUTAL_KILL,
    INFINITY,
    AutoShutdown,
    BrutalKill,
    ChildSpec,
    Flags,
    Kind,
    MailboxLimit,
    Restart,
    Strategy,
)
from secrets_actor.otp.child_table import Child, State
from secrets_actor.otp.dynamic_supervisor import DynamicSupervisor, TerminatePid
from secrets_actor.otp.errors import (
    BadReturn,
    CallFailed,
    CallingSelf,
    CallTimeout,
    ChildError,
    EndedFirst,
    Exit,
    ForkedProcess,
    InvalidTree,
    NameTaken,
    NoProcess,
    NoTimerServer,
    OtpError,
    Overloaded,
    StartError,
)
from secrets_actor.otp.events import (
    AnswerForgotten,
    ChildRestarted,
    ChildStartFailed,
    LifecycleEvent,
    Observer,
    ProcessCrashed,
    ProcessDisowned,
    ProcessEnded,
    ProcessStarted,
    SupervisorGaveUp,
    SupervisorShutDown,
    TooManyDisowned,
)
from secrets_actor.otp.gen_server import CallDone, GenServer, Handled, Ignore, InitResult, NoReply, Ok, Reply, Stop
from secrets_actor.otp.messages import Answered, Ask, Cast, Tellable
from secrets_actor.otp.node import Node
from secrets_actor.otp.pid import Down, ExitSignal, MonitorRef, Pid, current, process_waits, waiting_process
from secrets_actor.otp.process import NamedRef, spawn
from secrets_actor.otp.reasons import (
    FORKED,
    IGNORE,
    KILL,
    KILLED,
    NO_THREAD,
    NOPROC,
    NORMAL,
    SHUTDOWN,
    TIMEOUT,
    Crashed,
    ExitReason,
    FailedToStart,
    GaveUp,
    Shutdown,
    Stopped,
    failed_start,
    lacks_thread,
)
from secrets_actor.otp.registry import Name, Registry
from secrets_actor.otp.reply import From, answer_all
from secrets_actor.otp.signal_safe import Latch, Notifier
from secrets_actor.otp.supervisor import Supervisor, supervisor_spec
from secrets_actor.otp.supervisor_requests import (
    CountChildren,
    Counts,
    DeleteChild,
    GetChildSpec,
    RestartChild,
    StartChild,
    TerminateChild,
    WhichChildren,
)
from secrets_actor.otp.threads import alone, begin, no_more
from secrets_actor.otp.timer_server import TimerServer
from secrets_actor.otp.timers import Timer
from secrets_actor.otp.tree_snapshot import Tree, TreeNode, below, draw, snapshot

__all__ = [
    "BRUTAL_KILL",
    "FORKED",
    "IGNORE",
    "INFINITY",
    "KILL",
    "KILLED",
    "NOPROC",
    "NORMAL",
    "NO_THREAD",
    "SHUTDOWN",
    "TIMEOUT",
    "Address",
    "AnswerForgotten",
    "Answered",
    "Ask",
    "AutoShutdown",
    "Backoff",
    "BadReturn",
    "Behaviour",
    "BrutalKill",
    "CallDone",
    "CallFailed",
    "CallTimeout",
    "CallingSelf",
    "Cast",
    "Child",
    "ChildError",
    "ChildRestarted",
    "ChildSpec",
    "ChildStartFailed",
    "Clock",
    "CountChildren",
    "Counts",
    "Crashed",
    "DeleteChild",
    "Down",
    "DynamicSupervisor",
    "EndedFirst",
    "Exit",
    "ExitReason",
    "ExitSignal",
    "FailedToStart",
    "Flags",
    "ForkedProcess",
    "From",
    "GaveUp",
    "GenServer",
    "GetChildSpec",
    "Handled",
    "Ignore",
    "InitResult",
    "InvalidTree",
    "Kind",
    "Latch",
    "LifecycleEvent",
    "MailboxLimit",
    "ManualClock",
    "MonitorRef",
    "Name",
    "NameTaken",
    "NamedRef",
    "NoProcess",
    "NoReply",
    "NoTimerServer",
    "Node",
    "Notifier",
    "Observer",
    "Ok",
    "OtpError",
    "Overloaded",
    "Pid",
    "ProcessCrashed",
    "ProcessDisowned",
    "ProcessEnded",
    "ProcessStarted",
    "Registry",
    "Reply",
    "Restart",
    "RestartChild",
    "Shutdown",
    "StartChild",
    "StartError",
    "State",
    "Stop",
    "Stopped",
    "Strategy",
    "Supervisor",
    "SupervisorGaveUp",
    "SupervisorShutDown",
    "SystemClock",
    "Tellable",
    "TerminateChild",
    "TerminatePid",
    "Timer",
    "TimerServer",
    "TooManyDisowned",
    "Tree",
    "TreeNode",
    "WhichChildren",
    "alone",
    "answer_all",
    "begin",
    "below",
    "call",
    "cast",
    "current",
    "draw",
    "failed_start",
    "holds_up",
    "lacks_thread",
    "no_more",
    "process_waits",
    "snapshot",
    "spawn",
    "stop",
    "supervisor_spec",
    "waiting_process",
]
