"""What an ACP agent says: lines in, facts out, in the order of the pipe.

Results go out under their request's method, notifications and questions under their own, each with
the bare text that the agent wrote. What answers the broker's own calls stays off the axon.
"""

from typing import Any, Final

from ranvier_broker.codecs import jsonrpc, speech
from ranvier_broker.codecs.acp_calls import Passing, Prompting, Purpose
from ranvier_broker.codecs.acp_conversation import PROMPT, AcpConversation
from ranvier_broker.codecs.acp_questions import PERMISSION, Question, session_of
from ranvier_broker.codecs.base import (
    Asked,
    Complaint,
    Ending,
    Fact,
    Garbage,
    RequestFailed,
    Said,
    Settled,
    ToAgent,
    TurnEnded,
)

CANCELLED: Final = '{"outcome":{"outcome":"cancelled"}}'
"""The answer to a permission request of a cancelled turn."""

_UPDATE: Final = "session/update"
_WITHDRAW: Final = "$/cancel_request"
_WITHDRAWN: Final = '{"code":-32800,"message":"Request cancelled"}'
_TOO_LARGE: Final = '{"code":-32603,"message":"the request is larger than an axon event may be"}'
_NOT_OFFERED: Final = '{"code":-32601,"message":"the client does not offer this"}'
_STATE_UPDATES: Final = frozenset(
    {
        "available_commands_update",
        "config_option_update",
        "current_mode_update",
        "session_info_update",
        "usage_update",
    }
)
"""Updates on how a session stands: no part of a replay, so they pass while one is swallowed."""


class AcpHearing(AcpConversation):
    """The half of the codec that listens to the agent."""

    def _gone(self, why: str) -> None:
        for purpose in self._calls.waiting.give_up():
            if isinstance(purpose, Passing):
                error = f"{why}, so {purpose.method} has no answer"
                self._emit(RequestFailed(purpose.method, error), Settled(purpose.sequence))
        self._forget_process()

    def tick(self, now_ms: int) -> list[Fact]:
        for purpose in self._calls.waiting.overdue(now_ms):
            self._failed(purpose, self._overdue, now_ms, timed_out=True)
        return self._told()

    def _heard(self, line: bytes, now_ms: int) -> None:
        match jsonrpc.read(line):
            case jsonrpc.Notification(method, params):
                self._notified(method, params)
            case jsonrpc.Request() as request:
                self._asked(request)
            case jsonrpc.Result(number, result):
                self._answered(self._calls.answered(number), result, line, now_ms)
            case jsonrpc.Failure(number, code, message):
                purpose = self._calls.answered(number)
                if purpose is None:
                    self._emit(Complaint("agent_error", f"{message} (code {code})"))
                else:
                    self._failed(purpose, message, now_ms)
            case jsonrpc.NotAMessage(why, excerpt):
                self._emit(Garbage(why, excerpt))

    def _answered(
        self, purpose: Purpose | None, result: jsonrpc.Raw, line: bytes, now_ms: int
    ) -> None:
        match purpose:
            case None:
                self._emit(Garbage("an answer to no request", speech.excerpt(line)))
            case Passing(sequence, method, params):
                self._client_call_succeeded(method, params.value, result.value)
                if speech.fits(result.text):
                    self._emit(Said(method, result.text), Settled(sequence))
                else:
                    error = f"the answer to {method} is larger than an axon event may be"
                    self._emit(RequestFailed(method, error), Settled(sequence))
            case Prompting():
                self._prompt_answered(result)
            case _:
                self._own_call_succeeded(purpose, result.value, now_ms)

    def _failed(
        self, purpose: Purpose, message: str, now_ms: int, *, timed_out: bool = False
    ) -> None:
        match purpose:
            case Passing(sequence, method, _):
                self._emit(RequestFailed(method, message), Settled(sequence))
            case Prompting():
                self._turn_over(TurnEnded(Ending.FAILED, error=message, reason="agent_error"))
            case _:
                self._own_call_failed(purpose, message, now_ms, timed_out)

    def _prompt_answered(self, result: jsonrpc.Raw) -> None:
        value: Any = result.value if isinstance(result.value, dict) else {}
        stop_reason, usage = value.get("stopReason"), value.get("usage")
        cancelled = stop_reason == "cancelled"
        # An answer to a prompt that no client sent would resolve a client's own pending prompt.
        if self._turn is None or self._turn.view is None:
            self._say(PROMPT, result)
        self._turn_over(
            TurnEnded(
                Ending.CANCELLED if cancelled else Ending.COMPLETED,
                stop_reason=stop_reason if isinstance(stop_reason, str) else None,
                usage=usage if isinstance(usage, dict) else None,
            )
        )

    def _notified(self, method: str, params: jsonrpc.Raw) -> None:
        if method == _UPDATE:
            self._updated(params)
        else:
            self._say(method, params)
        if method == _WITHDRAW and isinstance(params.value, dict):
            withdrawn, shown = self._questions.withdraw(jsonrpc.dump(params.value.get("requestId")))
            self._close(withdrawn, shown, error=_WITHDRAWN)

    def _updated(self, params: jsonrpc.Raw) -> None:
        session_id = session_of(params.value)
        update = params.value.get("update") if isinstance(params.value, dict) else None
        kind = update.get("sessionUpdate") if isinstance(update, dict) else None
        if session_id in self._replaying and kind not in _STATE_UPDATES:
            return
        self._say(_UPDATE, params)
        if session_id is None or not isinstance(update, dict):
            return
        mode = update.get("currentModeId")
        if kind == "current_mode_update" and isinstance(mode, str):
            self._remember_if(self._sessions.mode_changed(session_id, mode))
        if self._turn is not None and self._turn.view and self._turn.session_id == session_id:
            self._emit(*self._turn.view.update(update))

    def _asked(self, request: jsonrpc.Request) -> None:
        if not speech.fits(request.params.text):
            self._emit(ToAgent(jsonrpc.failure(request.id, _TOO_LARGE)))
            self._say(request.method, request.params)
            return
        if not self._sessions.client_can(request.method):
            # Nobody would answer: the agent asks for what its client said it does not do.
            self._emit(ToAgent(jsonrpc.failure(request.id, _NOT_OFFERED)))
            return
        if request.method == PERMISSION and self._turn is not None and self._turn.view:
            self._emit(*self._turn.view.asked(request.params.value))
        self._emit(*self._questions.ask(request))

    def _say(self, event_type: str, payload: jsonrpc.Raw) -> None:
        self._emit(speech.said(event_type, payload.text))

    def _close(
        self, closed: list[Question], shown: list[Asked], *, answer: str = "", error: str = ""
    ) -> None:
        for question in closed:
            write = jsonrpc.result if answer else jsonrpc.failure
            self._emit(ToAgent(write(question.request_id, answer or error)))
        self._emit(*shown)

    def _turn_over(self, end: TurnEnded) -> None:
        if self._turn is not None:
            # Nobody waits for these answers any more; left open, they would block the next ones.
            closed, shown = self._questions.close_session(self._turn.session_id)
            for question in closed:
                is_permission = question.method == PERMISSION
                self._close(
                    [question], [], answer=CANCELLED if is_permission else "", error=_WITHDRAWN
                )
            self._emit(*shown)
        self._turn = None
        self._emit(end)
