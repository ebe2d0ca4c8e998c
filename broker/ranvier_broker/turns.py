"""The turn machine of one mount: event and time in, commands out; no I/O, no clock.

It holds T1 to T7. Only users' and external events are taken in; one turn at a time, in the order of
the axon; cancels and answers never wait behind a turn, and count only for what they can have meant.
The agent's protocol is the codec's affair, here it is routes and facts; what the machine makes of
them goes to the outbox, and out of it in batches.
"""

from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from ranvier.events import AxonEvent, NewEvent, Origin, devbox_id

from ranvier_broker import commands, events, notices
from ranvier_broker.agent_life import AgentLife, Phase
from ranvier_broker.codecs import base as codecs
from ranvier_broker.codecs.base import Codec, Fact, Route
from ranvier_broker.commands import Command, Level, Signal
from ranvier_broker.deadlines import Deadlines, Patience, Step
from ranvier_broker.intake import Intake
from ranvier_broker.loglines import LogLines
from ranvier_broker.one_turn import CancelMeans, Mount, OneTurn
from ranvier_broker.outbox import Ended, Outbox, Question, Started
from ranvier_broker.restarts import GiveUp

OUTBOX_BYTES_HIGH: Final = 8 * 1024 * 1024
"""Unwritten bytes at which the agent's output is no longer read: the pipe makes the agent wait."""

OUTBOX_BYTES_LOW: Final = 2 * 1024 * 1024
"""Unwritten bytes at which it is read again."""


