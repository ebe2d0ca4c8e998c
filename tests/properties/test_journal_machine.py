"""The journal against a model of its promises: J1, J4, T1, T3, T4, T5, W1, W2 and W3.

Brokers, the operator, publishers and restarts act in any order that hypothesis thinks of, old
brokers that were presumed dead among them. The model is a few dictionaries; the store is the real
one, on a real file and on a real server.
"""

import asyncio
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from journal_databases import new_database
from ranvier.events import INBOUND_ORIGINS, TURN_TERMINALS, NewEvent, Origin, SystemEvent
from ranvier.internal import (
    AppendAnswer,
    AppendEvent,
    AppendRequest,
    AttachRequest,
    DevboxBinding,
    MountBinding,
    SleepRequest,
    TurnEnded,
    TurnStarted,
)
from ranvier_apiserver.errors import Fenced, RuleBroken
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.store import Committed

IDLE_MS = 10_000
BOXES = {"one": ["a"], "two": ["a", "b"], "bare": []}
BOX = st.sampled_from(sorted(BOXES))
AXON = st.sampled_from(["a", "b"])


@dataclass
class ModelMount:
    axon: str
    cursor: int = 0
    epoch: int = 0
    attached: bool = False
    turn: tuple[str, int] | None = None
    last_trigger: int = 0
    activity: int = 0


@dataclass
class ModelBox:
    mounts: list[ModelMount]
    activity: int
    generation: int = 1
    asleep: bool = False
    held: bool = False
    wake: bool = True
    resume: bool = False


@dataclass
class ModelBroker:
    """A broker as it believes to be, whether or not it was replaced since."""

    box: str
    index: int
    epoch: int
    batch: int = 0
    last: tuple[AppendRequest, AppendAnswer] | None = None


@dataclass
class Event:
    origin: Origin
    event_type: str
    time: int


@dataclass
class Model:
    events: dict[str, list[Event]] = field(default_factory=lambda: {"a": [], "b": []})
    boxes: dict[str, ModelBox] = field(default_factory=dict)
    brokers: list[ModelBroker] = field(default_factory=list)

    def unread(self, mount: ModelMount) -> list[int]:
        events = self.events[mount.axon]
        later = range(mount.cursor + 1, len(events) + 1)
        return [n for n in later if events[n - 1].origin in INBOUND_ORIGINS]

    def wanted_by_event(self, box: ModelBox) -> tuple[str, int] | None:
        if not box.asleep or box.held or not box.wake:
            return None
        return next(
            ((mount.axon, self.unread(mount)[0]) for mount in box.mounts if self.unread(mount)),
            None,
        )

    def wanted(self, box: ModelBox) -> bool:
        resume = box.asleep and not box.held and box.resume
        return resume or self.wanted_by_event(box) is not None

    def activity(self, box: ModelBox) -> int:
        """The newest of: woken, attached, a turn's start or end, a user's or outside event."""
        inbound = [
            event.time
            for mount in box.mounts
            for event in self.events[mount.axon]
            if event.origin in INBOUND_ORIGINS
        ]
        return max([box.activity, *(mount.activity for mount in box.mounts), *inbound])

    def may_sleep(self, box: ModelBox, now: int) -> bool:
        quiet = all(m.attached and not m.turn and not self.unread(m) for m in box.mounts)
        return not box.asleep and quiet and now - self.activity(box) >= IDLE_MS


