"""The turn machine of one mount: event and time in, commands out; no I/O, no clock.

It holds T1 to T7. Only users' and external events are taken in; one turn at a time, in the order of
the axon. When a message is handed over, `delivery` decides; what becomes of the agent's process and
words, `agent_side`; what the axon is told of the agent, `telling`. The agent's protocol is the
codec's affair, here it is routes and facts; what follows goes to the outbox, and out of it in
batches.
"""

from collections.abc import Sequence

from ranvier.events import AxonEvent, devbox_id

from ranvier_broker import commands, events
from ranvier_broker.agent_life import Phase
from ranvier_broker.agent_side import AgentSide
from ranvier_broker.codecs.base import Codec, Route
from ranvier_broker.commands import Command
from ranvier_broker.deadlines import Patience
from ranvier_broker.delivery import Delivery
from ranvier_broker.intake import Intake
from ranvier_broker.one_turn import Mount
from ranvier_broker.outbox import Ended, Outbox, Question, Started
from ranvier_broker.telling import Telling


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
        self._codec = codec
        self._commands: list[Command] = []
        self._intake: Intake | None = None
        self._delivery: Delivery | None = None
        self._outbox = Outbox()
        self._telling = Telling(devbox_id(mount.devbox_uid), self._outbox)
        self._agent = AgentSide(
            mount,
            codec,
            argv,
            refusal,
            patience or Patience(),
            self._outbox,
            self._telling,
            self._commands.append,
        )
        self._subscription = 0
        self._is_stopped = False

    @property
    def is_ready(self) -> bool:
        """Whether the mount is attached and its agent can take messages."""
        return self._intake is not None and self._agent.life.phase is Phase.READY

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
        return None if self._is_stopped else self._agent.wake_at_ms

    def handle(self, event: events.Event, now_ms: int) -> list[Command]:
        """Take one event in; return what follows from it, in the order to be performed."""
        if self._is_stopped:
            return []
        match event:
            case events.Begun(started_ms):
                self._commands.append(commands.Attach())
                self._agent.begin(started_ms, now_ms)
            case events.Attached():
                self._attached(event, now_ms)
            case events.Arrived(subscription, axon_event):
                self._arrived(subscription, axon_event, now_ms)
            case events.Appended(batch, first_sequence):
                self._appended(batch, first_sequence)
            case events.TimeCame():
                self._agent.time_came(now_ms)
            case events.Fenced():
                self._is_stopped = True
                return [commands.Stop("another broker has the mount, or the devbox is asleep")]
            case _:
                self._agent.heard(event, now_ms)
        self._advance(now_ms)
        taken = list(self._commands)
        self._commands.clear()
        return taken

    # --- events

    def _attached(self, event: events.Attached, now_ms: int) -> None:
        self._intake = intake = Intake(event.cursor, event.control_cursor)
        self._delivery = Delivery(
            intake,
            self._codec,
            self._agent.turn,
            self._outbox,
            self._telling,
            self._agent.deadlines,
        )
        self._outbox.open(event.epoch, event.cursor, event.control_cursor)
        self._agent.attached(intake, event.state, now_ms)
        self._subscribe(event.cursor)

    def _arrived(self, subscription: int, event: AxonEvent, now_ms: int) -> None:
        if self._intake is None or subscription != self._subscription or not event.is_inbound:
            return
        self._agent.life.wanted(now_ms)
        self._intake.offer(event, is_turn=self._codec.route(event) is Route.TURN)

    def _appended(self, batch: int, first_sequence: int) -> None:
        for meaning, sequence in self._outbox.confirm(batch, first_sequence):
            match meaning:
                case Started(turn_id, _):
                    self._agent.turn.started(turn_id, sequence)
                case Question(number):
                    self._telling.was_asked(number, sequence)
                case Ended():
                    pass

    # --- what can be done now

    def _advance(self, now_ms: int) -> None:
        self._agent.start(now_ms)
        if self._intake is None or self._delivery is None:
            return
        self._agent.greet(now_ms)
        while (facts := self._delivery.step(self._agent.life, now_ms)) is not None:
            self._agent.perform(facts, now_ms)
        if (after := self._intake.read_again_after()) is not None:
            self._subscribe(after)
        cursors = self._intake.cursor, self._intake.control_cursor
        self._outbox.move(*cursors, is_news=self._intake.take_news())
        if (append := self._outbox.cut()) is not None:
            self._commands.append(append)
        self._agent.regulate(now_ms)

    def _subscribe(self, after: int) -> None:
        self._subscription += 1
        self._commands.append(commands.Subscribe(self._subscription, after))
