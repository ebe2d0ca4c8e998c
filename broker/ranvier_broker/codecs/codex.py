"""Codex's app server: its frames on the agent's stdio and, whole, on the axon.

This module takes what clients publish; what the agent says is read in `codex_hearing`, and what the
broker says by itself (greeting, resuming threads) stands in `codex_conversation`. Frames and their
ids are explained in `codex_frames`.
"""

from collections.abc import Sequence
from typing import Final

from ranvier.events import AxonEvent

from ranvier_broker.codecs import codex_frames as frames
from ranvier_broker.codecs import codex_generic, generic
from ranvier_broker.codecs.base import (
    Ending,
    Fact,
    RequestFailed,
    Route,
    Said,
    Settled,
    ToAgent,
    TurnEnded,
)
from ranvier_broker.codecs.codex_calls import Interrupting, Passing, Prompting
from ranvier_broker.codecs.codex_conversation import INITIALIZE, INTERRUPT, Turn
from ranvier_broker.codecs.codex_frames import ClientAnswer, ClientFrame
from ranvier_broker.codecs.codex_generic import GenericView
from ranvier_broker.codecs.codex_hearing import CodexHearing

_TURNS: Final = frozenset({"turn/start", "review/start", "thread/compact/start"})
"""Methods that begin a turn, which `turn/completed` ends."""

_INITIALIZED: Final = "initialized"
_NO_FRAME: Final = (
    "the payload of {} is no Codex frame; publish the whole frame: "
    '{{"id": …, "method": …, "params": {{…}}}}'
)


class CodexCodec(CodexHearing):
    """The `Codec` for `protocol: codex_app_server`."""

    needs_memory_to_start = False

    @property
    def wake_at_ms(self) -> int | None:
        return self._calls.wake_at_ms

    @property
    def has_question(self) -> bool:
        return bool(self._questions)

    def command(self, argv: Sequence[str]) -> Sequence[str]:
        return argv

    def route(self, event: AxonEvent) -> Route:
        if generic.is_generic(event):
            return Route.TURN
        frame = frames.frame_of(event)
        if isinstance(frame, ClientAnswer):
            return Route.ANSWER
        # What the agent would do decides; the event's type only where there is no frame.
        method = frame.method if frame is not None else event.event_type
        if method in _TURNS:
            return Route.TURN
        return Route.CANCEL if method == INTERRUPT else Route.CONTROL

    def question_of(self, event: AxonEvent) -> int | None:
        frame = frames.frame_of(event)
        if not isinstance(frame, ClientAnswer):
            return None
        return next((n for n, q in self._questions.items() if q.id == frame.id), None)

    def prompt(self, turn_id: str, event: AxonEvent, now_ms: int) -> list[Fact]:
        if generic.is_generic(event):
            self._turn = Turn(turn_id, GenericView(turn_id), codex_generic.turn_input(event))
            self._speak_generic(now_ms)
            return self._told()
        self._turn = Turn(turn_id)
        frame = frames.frame_of(event)
        if not isinstance(frame, ClientFrame):
            error = _NO_FRAME.format(event.event_type)
            self._turn_over(TurnEnded(Ending.FAILED, error=error, reason="invalid_payload"))
            return self._told()
        self._turn.thread_id = frame.named("threadId")
        self._tokens.open(self._turn.thread_id)
        data = frames.relabelled(frame.text, self._open(Prompting(turn_id, frame), now_ms))
        self._deliver(data, self._turn.thread_id, frame.method, now_ms)
        return self._told()

    def control(self, event: AxonEvent, now_ms: int) -> list[Fact]:
        frame = frames.frame_of(event)
        if not isinstance(frame, ClientFrame):
            error = _NO_FRAME.format(event.event_type)
            self._emit(RequestFailed(event.event_type, error), Settled(event.sequence))
        elif frame.method == INITIALIZE:
            self._client_greets(Passing(event.sequence, frame), now_ms)
        elif frame.method == _INITIALIZED:
            self._emit(Settled(event.sequence))  # said by the broker, right after each greeting
        elif frame.id is None:
            data = frame.text.encode() + b"\n"
            self._deliver(data, frame.named("threadId"), frame.method, now_ms)
            self._emit(Settled(event.sequence))
        else:
            number = self._open(Passing(event.sequence, frame), now_ms)
            data = frames.relabelled(frame.text, number)
            self._deliver(data, frame.named("threadId"), frame.method, now_ms)
        return self._told()

    def answer(self, question: int, event: AxonEvent) -> list[Fact]:
        frame = frames.frame_of(event)
        if self._questions.pop(question, None) is not None and isinstance(frame, ClientAnswer):
            self._emit(ToAgent(frame.text.encode() + b"\n"))
        return self._told()

    def cancels_turn(self, event: AxonEvent) -> bool:
        turn, frame = self._turn, frames.frame_of(event)
        if turn is None or not isinstance(frame, ClientFrame):
            return turn is not None
        thread_id, native_id = frame.named("threadId"), frame.named("turnId")
        is_thread = thread_id is None or thread_id == turn.thread_id
        return is_thread and (native_id is None or turn.native_id in (None, native_id))

    def late_cancel(self, event: AxonEvent) -> list[Fact]:
        frame = frames.frame_of(event)
        if isinstance(frame, ClientFrame) and frame.id is not None:
            error = frames.error(frame.id, "the turn that this interrupt meant has ended")
            self._emit(Said(frames.RESPONSE, error))
        return self._told()

    def cancel(self, event: AxonEvent | None, now_ms: int) -> list[Fact]:
        turn, frame = self._turn, frames.frame_of(event) if event is not None else None
        if event is None or not isinstance(frame, ClientFrame):
            self._cancel(Interrupting(), now_ms)
        elif frame.named("threadId") and frame.named("turnId"):
            data = frames.relabelled(frame.text, self._open(Passing(event.sequence, frame), now_ms))
            self._deliver(data, frame.named("threadId"), frame.method, now_ms)
        elif turn is None:
            return self.late_cancel(event)
        else:  # a client that can not know the ids means the open turn
            self._cancel(Passing(event.sequence, frame), now_ms)
        return self._told()

    def _cancel(self, purpose: Passing | Interrupting, now_ms: int) -> None:
        turn = self._turn
        if turn is None or not turn.awaits_thread:
            self._interrupt(purpose, now_ms)
            return
        # The agent has not seen this turn's prompt, and now it never will.
        if isinstance(purpose, Passing) and purpose.frame.id is not None:
            self._emit(Said(frames.RESPONSE, frames.result(purpose.frame.id, "{}")))
        self._turn_over(TurnEnded(Ending.CANCELLED, stop_reason="cancelled"))

    def _client_greets(self, passing: Passing, now_ms: int) -> None:
        if self._greeting is not None:
            self._answer_greeting(passing)
        elif self._is_greeting:
            self._late_greetings.append(passing)
        else:
            self._is_greeting = True
            data = frames.relabelled(passing.frame.text, self._open(passing, now_ms))
            self._emit(ToAgent(data))
