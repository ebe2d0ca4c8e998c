"""The Agent Client Protocol: JSON-RPC on the agent's stdio, bare payloads on the axon.

The ids towards the agent are the broker's own. This module takes what clients publish; what the
agent says is read in `acp_hearing`, and what the broker says by itself (greeting, restoring
sessions) stands in `acp_conversation`. Nothing here knows an agent by its name, only by the
capabilities that it offers.
"""

from collections.abc import Sequence
from typing import Any, Final

from ranvier.events import AxonEvent

from ranvier_broker.codecs import acp_generic, generic, jsonrpc
from ranvier_broker.codecs.acp_calls import Passing
from ranvier_broker.codecs.acp_conversation import PROMPT, Turn
from ranvier_broker.codecs.acp_hearing import CANCELLED, AcpHearing
from ranvier_broker.codecs.acp_questions import PERMISSION, session_of
from ranvier_broker.codecs.base import (
    Ending,
    Fact,
    RequestFailed,
    Route,
    Settled,
    ToAgent,
    TurnEnded,
)

CANCEL: Final = "session/cancel"
_BAD_ANSWER: Final = '{"code":-32603,"message":"the client\'s answer was not JSON"}'


class AcpCodec(AcpHearing):
    """The `Codec` for `protocol: acp`."""

    needs_memory_to_start = False

    @property
    def wake_at_ms(self) -> int | None:
        return self._calls.waiting.wake_at_ms

    @property
    def has_question(self) -> bool:
        return bool(self._questions)

    def command(self, argv: Sequence[str]) -> Sequence[str]:
        return argv

    def route(self, event: AxonEvent) -> Route:
        if generic.is_generic(event) or event.event_type == PROMPT:
            return Route.TURN
        if event.event_type == CANCEL:
            return Route.CANCEL
        return Route.ANSWER if self._questions.is_answer(event.event_type) else Route.CONTROL

    def question_of(self, event: AxonEvent) -> int | None:
        return self._questions.shown(event.event_type)

    def prompt(self, turn_id: str, event: AxonEvent, now_ms: int) -> list[Fact]:
        if generic.is_generic(event):
            view = acp_generic.GenericView(turn_id)
            self._turn = Turn(turn_id, view, generic.prompt_blocks(event))
            self._speak_generic(now_ms)
            return self._told()
        self._turn = Turn(turn_id)
        params = _payload(event)
        if params is None:
            error = f"the payload of {PROMPT} is not JSON"
            self._turn_over(TurnEnded(Ending.FAILED, error=error, reason="invalid_payload"))
            return self._told()
        self._turn.session_id = session_of(params.value)
        self._send_prompt(params, now_ms)
        return self._told()

    def control(self, event: AxonEvent, now_ms: int) -> list[Fact]:
        method, params = event.event_type, _payload(event)
        if params is None:
            self._emit(RequestFailed(method, f"the payload of {method} is not JSON"))
            self._emit(Settled(event.sequence))
        elif method.startswith("$/"):
            self._deliver(params, jsonrpc.notification(method, params.text), now_ms)
            self._emit(Settled(event.sequence))
        else:
            purpose = Passing(event.sequence, method, params)
            data = self._calls.make(method, params.text, purpose, now_ms)
            self._deliver(params, data, now_ms, method)
        return self._told()

    def answer(self, question: int, event: AxonEvent) -> list[Fact]:
        closed, shown = self._questions.close(question)
        answer = _payload(event)
        if closed is not None and answer is None:
            self._emit(ToAgent(jsonrpc.failure(closed.request_id, _BAD_ANSWER)))
        elif closed is not None and answer is not None:
            write = jsonrpc.failure if _is_error(answer.value) else jsonrpc.result
            self._emit(ToAgent(write(closed.request_id, answer.text)))
        self._emit(*shown)
        return self._told()

    def cancels_turn(self, event: AxonEvent) -> bool:
        params = _payload(event)
        named = session_of(params.value) if params is not None else None
        return self._turn is not None and named in (None, self._turn.session_id)

    def late_cancel(self, event: AxonEvent) -> list[Fact]:
        return []  # a notification: nobody waits for its answer

    def cancel(self, event: AxonEvent | None, now_ms: int) -> list[Fact]:
        params = (_payload(event) if event is not None else None) or jsonrpc.EMPTY
        named, turn = session_of(params.value), self._turn
        if turn is not None and turn.awaits_session and named is None:
            # The agent has not seen this turn's prompt, and now it never will.
            self._turn_over(TurnEnded(Ending.CANCELLED, stop_reason="cancelled"))
            return self._told()
        if named is None and turn is not None and turn.session_id is not None:
            named = turn.session_id
            params = jsonrpc.raw({"sessionId": named})
        self._deliver(params, jsonrpc.notification(CANCEL, params.text), now_ms)
        # ACP: whoever cancels answers the open permission requests; a client's answer comes late.
        self._close(*self._questions.close_session(named, PERMISSION), answer=CANCELLED)
        return self._told()


def _payload(event: AxonEvent) -> jsonrpc.Raw | None:
    """The event's payload on one line, or None if it is no JSON."""
    try:
        return jsonrpc.one_line(event.payload or "{}")
    except ValueError:
        return None


def _is_error(answer: Any) -> bool:
    """Whether a client's answer is an error object: a bare payload has no envelope to tell."""
    if not isinstance(answer, dict) or not answer.keys() <= {"code", "message", "data"}:
        return False
    return isinstance(answer.get("code"), int) and isinstance(answer.get("message"), str)
