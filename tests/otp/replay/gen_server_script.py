"""Scripted servers: every message carries the actions to perform on it. The language is in `traces/README.md`."""

from typing import Any

from secrets_actor.otp import (
    Down,
    ExitReason,
    ExitSignal,
    From,
    Handled,
    Ignore,
    InitResult,
    NoReply,
    Ok,
    Reply,
    Stop,
)
from tests.otp.replay.gen_server_actions import UNRECORDED, Acting, Do, Raw
from tests.otp.replay.terms import Junk, of_reason, to_reason


class Scripted(Acting):
    """The server of the gen_server scenarios."""

    # --- callbacks ------------------------------------------------------------------------------------------------

    def init(self) -> InitResult:
        """`init` of the scenario's server."""
        self._handle("init", "none")
        result = self._init_result(self._perform(self._spec.get("init", [])))
        self._instance.started = result is None or isinstance(result, Ok)
        return result

    def handle_call(self, request: Do, caller: From[Any]) -> Handled:
        """A call with its actions."""
        self._handle("call", request.label)
        self._caller = caller
        try:
            return self._result(self._perform(request.actions))
        finally:
            self._caller = None

    def handle_cast(self, message: Do) -> Handled:
        """A cast with its actions."""
        self._handle("cast", message.label)
        return self._uncalled(self._perform(message.actions))

    def handle_info(self, message: Any) -> Handled:
        """Raw messages, and what the kernel sends."""
        if isinstance(message, Do):
            self._handle("info", message.label)
            return self._uncalled(self._perform(message.actions))
        return self._info(self._as_term(message))

    def handle_timeout(self) -> Handled:
        """OTP has it as the message `timeout`."""
        return self._info("timeout")

    def handle_continue(self, message: Do) -> Handled:
        """A continuation with its actions."""
        self._handle("continue", message.label)
        return self._uncalled(self._perform(message.actions))

    def terminate(self, reason: ExitReason) -> None:
        """`on_terminate` of the scenario's server; a throw is a return value, which nobody wants."""
        self._world.record("terminate", id=self._name, start_no=self._instance.number, reason=of_reason(reason))
        self._perform(self._spec.get("on_terminate", []))

    def abandon(self) -> None:
        """Cut off: end the sleep, if there is one."""
        self._instance.over.set()

    # --- interpreting ---------------------------------------------------------------------------------------------

    def _handle(self, callback: str, message: Any) -> None:
        if message != UNRECORDED:
            self._world.record("handle", id=self._name, cb=callback, msg=message)

    def _info(self, term: Any) -> Handled:
        self._handle("info", term)
        key = term[0] if isinstance(term, list) and term else term
        table = self._spec.get("on_info", {})
        return self._uncalled(self._perform(table.get(key if isinstance(key, str) else str(key), [])))

    def _as_term(self, message: Any) -> Any:
        match message:
            case Raw(term):
                return term
            case ExitSignal(sender, reason):
                return ["EXIT", self._world.term_of(sender), of_reason(reason)]
            case Down():
                return self._monitors.term_of(self._world, message)
        return ["unmapped", type(message).__name__]

    def _init_result(self, action: list[Any] | None) -> InitResult:
        match action:
            case None:
                return None
            case ["ok"] | ["ok", "hibernate" | "infinity"]:
                return Ok()
            case ["ok", int() as timeout]:
                return Ok(timeout=timeout / 1000)
            case ["ok", ["continue", label, actions]]:
                return Ok(then=Do(label, actions))
            case ["ignore"] | ["throw", "ignore"] | ["return", "ignore"]:
                return Ignore()
            case ["stop", reason] | [("throw" | "return"), ["stop", reason]]:
                return Stop(to_reason(reason))
        junk: InitResult = self._junk(action)
        return junk

    def _result(self, action: list[Any] | None) -> Handled:
        match action:
            case None:
                return None
            case ["reply", value]:
                return Reply(value)
            case ["reply", value, option]:
                return Reply(value, **_option(option))
            case ["throw_reply", value]:  # a thrown value is the value returned
                return Reply(value)
            case ["reply_count"]:
                return Reply(self._count)
            case ["noreply"]:
                return NoReply()
            case ["noreply", option]:
                return NoReply(**_option(option))
            case ["stop", reason]:
                return Stop(to_reason(reason))
            case ["stop", reason, reply]:
                return Stop(to_reason(reason), reply)
        junk: Handled = self._junk(action)
        return junk

    def _uncalled(self, action: list[Any] | None) -> Handled:
        """The result of a callback that has nobody to reply to: one that replies is junk."""
        match action:
            case ["reply" | "reply_count" | "throw_reply", *_] | ["stop", _, _]:
                value = self._count if action[0] == "reply_count" else action[1]
                word = "stop" if action[0] == "stop" else "reply"
                junk: Handled = self._junk([word, value, *action[2:]])
                return junk
        return self._result(action)

    def _junk(self, action: list[Any]) -> Any:
        match action:
            case [("return" | "throw"), term]:
                return Junk(term)
            case ["ignore"]:
                return Junk("ignore")
            case ["reply", value, option]:
                return Junk(["reply", value, "state", option])
            case ["ok" | "noreply", option]:
                return Junk([action[0], "state", option])
        return Junk([*action, "state"])


def _option(option: Any) -> dict[str, Any]:
    match option:
        case "hibernate" | "infinity":
            return {}
        case ["continue", label, actions]:
            return {"then": Do(label, actions)}
    return {"timeout": option / 1000}
