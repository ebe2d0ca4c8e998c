"""Hands a mount's inbound events to its agent, each when its turn has come.

A message that starts a turn waits for the turn before it; a cancel, an answer and any other message
never do (T6), but they count only for what they can have meant: a cancel for the turn that had
started before it on the axon, an answer for a question that stood there.
"""

from collections.abc import Sequence

from ranvier.events import AxonEvent

from ranvier_broker import notices
from ranvier_broker.agent_life import AgentLife, Phase
from ranvier_broker.codecs.base import Codec, Fact, Route
from ranvier_broker.deadlines import Deadlines
from ranvier_broker.intake import Intake
from ranvier_broker.one_turn import CancelMeans, OneTurn
from ranvier_broker.outbox import Outbox
from ranvier_broker.telling import Telling


class Delivery:
    """One mount's, from its attachment on. None for facts: nothing could be done."""

    def __init__(
        self,
        intake: Intake,
        codec: Codec,
        turn: OneTurn,
        outbox: Outbox,
        telling: Telling,
        deadlines: Deadlines,
    ) -> None:
        self._intake = intake
        self._codec = codec
        self._turn = turn
        self._outbox = outbox
        self._telling = telling
        self._deadlines = deadlines

    def step(self, life: AgentLife, now_ms: int) -> Sequence[Fact] | None:
        """Deliver one message, or start or fail one turn; return what the codec makes of it."""
        if life.phase is Phase.GIVEN_UP:
            return self._refuse(life.why_given_up)
        if life.phase is not Phase.READY:
            return None
        if (prompt := self._turn.deliver(now_ms)) is not None:
            return self._codec.prompt(*prompt, now_ms)
        facts = self._control(now_ms)
        return facts if facts is not None else self._start_turn()

    def _start_turn(self) -> Sequence[Fact] | None:
        if self._turn.is_open or self._intake.next_turn is None:
            return None
        trigger = self._intake.take_turn()
        # T3: the cursor moves over the trigger in the very append that says the turn has started.
        self._outbox.move(self._intake.cursor, self._intake.control_cursor)
        self._turn.open(trigger)
        return ()

    def _control(self, now_ms: int) -> Sequence[Fact] | None:
        event = self._intake.next_control
        if event is None:
            return None
        match self._codec.route(event):
            case Route.CANCEL:
                return self._cancel(event, now_ms)
            case Route.ANSWER:
                return self._answer(event, now_ms)
            case _:
                self._intake.take_control(answer_due=True)
                return self._codec.control(event, now_ms)

    def _cancel(self, event: AxonEvent, now_ms: int) -> Sequence[Fact] | None:
        means = self._turn.meant_by(event)
        if means is CancelMeans.NOT_KNOWN_YET:
            return None  # `turn.started` is on its way to the journal: a moment
        self._intake.take_control()
        if means is CancelMeans.AN_EARLIER_TURN:
            return self._codec.late_cancel(event)
        if means is CancelMeans.THIS_TURN and self._codec.cancels_turn(event):
            self._turn.cancelled(now_ms)
        return self._codec.cancel(event, now_ms)

    def _answer(self, event: AxonEvent, now_ms: int) -> Sequence[Fact] | None:
        facts: Sequence[Fact] = ()
        question = self._codec.question_of(event)
        if question is not None:
            asked = self._telling.asked_at(question)
            if asked is None:
                return None  # the question is on its way to the journal: a moment
            if event.sequence > asked:
                self._telling.answered(question)
                self._deadlines.heard(now_ms)
                facts = self._codec.answer(question, event)
        self._intake.take_control()
        return facts

    def _refuse(self, why: str) -> Sequence[Fact] | None:
        """There is no agent and will be none: settle what waits, so that the queue goes on."""
        if (event := self._intake.next_control) is not None:
            self._intake.take_control()
            if self._codec.route(event) is Route.CONTROL:
                self._telling.put(notices.request_failed(event.event_type, why))
            return ()
        if self._turn.is_started:
            self._turn.fail(why, "agent_unavailable")
            return ()
        return self._start_turn()
