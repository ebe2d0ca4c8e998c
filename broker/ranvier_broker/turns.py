"""The turn machine of one mount: event and time in, commands out; no I/O, no clock.

It holds T1 to T7. Only users' and external events are taken in; one turn at a time, in the order of
the axon. When a message is handed over, `delivery` decides; what the axon is told of the agent,
`telling`; which session a process takes up, `resumption`. The agent's protocol is the codec's
affair, here it is routes and facts; what follows goes to the outbox, and out of it in batches.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

from ranvier.events import AxonEvent, devbox_id

from ranvier_broker import commands, events, notices, resumption
from ranvier_broker.agent_life import AgentLife, Phase
from ranvier_broker.codecs import base as codecs
from ranvier_broker.codecs.base import Codec, Fact, Route
from ranvier_broker.commands import Command, Level, Signal
from ranvier_broker.deadlines import Deadlines, Patience, Step
from ranvier_broker.delivery import Delivery
from ranvier_broker.intake import Intake
from ranvier_broker.one_turn import Mount, OneTurn
from ranvier_broker.outbox import Ended, Outbox, Question, Started
from ranvier_broker.restarts import GiveUp
from ranvier_broker.resumption import Resumption
from ranvier_broker.telling import OUTBOX_BYTES_HIGH, OUTBOX_BYTES_LOW, Telling


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
        self._resumption = Resumption(codec)
        self._intake: Intake | None = None
        self._delivery: Delivery | None = None
        self._outbox = Outbox()
        self._telling = Telling(devbox_id(mount.devbox_uid), self._outbox)
        self._patience = patience or Patience()
        self._deadlines = Deadlines(self._patience)
        self._turn = OneTurn(mount, self._outbox, self._deadlines)
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
        self._intake = intake = Intake(event.cursor, event.control_cursor)
        self._delivery = Delivery(
            intake, self._codec, self._turn, self._outbox, self._telling, self._deadlines
        )
        self._outbox.open(event.epoch, event.cursor, event.control_cursor)
        self._codec.recall(event.state)
        self._resumption.saved(event.state)
        self._subscribe(event.cursor)
        if self._refusal is not None:
            self._telling.put(notices.broker_error(self._refusal))
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
                    self._telling.was_asked(number, sequence)
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
                self._telling.logged(data, now_ms)
            case events.AgentExited(_, status):
                self._exited(status, now_ms)
            case events.AgentBlocked():
                seconds = self._patience.silence_ms // 1000
                why = f"the agent took nothing of what was said to it for {seconds} s; it is ended"
                if self._end_agent(now_ms):
                    self._telling.complain("agent_blocked", why)
            case _:
                assert_never(event)

    def _exited(self, status: int, now_ms: int) -> None:
        verdict = self._life.exited(status, now_ms)
        why, is_missing = f"the agent exited with status {status}", False
        if isinstance(verdict, GiveUp) and verdict.is_missing:
            why, is_missing = verdict.why, True
        self._perform(self._codec.end(why), now_ms)
        self._telling.process_gone(now_ms)
        if is_missing:  # it never ran, so the open turn is refused like those that wait
            self._telling.complain("agent_missing", why)
            return
        if (tried := self._resumption.exited(status, was_ready=self._life.was_ready)) is not None:
            self._telling.complain("restore_failed", tried)
        if self._turn.is_delivered:
            self._turn.fail(why, "agent_exited", status=status)
        if isinstance(verdict, GiveUp):
            self._telling.put(notices.broker_error(verdict.why))
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
            self._telling.new_process()
            self._is_held = False
            self._do(commands.StartAgent(self._life.run, tuple(self._codec.command(self._argv))))
        if self._intake is None or self._delivery is None:
            return
        if self._life.phase is Phase.RUNNING:
            self._life.phase = Phase.GREETING
            self._perform(self._codec.begin(now_ms), now_ms)
        while (facts := self._delivery.step(self._life, now_ms)) is not None:
            self._perform(facts, now_ms)
        if (after := self._intake.read_again_after()) is not None:
            self._subscribe(after)
        cursors = self._intake.cursor, self._intake.control_cursor
        self._outbox.move(*cursors, is_news=self._intake.take_news())
        if (append := self._outbox.cut()) is not None:
            self._do(append)
        self._regulate(now_ms)

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
                        self._agent_works()
                case codecs.Remember(state):
                    self._agent_works()
                    self._keep(state)
                case _:
                    self._telling.publish(fact, now_ms)

    def _agent_works(self) -> None:
        if (aside := self._resumption.works()) is not None:
            self._keep(aside.state)
            self._telling.complain("session_lost", resumption.lost(aside))

    def _keep(self, state: Mapping[str, Any]) -> None:
        self._outbox.keep(state)
        self._resumption.saved(state)

    def _became_ready(self, now_ms: int) -> None:
        self._life.ready()
        self._resumption.ready()
        if self._was_announced:
            return
        self._was_announced = True
        wake = notices.WakeTimes(
            self._started_ms, self._attached_ms, self._agent_started_ms, now_ms
        )
        self._telling.put(
            notices.devbox_running(devbox_id(self._mount.devbox_uid), self._mount.generation, wake)
        )

    # --- small words

    def _subscribe(self, after: int) -> None:
        self._subscription += 1
        self._do(commands.Subscribe(self._subscription, after))

    def _regulate(self, now_ms: int) -> None:
        limit = OUTBOX_BYTES_LOW if self._is_held else OUTBOX_BYTES_HIGH
        must_hold = self._outbox.bytes > limit
        if must_hold == self._is_held or not self._life.has_process:
            return
        self._is_held = must_hold
        run = self._life.run
        self._do(commands.HoldAgent(run) if must_hold else commands.ReleaseAgent(run))
        self._deadlines.heard(now_ms)

    def _do(self, command: Command) -> None:
        self._commands.append(command)