class TurnMachine:
    """One mount from start to fence; `argv` starts its agent.

    `refusal`: why there can be no agent, if there can be none.
    """

    def __init__(
        self,
        mount: Mount,
        codec: Codec,
        *,
        argv: Sequence[str] = (),
        refusal: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._mount = mount
        self._codec = codec
        self._argv = argv
        self._refusal = refusal
        self._life = AgentLife()
        self._intake: Intake | None = None
        self._outbox = Outbox()
        self._patience = patience or Patience()
        self._deadlines = Deadlines(self._patience)
        self._turn = OneTurn(mount, self._outbox, self._deadlines)
        self._stderr = LogLines()
        self._garbage = LogLines()
        self._asked: dict[int, int] = {}  # question → its sequence on the axon
        self._subscription = 0
        self._is_held = False
        self._is_stopped = False
        self._started_ms = self._attached_ms = self._agent_started_ms = 0
        self._was_announced = False
        self._commands: list[Command] = []

    @property
    def is_ready(self) -> bool:
        """Whether the mount is attached and its agent can take messages."""
        return self._intake is not None and self._life.phase is Phase.READY

    @property
    def is_written(self) -> bool:
        """Whether nothing is left to append (or may be)."""
        may_write = self._intake is not None and not self._is_stopped
        return self._outbox.is_empty or not may_write

    @property
    def unanswered_bytes(self) -> int:
        """Payloads of requests that the agent was given and has not answered; each is given up in
        time."""
        return self._intake.unanswered_bytes if self._intake is not None else 0

    @property
    def wake_at_ms(self) -> int | None:
        """When `TimeCame` must be handed in at the latest."""
        if self._is_stopped:
            return None
        times = [self._life.due_ms, self._codec.wake_at_ms]
        if self._is_waiting_for_agent:
            times.append(self._deadlines.wake_at_ms(is_asking=self._codec.has_question))
        return min((time for time in times if time is not None), default=None)

    def handle(self, event: events.Event, now_ms: int) -> list[Command]:
        """Take one event in; return what follows from it, in the order to be performed."""
        if self._is_stopped:
            return []
        match event:
            case events.Begun(started_ms):
                self._begun(started_ms, now_ms)
            case events.Attached():
                self._attached(event, now_ms)
            case events.Arrived(subscription, axon_event):
                self._arrived(subscription, axon_event, now_ms)
            case events.Appended(batch, first_sequence):
                self._appended(batch, first_sequence)
            case events.TimeCame():
                self._time_came(now_ms)
            case events.Fenced():
                self._is_stopped = True
                return [commands.Stop("another broker has the mount, or the devbox is asleep")]
            case _:
                self._heard_of_agent(event, now_ms)
        self._advance(now_ms)
        taken, self._commands = self._commands, []
        return taken

    # --- events

    def _begun(self, started_ms: int, now_ms: int) -> None:
        self._started_ms = started_ms
        self._do(commands.Attach())
        if self._refusal is not None:
            self._life.refuse(self._refusal)
        elif not self._codec.needs_memory_to_start:
            # The process starts while we attach; nothing is said to it before we are.
            self._life.plan(now_ms)

    def _attached(self, event: events.Attached, now_ms: int) -> None:
        self._attached_ms = now_ms
        self._intake = Intake(event.cursor, event.control_cursor)
        self._outbox.open(event.epoch, event.cursor, event.control_cursor)
        self._codec.recall(event.state)
        self._subscribe(event.cursor)
        if self._refusal is not None:
            self._put(notices.broker_error(self._refusal))
        elif self._codec.needs_memory_to_start:
            self._life.plan(now_ms)

    def _arrived(self, subscription: int, event: AxonEvent, now_ms: int) -> None:
        if self._intake is None or subscription != self._subscription or not event.is_inbound:
            return
        self._life.wanted(now_ms)
        self._intake.offer(event, is_turn=self._codec.route(event) is Route.TURN)

    def _appended(self, batch: int, first_sequence: int) -> None:
        for meaning, sequence in self._outbox.confirm(batch, first_sequence):
            match meaning:
                case Started(turn_id, _):
                    self._turn.started(turn_id, sequence)
                case Question(number):
                    self._asked[number] = sequence
                case Ended():
                    pass

    def _heard_of_agent(self, event: events.AgentEvent, now_ms: int) -> None:
        if event.run != self._life.run or not self._life.has_process:
            return
        match event:
            case events.AgentStarted():
                self._agent_started_ms = now_ms
                self._life.started()
            case events.AgentSaid(_, data):
                self._life.spoke()
                self._deadlines.heard(now_ms)
                self._perform(self._codec.receive(data, now_ms), now_ms)
            case events.AgentLogged(_, data):
                self._log("stderr", self._stderr.feed(data, now_ms))
            case events.AgentExited(_, status):
                self._exited(status, now_ms)
            case events.AgentBlocked():
                seconds = self._patience.silence_ms // 1000
                why = f"the agent took nothing of what was said to it for {seconds} s; it is ended"
                if self._end_agent(now_ms):
                    self._complain("agent_blocked", why)
            case _:
                assert_never(event)

    def _exited(self, status: int, now_ms: int) -> None:
        verdict = self._life.exited(status, now_ms)
        why, is_missing = f"the agent exited with status {status}", False
        if isinstance(verdict, GiveUp) and verdict.is_missing:
            why, is_missing = verdict.why, True
        self._perform(self._codec.end(why), now_ms)
        self._log("stderr", self._stderr.finish(now_ms))
        self._asked.clear()
        if is_missing:  # it never ran, so the open turn is refused like those that wait
            self._complain("agent_missing", why)
            return
        if self._turn.is_delivered:
            self._turn.fail(why, "agent_exited", status=status)
        if isinstance(verdict, GiveUp):
            self._put(notices.broker_error(verdict.why))
        self._do(commands.Log(Level.WARNING, f"the agent exited with status {status}: {verdict}"))

    def _time_came(self, now_ms: int) -> None:
        self._perform(self._codec.tick(now_ms), now_ms)
        if self._life.kill_due(now_ms):
            self._do(commands.SignalAgent(self._life.run, Signal.KILL))
        if not self._is_waiting_for_agent:
            return
        step = self._deadlines.due(now_ms, is_asking=self._codec.has_question)
        if step is Step.CANCEL:
            self._perform(self._codec.cancel(None, now_ms), now_ms)
        # A turn that its codec ended by itself has not freed the agent.
        if step is Step.END_AGENT or (step is Step.CANCEL and not self._turn.is_open):
            self._end_agent(now_ms)

    def _end_agent(self, now_ms: int) -> bool:
        """TERM to its process group now, KILL after the grace. False if that is under way."""
        is_news = self._life.leave(now_ms, self._patience.grace_ms)
        if is_news:
            self._do(commands.SignalAgent(self._life.run, Signal.TERM))
        return is_news

    @property
    def _is_waiting_for_agent(self) -> bool:
        """Whether time runs: it does not while we are the ones who do not listen."""
        return self._turn.is_delivered and not self._is_held

    # --- what can be done now

    def _advance(self, now_ms: int) -> None:
        if self._life.start_due(now_ms):
            self._stderr, self._is_held = LogLines(), False
            self._do(commands.StartAgent(self._life.run, tuple(self._codec.command(self._argv))))
        if self._intake is None:
            return
        if self._life.phase is Phase.RUNNING:
            self._life.phase = Phase.GREETING
            self._perform(self._codec.begin(now_ms), now_ms)
        while self._step(self._intake, now_ms):
            pass
        if (after := self._intake.read_again_after()) is not None:
            self._subscribe(after)
        cursors = self._intake.cursor, self._intake.control_cursor
        self._outbox.move(*cursors, is_news=self._intake.take_news())
        if (append := self._outbox.cut()) is not None:
            self._do(append)
        self._regulate(now_ms)

    def _step(self, intake: Intake, now_ms: int) -> bool:
        """Deliver one message, or start or fail one turn. False when nothing can be done."""
        if self._life.phase is Phase.GIVEN_UP:
            return self._refuse_one(intake)
        if self._life.phase is not Phase.READY:
            return False
        if (prompt := self._turn.deliver(now_ms)) is not None:
            self._perform(self._codec.prompt(*prompt, now_ms), now_ms)
            return True
        return self._deliver_control(intake, now_ms) or self._start_turn(intake)

    def _start_turn(self, intake: Intake) -> bool:
        if self._turn.is_open or intake.next_turn is None:
            return False
        trigger = intake.take_turn()
        # T3: the cursor moves over the trigger in the very append that says the turn has started.
        self._outbox.move(intake.cursor, intake.control_cursor)
        self._turn.open(trigger)
        return True

    def _deliver_control(self, intake: Intake, now_ms: int) -> bool:
        event = intake.next_control
        if event is None:
            return False
        match self._codec.route(event):
            case Route.CANCEL:
                return self._deliver_cancel(intake, event, now_ms)
            case Route.ANSWER:
                return self._deliver_answer(intake, event, now_ms)
            case _:
                intake.take_control(answer_due=True)
                self._perform(self._codec.control(event, now_ms), now_ms)
        return True

    def _deliver_cancel(self, intake: Intake, event: AxonEvent, now_ms: int) -> bool:
        means = self._turn.meant_by(event)
        if means is CancelMeans.NOT_KNOWN_YET:
            return False  # `turn.started` is on its way to the journal: a moment
        intake.take_control()
        if means is CancelMeans.AN_EARLIER_TURN:
            self._perform(self._codec.late_cancel(event), now_ms)
            return True
        if means is CancelMeans.THIS_TURN and self._codec.cancels_turn(event):
            self._turn.cancelled(now_ms)
        self._perform(self._codec.cancel(event, now_ms), now_ms)
        return True

    def _deliver_answer(self, intake: Intake, event: AxonEvent, now_ms: int) -> bool:
        question = self._codec.question_of(event)
        if question is not None:
            asked = self._asked.get(question)
            if asked is None:
                return False  # the question is on its way to the journal: a moment
            if event.sequence > asked:
                del self._asked[question]
                self._deadlines.heard(now_ms)
                self._perform(self._codec.answer(question, event), now_ms)
        intake.take_control()
        return True

    def _refuse_one(self, intake: Intake) -> bool:
        """There is no agent and will be none: settle what waits, so that the queue goes on."""
        why = self._life.why_given_up
        if (event := intake.next_control) is not None:
            intake.take_control()
            if self._codec.route(event) is Route.CONTROL:
                self._put(notices.request_failed(event.event_type, why))
            return True
        if self._turn.is_started:
            self._turn.fail(why, "agent_unavailable")
            return True
        return self._start_turn(intake)

    # --- facts

    def _perform(self, facts: Iterable[Fact], now_ms: int) -> None:
        for fact in facts:
            match fact:
                case codecs.ToAgent(data):
                    self._do(commands.WriteAgent(self._life.run, data))
                case codecs.Ready():
                    self._became_ready(now_ms)
                case codecs.Settled(sequence):
                    if self._intake is not None:
                        self._intake.settle(sequence)
                case codecs.TurnEnded():
                    if self._turn.ended(fact):
                        self._life.turn_ended()
                case codecs.Remember(state):
                    self._outbox.keep(state)
                case codecs.Garbage(why, excerpt):
                    line = f"{why}: {excerpt}\n".encode(errors="replace")
                    self._log("stdout", self._garbage.feed(line, now_ms))
                case _:
                    self._publish(fact)

    def _publish(
        self, fact: codecs.Said | codecs.Asked | codecs.RequestFailed | codecs.Complaint
    ) -> None:
        match fact:
            case codecs.Said(event_type, payload, origin):
                self._put(NewEvent(origin, notices.SOURCE, event_type, payload))
            case codecs.Asked(question, event_type, payload):
                event = NewEvent(Origin.AGENT, notices.SOURCE, event_type, payload)
                self._outbox.put(event, Question(question))
            case codecs.RequestFailed(method, error):
                self._put(notices.request_failed(method, error))
            case codecs.Complaint(kind, message):
                self._complain(kind, message)
            case _:
                assert_never(fact)

    def _became_ready(self, now_ms: int) -> None:
        self._life.ready()
        if self._was_announced:
            return
        self._was_announced = True
        wake = notices.WakeTimes(
            self._started_ms, self._attached_ms, self._agent_started_ms, now_ms
        )
        self._put(
            notices.devbox_running(devbox_id(self._mount.devbox_uid), self._mount.generation, wake)
        )

    # --- small words

    def _subscribe(self, after: int) -> None:
        self._subscription += 1
        self._do(commands.Subscribe(self._subscription, after))

    def _log(self, log_type: str, lines: list[str]) -> None:
        if self._outbox.bytes < OUTBOX_BYTES_HIGH:  # logs are the first to be let go
            for line in lines:
                self._put(notices.agent_log(log_type, line))

    def _complain(self, kind: str, message: str) -> None:
        self._put(notices.agent_error(devbox_id(self._mount.devbox_uid), kind, message))

    def _regulate(self, now_ms: int) -> None:
        limit = OUTBOX_BYTES_LOW if self._is_held else OUTBOX_BYTES_HIGH
        must_hold = self._outbox.bytes > limit
        if must_hold == self._is_held or not self._life.has_process:
            return
        self._is_held = must_hold
        run = self._life.run
        self._do(commands.HoldAgent(run) if must_hold else commands.ReleaseAgent(run))
        self._deadlines.heard(now_ms)

    def _put(self, event: NewEvent) -> None:
        devbox = devbox_id(self._mount.devbox_uid)
        self._outbox.put(event if notices.fits(event) else notices.too_large(devbox, event))

    def _do(self, command: Command) -> None:
        self._commands.append(command)
