"""Pi's RPC mode: whole records on the axon, as they stand on the agent's stdio.

A `prompt` (`turn/start` on the axon) is a turn, an `abort` (`cancel`) cancels it, an
`extension_ui_response` answers a dialog with its id, and every other command passes at once. This
module takes what clients publish; what the agent says is read in `pi_hearing`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ranvier.events import AxonEvent

from ranvier_broker.codecs import generic, pi_generic, pi_memory, pi_records, speech
from ranvier_broker.codecs.base import (
    Ending,
    Fact,
    LaidAside,
    Ready,
    RequestFailed,
    Route,
    Settled,
    ToAgent,
    TurnEnded,
)
from ranvier_broker.codecs.jsonrpc import value_of
from ranvier_broker.codecs.pi_generic import GenericView
from ranvier_broker.codecs.pi_hearing import PiHearing
from ranvier_broker.codecs.pi_records import Record
from ranvier_broker.codecs.pi_requests import (
    Interrupting,
    Learning,
    Passing,
    Prompting,
    Restoring,
    Turn,
)

TURN: Final = "turn/start"
CANCEL: Final = "cancel"
INITIALIZE: Final = "initialize"
"""The published client's event types for a prompt, an abort, and a question for the state."""


class PiCodec(PiHearing):
    """The `Codec` for `protocol: pi_json`."""

    needs_memory_to_start = False

    @property
    def wake_at_ms(self) -> int | None:
        dues = [self._waiting.wake_at_ms, *(dialog.due_ms for dialog in self._dialogs.values())]
        return min((due for due in dues if due is not None), default=None)

    @property
    def has_question(self) -> bool:
        return any(dialog.turn is self._turn for dialog in self._dialogs.values())

    def recall(self, saved: Mapping[str, Any]) -> None:
        self._memory.recall(saved)

    def lay_aside(self) -> LaidAside | None:
        return self._memory.lay_aside()

    def command(self, argv: Sequence[str]) -> Sequence[str]:
        return pi_memory.command(argv)

    def begin(self, now_ms: int) -> list[Fact]:
        session = self._memory.session
        if session is None:  # where it stands is good to know, but nothing has to wait for it
            self._request(pi_records.STATE, Learning(), now_ms)
            self._emit(Ready())
        else:
            self._request(pi_records.SWITCH, Restoring(session), now_ms, sessionPath=session)
        return self._told()

    def route(self, event: AxonEvent) -> Route:
        if generic.is_generic(event):
            return Route.TURN
        record = Record.of_client(event.payload)
        # By what the agent would take it for: no event type smuggles a prompt past the queue.
        match record.kind if record is not None else None:
            case pi_records.PROMPT:
                return Route.TURN
            case pi_records.ABORT:
                return Route.CANCEL
            case pi_records.ANSWERED:
                return Route.ANSWER
        match event.event_type:
            case "turn/start":
                return Route.TURN
            case "cancel":
                return Route.CANCEL
            case _:
                return Route.CONTROL

    def question_of(self, event: AxonEvent) -> int | None:
        record = Record.of_client(event.payload)
        dialog = self._dialogs.get(record.id or "") if record is not None else None
        return dialog.number if dialog is not None else None

    def prompt(self, turn_id: str, event: AxonEvent, now_ms: int) -> list[Fact]:
        if generic.is_generic(event):
            self._turn = turn = Turn(GenericView(turn_id))
            purpose = Prompting(turn, is_own=True)
            self._request(pi_records.PROMPT, purpose, now_ms, **pi_generic.prompt(event))
            return self._told()
        record = Record.of_client(event.payload)
        if record is None or record.kind != pi_records.PROMPT:
            error = f"the payload of {event.event_type} is no record of type {pi_records.PROMPT}"
            return [TurnEnded(Ending.FAILED, error=error, reason="invalid_payload")]
        self._turn = turn = Turn()
        if record.id is not None:
            self._waiting.ask(record.id, Prompting(turn, is_own=False), None)
        return [ToAgent(record.line)]

    def control(self, event: AxonEvent, now_ms: int) -> list[Fact]:
        record = Record.of_client(event.payload)
        if event.event_type == INITIALIZE and (record is None or record.kind == INITIALIZE):
            record = _asks_for_state(event)
        if record is None:
            error = f"the payload of {event.event_type} is no JSON object with a type"
            return [RequestFailed(event.event_type, error), Settled(event.sequence)]
        if record.id is None:
            self._emit(Settled(event.sequence))
        else:
            due_ms = now_ms + self._answer_ms_max
            passing = Passing(event.sequence, record.kind)
            replaced = self._waiting.ask(record.id, passing, due_ms)
            if isinstance(replaced, Passing):
                self._emit(Settled(replaced.sequence))
        self._emit(ToAgent(record.line))
        return self._told()

    def answer(self, question: int, event: AxonEvent) -> list[Fact]:
        record = Record.of_client(event.payload)
        if record is None:
            return []
        self._dialogs.pop(record.id or "", None)
        return [ToAgent(record.line)]

    def cancels_turn(self, event: AxonEvent) -> bool:
        return self._turn is not None

    def late_cancel(self, event: AxonEvent) -> list[Fact]:
        record = Record.of_client(event.payload)
        if record is None or record.id is None:
            return []
        return [speech.said(pi_records.RESPONSE, pi_records.nothing_to_abort(record.id))]

    def cancel(self, event: AxonEvent | None, now_ms: int) -> list[Fact]:
        data, turn = self._abort(event, now_ms), self._turn
        if turn is not None and not turn.has_begun:
            turn.aborts.append(data)
        else:
            self._emit(ToAgent(data))
        # An extension that asks holds the run up: whoever cancels answers for everybody.
        for request_id in [key for key, dialog in self._dialogs.items() if dialog.turn is turn]:
            del self._dialogs[request_id]
            self._emit(ToAgent(pi_records.dismissed(request_id)))
        return self._told()

    def _abort(self, event: AxonEvent | None, now_ms: int) -> bytes:
        due_ms = now_ms + self._answer_ms_max
        record = Record.of_client(event.payload) if event is not None else None
        if record is None or record.kind != pi_records.ABORT:
            return self._command(pi_records.ABORT, Interrupting(is_own=True), due_ms)
        if record.id is not None:
            self._waiting.ask(record.id, Interrupting(is_own=False), due_ms)
        return record.line


def _asks_for_state(event: AxonEvent) -> Record | None:
    """A greeting in no record's words: what a client wants by it is the agent's state."""
    try:
        value = value_of(event.payload or "{}")
    except ValueError:
        return None
    request_id = value.get("id") if isinstance(value, dict) else None
    named = request_id if isinstance(request_id, str) else None
    return Record.of_client(pi_records.command(pi_records.STATE, named).decode())