class JournalMachine(RuleBasedStateMachine):
    """Rules say what happens; each checks its answer, invariants check the whole after each."""

    engine = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="journal-"))
        self.database = new_database(self.engine, self.folder)
        self.runner = asyncio.Runner()
        self.now = 1_000_000
        self.model = Model()
        self.ids: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.committed: list[Committed] = []
        self.turns = 0
        self.open()

    def open(self) -> None:
        self.store: EngineStore = self.do(EngineStore.open(self.database.engine, lambda: self.now))
        self.store.listen(self.committed.append)

    def do(self, call: Any) -> Any:
        return self.runner.run(call)

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def heard(self, axon: str, origin: Origin, event_type: str) -> None:
        self.model.events[axon].append(Event(origin, event_type, self.now))

    @initialize()
    def declare(self) -> None:
        for name in self.model.events:
            self.ids[name] = self.do(self.store.create_axon(name, {})).axon_id
            self.names[self.ids[name]] = name
        for name, axons in BOXES.items():
            mounts = [ModelMount(axon, activity=self.now) for axon in axons]
            self.model.boxes[name] = ModelBox(mounts, self.now)
            self.bind(name)
        # Begin where rules meet most: something to read, and brokers to read it.
        for axon in ("a", "b"):
            self.publish(axon, Origin.USER)
        for name, axons in BOXES.items():
            for index in range(len(axons)):
                self.attach(name, index, behind=False)

    def bind(self, name: str) -> None:
        box = self.model.boxes[name]
        binding = DevboxBinding(
            namespace="ns",
            name=name,
            mounts=[
                MountBinding(index=i, axon_id=self.ids[mount.axon], protocol="acp")
                for i, mount in enumerate(box.mounts)
            ],
            wake_on_event=box.wake,
            held=box.held,
        )
        self.do(self.store.bind_devbox(name, binding))

    # --- publishers

    @rule(axon=AXON, origin=st.sampled_from([Origin.USER, Origin.EXTERNAL, Origin.AGENT]))
    def publish(self, axon: str, origin: Origin) -> None:
        self.committed.clear()
        event = NewEvent(origin, "test", "user.message", "{}")
        once = f"{self.now}-{len(self.model.events[axon])}-{axon}".encode()
        first = self.do(self.store.publish(self.ids[axon], event, once))
        self.heard(axon, origin, "user.message")
        assert first.sequence == len(self.model.events[axon])
        assert self.do(self.store.publish(self.ids[axon], event, once)) == first
        poked = {wake.devbox_uid for commit in self.committed for wake in commit.wakes}
        wanted = {
            name
            for name, box in self.model.boxes.items()
            if self.model.wanted_by_event(box) and axon in BOXES[name]
        }
        assert (wanted if origin in INBOUND_ORIGINS else set()) <= poked

    # --- brokers

    @rule(box=BOX, index=st.integers(0, 1), behind=st.booleans())
    def attach(self, box: str, index: int, behind: bool) -> None:
        state = self.model.boxes[box]
        if index >= len(state.mounts):
            return
        request = AttachRequest(generation=state.generation - behind)
        if behind:
            with pytest.raises(Fenced):
                self.do(self.store.attach(box, index, request))
            return
        mount = state.mounts[index]
        answer = self.do(self.store.attach(box, index, request))
        if mount.turn:
            assert answer.closed_turn.turn_id == mount.turn[0]
            self.heard(mount.axon, Origin.SYSTEM, SystemEvent.TURN_FAILED)
        if state.asleep:
            state.asleep, state.resume, state.activity = False, False, self.now
        mount.epoch, mount.attached, mount.turn = mount.epoch + 1, True, None
        mount.activity = self.now
        assert (answer.epoch, answer.cursor) == (mount.epoch, mount.cursor)
        self.model.brokers.append(ModelBroker(box, index, answer.epoch))

    @rule(data=st.data())
    def broker_starts_a_turn(self, data: st.DataObject) -> None:
        self.broker_appends(data, "start")

    @rule(data=st.data())
    def broker_ends_its_turn(self, data: st.DataObject) -> None:
        self.broker_appends(data, "end")

    @rule(data=st.data())
    def broker_plays_a_whole_turn_and_the_same_again(self, data: st.DataObject) -> None:
        for kind in ("start", "start", "end", "start again"):
            self.broker_appends(data, kind)

    @rule(data=st.data(), kind=st.sampled_from(["start again", "wrong start"]))
    def broker_starts_wrongly(self, data: st.DataObject, kind: str) -> None:
        self.broker_appends(data, kind)

    @rule(data=st.data(), kind=st.sampled_from(["say", "skip"]))
    def broker_speaks(self, data: st.DataObject, kind: str) -> None:
        self.broker_appends(data, kind)

    def broker_appends(self, data: st.DataObject, kind: str) -> None:
        live = [broker for broker in self.model.brokers if self.is_live(broker)]
        broker = data.draw(st.sampled_from(3 * live + self.model.brokers))
        mount = self.mount_of(broker)
        unread = self.model.unread(mount)
        events: list[tuple[Origin, str]] = [(Origin.AGENT, "session/update")]
        cursor, marks, allowed, turn = mount.cursor, [], True, mount.turn
        if kind in ("start", "start again", "wrong start"):
            trigger = unread[0] if unread else mount.cursor
            if kind == "start again":
                trigger = mount.last_trigger
            elif kind == "wrong start":
                low = data.draw(st.sampled_from([0, mount.last_trigger + 1]))
                trigger = data.draw(st.integers(low, len(self.model.events[mount.axon]) + 1))
            self.turns += 1
            turn = (f"t{self.turns}", trigger)
            marks = [TurnStarted(turn_id=turn[0], trigger=trigger, event_index=1)]
            events.append((Origin.SYSTEM, SystemEvent.TURN_STARTED))
            cursor = max(cursor, trigger)
            allowed = self.may_start(mount, trigger)
        elif kind == "end":
            marks = [TurnEnded(turn_id=turn[0] if turn else "none", event_index=1)]
            events.append((Origin.SYSTEM, SystemEvent.TURN_COMPLETED))
            allowed, turn = turn is not None, None
        elif kind == "skip":
            cursor = unread[0] if unread else cursor
        request = AppendRequest(
            epoch=broker.epoch,
            batch=broker.batch + 1,
            events=[AppendEvent(origin=o, event_type=t, payload="{}") for o, t in events],
            cursor=cursor,
            turn_marks=marks,
        )
        call = self.store.append(broker.box, broker.index, request)
        if not self.is_live(broker):
            with pytest.raises(Fenced):
                self.do(call)
        elif not allowed:
            with pytest.raises(RuleBroken):
                self.do(call)
        else:
            answer = self.do(call)
            head = len(self.model.events[mount.axon])
            assert (answer.first_sequence, answer.last_sequence) == (head + 1, head + len(events))
            for origin, event_type in events:
                self.heard(mount.axon, origin, event_type)
            broker.batch, broker.last = broker.batch + 1, (request, answer)
            mount.cursor, mount.turn = cursor, turn
            if marks:
                mount.activity = self.now
            if "start" in kind and turn:
                mount.last_trigger = turn[1]

    def mount_of(self, broker: ModelBroker) -> ModelMount:
        return self.model.boxes[broker.box].mounts[broker.index]

    def is_live(self, broker: ModelBroker) -> bool:
        mount = self.mount_of(broker)
        return mount.attached and mount.epoch == broker.epoch

    def may_start(self, mount: ModelMount, trigger: int) -> bool:
        events = self.model.events[mount.axon]
        return (
            mount.turn is None
            and mount.last_trigger < trigger <= len(events)
            and events[trigger - 1].origin in INBOUND_ORIGINS
        )

    @precondition(lambda self: any(broker.last for broker in self.model.brokers))
    @rule(data=st.data())
    def broker_repeats_its_last_batch(self, data: st.DataObject) -> None:
        broker = data.draw(st.sampled_from([b for b in self.model.brokers if b.last]))
        assert broker.last is not None
        request, answer = broker.last
        call = self.store.append(broker.box, broker.index, request)
        if self.is_live(broker):
            assert self.do(call) == answer
        else:
            with pytest.raises(Fenced):
                self.do(call)

    # --- the operator

    @rule(box=BOX, wait=st.booleans(), how=st.sampled_from(["ask", "ask", "force", "behind"]))
    def sleep(self, box: str, wait: bool, how: str) -> None:
        force, behind = how == "force", how == "behind"
        self.now += IDLE_MS * wait
        state = self.model.boxes[box]
        request = SleepRequest(
            generation=state.generation - behind, idle_seconds=IDLE_MS / 1000, force=force
        )
        may_sleep = self.model.may_sleep(state, self.now)
        asleep = behind or (state.asleep and (force or not self.model.wanted(state)))
        answer = self.do(self.store.sleep(box, request))
        assert answer.granted == (asleep or force or may_sleep)
        if not answer.granted:
            assert answer.look_again_ms > self.now
        elif not asleep:
            self.fall_asleep(state)
        assert answer.generation == state.generation

    @rule(box=st.sampled_from(["one", "two"]), origin=st.sampled_from(sorted(INBOUND_ORIGINS)))
    def sleeps_and_is_written_to(self, box: str, origin: Origin) -> None:
        self.sleep(box, wait=False, how="force")
        self.publish(BOXES[box][-1], origin)

    def fall_asleep(self, state: ModelBox) -> None:
        for mount in state.mounts:
            if mount.turn:
                self.heard(mount.axon, Origin.SYSTEM, SystemEvent.TURN_FAILED)
            mount.attached, mount.turn = False, None
        for axon in dict.fromkeys(mount.axon for mount in state.mounts):
            self.heard(axon, Origin.SYSTEM, SystemEvent.DEVBOX_SUSPENDED)
        state.generation, state.asleep, state.resume = state.generation + 1, True, False

    @rule(box=BOX, held=st.booleans(), wake=st.booleans())
    def declare_again(self, box: str, held: bool, wake: bool) -> None:
        state = self.model.boxes[box]
        if held and not state.held:
            state.resume = False
        elif state.held and not held and state.asleep:
            if state.mounts:
                state.resume = True
            else:
                state.asleep, state.activity = False, self.now
        state.held, state.wake = held, wake
        self.bind(box)

    @rule(ms=st.sampled_from([1, IDLE_MS // 2, IDLE_MS]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule()
    def restart(self) -> None:
        self.do(self.store.close())
        self.open()

    # --- what always holds

    @invariant()
    def sequences_have_no_gaps_and_order_is_kept(self) -> None:
        for name, expected in self.model.events.items():
            if name in self.ids:
                page = self.do(self.store.read_after(self.ids[name], 0, 10_000))
                assert [event.sequence for event in page.events] == [
                    number + 1 for number in range(len(expected))
                ]
                found = [(event.origin, event.event_type) for event in page.events]
                assert found == [(event.origin, event.event_type) for event in expected]

    @invariant()
    def every_turn_that_is_not_open_has_exactly_one_end(self) -> None:
        for name, events in self.model.events.items():
            kinds = [event.event_type for event in events]
            ends = sum(kind in TURN_TERMINALS for kind in kinds)
            mounts = [m for box in self.model.boxes.values() for m in box.mounts]
            still_open = sum(m.turn is not None for m in mounts if m.axon == name)
            assert kinds.count(SystemEvent.TURN_STARTED) == ends + still_open

    @invariant()
    def views_tell_what_the_model_knows(self) -> None:
        views = {view.uid: view for view in self.do(self.store.devboxes())}
        wakes = {wake.devbox_uid: wake for wake in self.do(self.store.wakes())}
        for name, box in self.model.boxes.items():
            view = views[name]
            assert (view.generation, view.asleep, view.held) == (
                box.generation,
                box.asleep,
                box.held,
            )
            assert view.wanted == self.model.wanted(box)
            reason = self.model.wanted_by_event(box)
            wake = wakes.get(name)
            assert (wake and (self.names[wake.axon_id], wake.sequence)) == reason
            for mount, seen in zip(box.mounts, view.mount_views, strict=True):
                assert (seen.epoch, seen.attached, seen.cursor) == (
                    mount.epoch,
                    mount.attached,
                    mount.cursor,
                )
                assert seen.unread == bool(self.model.unread(mount))
                turn = seen.open_turn and (seen.open_turn.turn_id, seen.open_turn.trigger)
                assert turn == mount.turn


JournalMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestJournalMachine = JournalMachine.TestCase


class PostgresMachine(JournalMachine):
    """The same histories, fewer in the short form."""

    engine = "postgresql"


PostgresMachine.TestCase.settings = settings(
    max_examples=200 if os.environ.get("RANVIER_SOAK") else 12,
    stateful_step_count=30,
    deadline=None,
)
TestPostgresMachine = PostgresMachine.TestCase
