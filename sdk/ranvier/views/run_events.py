"""The events of agent runs (seed 004), projected from an axon's journal. A run is one turn.

A run begins with `run_started` and ends with exactly one of the four terminals. Between them stands
what the protocol tells: only Claude Code says when it calls its model, so `llm_called` and
`llm_completed` are its alone, while text, tools and decisions come with every protocol.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ranvier.events import AxonEvent, SystemEvent
from ranvier.views.conversation import Conversation, Moment, Turn
from ranvier.views.payloads import object_of, text_at
from ranvier.views.run_steps import RunSteps, Told

RUN_TERMINALS: Final = frozenset(
    {"run_completed", "run_failed", "run_interrupted", "run_cancelled"}
)
"""Exactly one of these ends every run."""

INTERRUPTIONS: Final = frozenset({"interrupted", "suspended", "unmounted", "silence", "deadline"})
"""Reasons of `turn.failed` that are nobody's error: the box went away, or patience ended."""


@dataclass(frozen=True, slots=True)
class AgentRunEvent:
    """One event of a run.

    `run_id` is the turn's id; `thread_id` the session that the prompt named, else the axon's id;
    `state` is running, waiting (for a person's answer), completed, failed, interrupted or
    cancelled; `step` counts from 1. Types that are not known here may come in the future.
    """

    type: str
    run_id: str
    thread_id: str
    state: str
    step: int
    message: str | None = None
    data: dict[str, Any] | None = field(default=None)


class RunEvents:
    """Makes run events of one axon's events; several runs may be open at once."""

    def __init__(self) -> None:
        self._conversation = Conversation()
        self._runs: dict[str, RunSteps] = {}

    def read(self, event: AxonEvent) -> list[AgentRunEvent]:
        """The run events of the next journal event, in their order."""
        moment = self._conversation.read(event)
        turn = moment.turn
        if turn is None:
            return []
        if moment.started:
            self._runs[turn.turn_id] = RunSteps(self._conversation.agent)
        run = self._runs[turn.turn_id]
        thread = turn.session or event.axon_id
        made: list[AgentRunEvent] = []
        for kind, message, data in self._told(moment, turn, run):
            step = 0 if kind == "run_started" else run.step
            made.append(AgentRunEvent(kind, turn.turn_id, thread, run.state, step, message, data))
        if moment.ended:
            del self._runs[turn.turn_id]
        return made

    def _told(self, moment: Moment, turn: Turn, run: RunSteps) -> Iterator[Told]:
        if moment.started:
            data = {"agent_name": self._conversation.agent, "resumed": turn.is_resumed}
            yield "run_started", None, data
            yield from run.begin_step()
        elif moment.ended:
            yield from run.close()
            kind, message = _terminal(moment.event)
            run.state = kind.removeprefix("run_")
            yield kind, message, None
        else:
            run.agent, run.model = self._conversation.agent, self._conversation.model
            for fact in moment.facts:
                yield from run.take(fact, moment.event.timestamp_ms)


def _terminal(event: AxonEvent) -> tuple[str, str | None]:
    if event.event_type == SystemEvent.TURN_COMPLETED:
        return "run_completed", None
    if event.event_type == SystemEvent.TURN_CANCELLED:
        return "run_cancelled", None
    ended = object_of(event.payload)
    message = text_at(ended, "error") or "the turn failed and gave no reason"
    is_interruption = text_at(ended, "reason") in INTERRUPTIONS
    return ("run_interrupted" if is_interruption else "run_failed"), message
