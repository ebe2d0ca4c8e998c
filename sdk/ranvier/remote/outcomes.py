"""Which answer belongs to which request, told by sequences alone. Pure.

Answers carry no id (ACP), and several clients may speak on one axon. So requests are counted off in
their order: an agent answers the requests of a method one after the other. A prompt's answer is the
end of the turn that its event started.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Final

from ranvier.events import TURN_TERMINALS, AxonEvent, Origin, SystemEvent
from ranvier.views.payloads import object_of, text_at

UNCLAIMED_MAX: Final = 256
"""Outcomes of requests that nobody here has asked for (yet); the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: an answer's payload, or an error with its reason.

    `ended` is the terminal event of a prompt's turn.
    """

    payload: Any = None
    error: str | None = None
    reason: str | None = None
    ended: AxonEvent | None = None


@dataclass(slots=True)
class _Turn:
    trigger: int
    answer: Any = None


class Outcomes:
    """Reads an axon's events; gives outcomes by the sequence of the request.

    `prompts` are the event types that start turns, `turn_answer` the type of the agent's last word
    in a turn, `questions` those types that agents send and users answer.
    """

    def __init__(
        self, prompts: frozenset[str], turn_answer: str, questions: frozenset[str]
    ) -> None:
        self._prompts = prompts
        self._turn_answer = turn_answer
        self._questions = questions
        self._requests: dict[str, deque[int]] = {}
        self._turns: dict[str, _Turn] = {}
        self._known: OrderedDict[int, Outcome] = OrderedDict()

    def take(self, sequence: int) -> Outcome | None:
        """The outcome of the request with this sequence, once."""
        return self._known.pop(sequence, None)

    def read(self, event: AxonEvent) -> None:
        """Take the next event."""
        if event.origin is Origin.SYSTEM:
            self._system(event)
        elif event.origin is Origin.USER:
            if event.event_type not in self._prompts | self._questions:
                waiting = self._requests.setdefault(event.event_type, deque(maxlen=UNCLAIMED_MAX))
                waiting.append(event.sequence)
        elif event.origin is Origin.AGENT:
            self._agent(event)

    def _agent(self, event: AxonEvent) -> None:
        if event.event_type == self._turn_answer:
            for turn in self._turns.values():
                turn.answer = object_of(event.payload)
        else:
            self._answered(event.event_type, Outcome(object_of(event.payload)))

    def _system(self, event: AxonEvent) -> None:
        payload = object_of(event.payload)
        turn_id, trigger = text_at(payload, "turn_id"), payload.get("trigger_sequence")
        error, reason = text_at(payload, "error"), text_at(payload, "reason")
        if event.event_type == SystemEvent.TURN_STARTED and turn_id and isinstance(trigger, int):
            self._turns[turn_id] = _Turn(trigger)
        elif event.event_type in TURN_TERMINALS and turn_id in self._turns:
            turn = self._turns.pop(turn_id)
            is_failure = event.event_type == SystemEvent.TURN_FAILED
            told = (error or "The turn failed.") if is_failure else None
            self._settle(turn.trigger, Outcome(turn.answer, told, reason, event))
        elif event.event_type == SystemEvent.TURN_FAILED and turn_id is None:
            refusal = Outcome(error=error or "refused", reason=reason)
            self._answered(text_at(payload, "method") or "", refusal)

    def _answered(self, method: str, outcome: Outcome) -> None:
        if waiting := self._requests.get(method):
            self._settle(waiting.popleft(), outcome)

    def _settle(self, sequence: int, outcome: Outcome) -> None:
        self._known[sequence] = outcome
        while len(self._known) > UNCLAIMED_MAX:
            self._known.popitem(last=False)
