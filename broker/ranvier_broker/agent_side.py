"""The agent's side of a turn machine: its process, what it says, and what follows from that.

It says when a process is to be started, greeted, held, told to go and killed, and performs the
facts that the codec makes of what comes from it: on the agent, on the open turn, on the axon. When
a message is handed over is decided on the axon's side, in `turns`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, assert_never

from ranvier.events import devbox_id

from ranvier_broker import commands, events, notices, resumption
from ranvier_broker.agent_life import AgentLife, Phase
from ranvier_broker.codecs import base as codecs
from ranvier_broker.codecs.base import Codec, Fact
from ranvier_broker.commands import Command, Level, Signal
from ranvier_broker.deadlines import Deadlines, Patience, Step
from ranvier_broker.intake import Intake
from ranvier_broker.one_turn import Mount, OneTurn
from ranvier_broker.outbox import Outbox
from ranvier_broker.restarts import GiveUp
from ranvier_broker.resumption import Resumption
from ranvier_broker.telling import OUTBOX_BYTES_HIGH, OUTBOX_BYTES_LOW, Telling


class AgentSide:
    """One mount's agent, over its processes, and the turn that it has; `do` takes the commands.
    `argv` starts it, unless `refusal` says why there can be none."""

    def __init__(
        self,
        mount: Mount,
        codec: Codec,
        argv: Sequence[str],
        refusal: str | None,
        patience: Patience,
        outbox: Outbox,
        telling: Telling,
        do: Callable[[Command], None],
    ) -> None:
        self._mount = mount
        self._codec = codec
        self._argv = argv
        self._refusal = refusal
        self._patience = patience
        self._outbox = outbox
        self._telling = telling
        self._do = do
        self.life = AgentLife()
        self.deadlines = Deadlines(patience)
        self.turn = OneTurn(mount, outbox, self.deadlines)
        self._resumption = Resumption(codec)
        self._intake: Intake | None = None
        self._is_held = False
        self._started_ms = self._attached_ms = self._agent_started_ms = 0
        self._was_announced = False

    @property
    def wake_at_ms(self) -> int | None:
        """When `time_came` must be called at the latest."""
        times = [self.life.due_ms, self._codec.wake_at_ms]
        if self._is_waited_for:
            times.append(self.deadlines.wake_at_ms(is_asking=self._codec.has_question))
        return min((time for time in times if time is not None), default=None)

    # --- the mount

    def begin(self, started_ms: int, now_ms: int) -> None:
        """The broker, which was started then, attaches."""
        self._started_ms = started_ms
        if self._refusal is not None:
            self.life.refuse(self._refusal)
        elif not self._codec.needs_memory_to_start:
            # The process starts while we attach; nothing is said to it before we are.
            self.life.plan(now_ms)

    def attached(self, intake: Intake, state: Mapping[str, Any], now_ms: int) -> None:
        """The mount is ours; `state` is what was kept for the agent."""
        self._attached_ms = now_ms
        self._intake = intake
        self._codec.recall(state)
        self._resumption.saved(state)
        if self._refusal is not None:
            self._telling.put(notices.broker_error(self._refusal))
        elif self._codec.needs_memory_to_start:
            self.life.plan(now_ms)

    # --- events

    def heard(self, event: events.AgentEvent, now_ms: int) -> None:
        """Something of a process; what is of another one than the last is passed over."""
        if event.run != self.life.run or not self.life.has_process:
            return
        match event:
            case events.AgentStarted():
                self._agent_started_ms = now_ms
                self.life.started()
            case events.AgentSaid(_, data):
                self.life.spoke()
                self.deadlines.heard(now_ms)
                self.perform(self._codec.receive(data, now_ms), now_ms)
            case events.AgentLogged(_, data):
                self._telling.logged(data, now_ms)
            case events.AgentExited(_, status):
                self._exited(status, now_ms)
            case events.AgentBlocked():
                seconds = self._patience.silence_ms // 1000
                why = f"the agent took nothing of what was said to it for {seconds} s; it is ended"
                if self._end(now_ms):
                    self._telling.complain("agent_blocked", why)
            case _:
                assert_never(event)

    def time_came(self, now_ms: int) -> None:
        self.perform(self._codec.tick(now_ms), now_ms)
        if self.life.kill_due(now_ms):
            self._do(commands.SignalAgent(self.life.run, Signal.KILL))
        if not self._is_waited_for:
            return
        step = self.deadlines.due(now_ms, is_asking=self._codec.has_question)
        if step is Step.CANCEL:
            self.perform(self._codec.cancel(None, now_ms), now_ms)
        # A turn that its codec ended by itself has not freed the agent.
        if step is Step.END_AGENT or (step is Step.CANCEL and not self.turn.is_open):
            self._end(now_ms)

    def _exited(self, status: int, now_ms: int) -> None:
        verdict = self.life.exited(status, now_ms)
        why, is_missing = f"the agent exited with status {status}", False
        if isinstance(verdict, GiveUp) and verdict.is_missing:
            why, is_missing = verdict.why, True
        self.perform(self._codec.end(why), now_ms)
        self._telling.process_gone(now_ms)
        if is_missing:  # it never ran, so the open turn is refused like those that wait
            self._telling.complain("agent_missing", why)
            return
        if (tried := self._resumption.exited(status, was_ready=self.life.was_ready)) is not None:
            self._telling.complain("restore_failed", tried)
        if self.turn.is_delivered:
            self.turn.fail(why, "agent_exited", status=status)
        if isinstance(verdict, GiveUp):
            self._telling.put(notices.broker_error(verdict.why))
        self._do(commands.Log(Level.WARNING, f"the agent exited with status {status}: {verdict}"))

    def _end(self, now_ms: int) -> bool:
        """TERM to its process group now, KILL after the grace. False if that is under way."""
        is_news = self.life.leave(now_ms, self._patience.grace_ms)
        if is_news:
            self._do(commands.SignalAgent(self.life.run, Signal.TERM))
        return is_news

    @property
    def _is_waited_for(self) -> bool:
        """Whether time runs: it does not while we are the ones who do not listen."""
        return self.turn.is_delivered and not self._is_held

    # --- what can be done now

    def start(self, now_ms: int) -> None:
        """A process, when one is due."""
        if self.life.start_due(now_ms):
            self._telling.new_process()
            self._is_held = False
            self._do(commands.StartAgent(self.life.run, tuple(self._codec.command(self._argv))))

    def greet(self, now_ms: int) -> None:
        """The process that runs, once the mount is attached."""
        if self.life.phase is Phase.RUNNING:
            self.life.phase = Phase.GREETING
            self.perform(self._codec.begin(now_ms), now_ms)

    def regulate(self, now_ms: int) -> None:
        """Do not read on while too much is unwritten: the pipe makes the agent wait."""
        limit = OUTBOX_BYTES_LOW if self._is_held else OUTBOX_BYTES_HIGH
        must_hold = self._outbox.bytes > limit
        if must_hold == self._is_held or not self.life.has_process:
            return
        self._is_held = must_hold
        run = self.life.run
        self._do(commands.HoldAgent(run) if must_hold else commands.ReleaseAgent(run))
        self.deadlines.heard(now_ms)

    # --- facts

    def perform(self, facts: Iterable[Fact], now_ms: int) -> None:
        """What a codec found, in its order."""
        for fact in facts:
            match fact:
                case codecs.ToAgent(data):
                    self._do(commands.WriteAgent(self.life.run, data))
                case codecs.Ready():
                    self._became_ready(now_ms)
                case codecs.Settled(sequence):
                    if self._intake is not None:
                        self._intake.settle(sequence)
                case codecs.TurnEnded():
                    if self.turn.ended(fact):
                        self.life.turn_ended()
                        self._works()
                case codecs.Remember(state):
                    self._works()
                    self._keep(state)
                case _:
                    self._telling.publish(fact, now_ms)

    def _became_ready(self, now_ms: int) -> None:
        self.life.ready()
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

    def _works(self) -> None:
        if (aside := self._resumption.works()) is not None:
            self._keep(aside.state)
            self._telling.complain("session_lost", resumption.lost(aside))

    def _keep(self, state: Mapping[str, Any]) -> None:
        self._outbox.keep(state)
        self._resumption.saved(state)
