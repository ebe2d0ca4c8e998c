"""Claude Code's stream-json: whole lines on the axon, as they stand on the agent's stdio.

A user message (`query` on the axon) is a turn, a control request passes at once, `interrupt` is the
cancel, and a `control_response` answers the agent's own request with its id. This module takes what
clients publish; what the agent says is read in `claude_hearing`. The ids of the broker's own
requests begin with `ranvier-`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ranvier.events import AxonEvent

from ranvier_broker.codecs import claude_lines, generic, speech
from ranvier_broker.codecs.base import (
    Ending,
    Fact,
    LaidAside,
    RequestFailed,
    Route,
    Settled,
    ToAgent,
    TurnEnded,
)
from ranvier_broker.codecs.claude_generic import GenericView
from ranvier_broker.codecs.claude_hearing import ClaudeHearing
from ranvier_broker.codecs.claude_lines import Message
from ranvier_broker.codecs.claude_memory import INITIALIZE
from ranvier_broker.codecs.claude_requests import Greeting, Interrupting, Passing, Turn

QUERY: Final = "query"
"""The published SDK's event type for a user message."""

_GREETING: Final = {"subtype": INITIALIZE, "hooks": None}
"""How the broker greets a process that goes on with a session which no client greeted."""

_INTERRUPT: Final = {"subtype": "interrupt"}


class ClaudeCodec(ClaudeHearing):
    """The `Codec` for `protocol: claude_json`."""

    needs_memory_to_start = True

    @property
    def wake_at_ms(self) -> int | None:
        return self._waiting.wake_at_ms

    @property
    def has_question(self) -> bool:
        return bool(self._questions)

    def recall(self, saved: Mapping[str, Any]) -> None:
        self._memory.recall(saved)

    def lay_aside(self) -> LaidAside | None:
        return self._memory.lay_aside()

    def command(self, argv: Sequence[str]) -> Sequence[str]:
        return self._memory.command(argv)

    def begin(self, now_ms: int) -> list[Fact]:
        memory = self._memory
        if memory.session is None and memory.greeting is None and not memory.settings:
            self._become_ready()  # it is silent until it is spoken to, and nothing need be said
        else:
            self._request(memory.greeting or _GREETING, Greeting(), now_ms)
        return self._told()

    def route(self, event: AxonEvent) -> Route:
        if generic.is_generic(event):
            return Route.TURN
        message = Message.of_client(event.payload)
        # By what the agent would take it for: no event type smuggles a prompt past the queue.
        match message.kind if message is not None else event.event_type:
            case "user" | "query":
                return Route.TURN
            case "control_response":
                return Route.ANSWER
            case "control_request" if message is not None and _is_interrupt(message):
                return Route.CANCEL
            case _:
                return Route.TURN if event.event_type == QUERY else Route.CONTROL

    def question_of(self, event: AxonEvent) -> int | None:
        message = Message.of_client(event.payload)
        return self._questions.get(message.request_id or "") if message is not None else None

    def prompt(self, turn_id: str, event: AxonEvent, now_ms: int) -> list[Fact]:
        if generic.is_generic(event):
            self._turn = Turn(GenericView(turn_id))
            self._emit(ToAgent(claude_lines.user(generic.prompt_blocks(event))))
            return self._told()
        message = Message.of_client(event.payload)
        if message is None or message.kind != "user":
            error = f"the payload of {event.event_type} is no message of type user"
            return [TurnEnded(Ending.FAILED, error=error, reason="invalid_payload")]
        self._turn = Turn(None)
        return [ToAgent(message.line)]

    def control(self, event: AxonEvent, now_ms: int) -> list[Fact]:
        message = Message.of_client(event.payload)
        if message is None:
            error = f"the payload of {event.event_type} is no JSON object with a type"
            return [RequestFailed(event.event_type, error), Settled(event.sequence)]
        request_id = message.request_id
        if message.kind == "control_request" and request_id is not None:
            passing = Passing(event.sequence, message.request)
            replaced = self._waiting.ask(request_id, passing, now_ms + self._answer_ms_max)
            if isinstance(replaced, Passing):
                self._emit(Settled(replaced.sequence))
        else:
            self._emit(Settled(event.sequence))
        self._emit(ToAgent(message.line))
        return self._told()

    def answer(self, question: int, event: AxonEvent) -> list[Fact]:
        message = Message.of_client(event.payload)
        if message is None:
            return []
        self._questions.pop(message.request_id or "", None)
        return [ToAgent(message.line)]

    def cancels_turn(self, event: AxonEvent) -> bool:
        return self._turn is not None

    def late_cancel(self, event: AxonEvent) -> list[Fact]:
        message = Message.of_client(event.payload)
        request_id = message.request_id if message is not None else None
        if request_id is None:
            return []
        answer = claude_lines.nothing_to_interrupt(request_id)
        return [speech.said("control_response", answer)]

    def cancel(self, event: AxonEvent | None, now_ms: int) -> list[Fact]:
        message = Message.of_client(event.payload) if event is not None else None
        if message is None:
            self._request(_INTERRUPT, Interrupting(self._turn, is_own=True), now_ms)
            return self._told()
        if message.request_id is not None:
            due_ms = now_ms + self._answer_ms_max
            self._waiting.ask(message.request_id, Interrupting(self._turn, is_own=False), due_ms)
        return [ToAgent(message.line)]


def _is_interrupt(message: Message) -> bool:
    return message.request.get("subtype") == "interrupt"
