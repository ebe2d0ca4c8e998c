"""Sleep and wake under everything that can happen, in any order: W1 to W6 and W9.

The machine drives one devbox in a fake cluster with a fake journal: events are published, pokes get
lost, brokers attach too late, pods fail and are deleted, owners hold and let go, the journal goes
away, watches fall silent, and the operator is killed between any two of its writes. What must hold
at every moment is checked at every write; what must come true in the end, when everything is let
heal.
"""

import copy
from collections.abc import Coroutine
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from ranvier.resources import ConditionType
from ranvier_operator.kinds import AXONS, DEVBOXES, PODS, Kind, RawObject
from ranvier_operator.naming import GENERATION_ANNOTATION
from ranvier_operator.testing import Fenced, World
from ranvier_operator.testing.world import HERE, NAME, SPEC

T = TypeVar("T")
IDLE_SECONDS = SPEC["lifecycle"]["afterIdle"]["idleTimeSeconds"]
KILLED_AFTER = st.sampled_from([None, None, None, 0, 1, 2])
"""Writes until the operator's process ends; None when it lives on."""
HEAL_ROUNDS_MAX = 16
"""More than enough for the longest way: end a pod, also one whose node is lost, make one, start
it, attach, write."""


class Killed(BaseException):
    """The operator's process ends here. No handler of errors may catch it."""


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what never really waits: the fakes answer at once."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    raise AssertionError("a fake made the operator wait")


class Lifecycle(RuleBasedStateMachine):
    """One devbox's life."""

    @initialize()
    def begin(self) -> None:
        """Applied, started, attached; from here on anything may happen."""
        self.world = World()
        self.spec: dict[str, Any] = copy.deepcopy(SPEC)
        self.writes_left: int | None = None
        self.lost_pod = ""
        self.world.cluster.guard = self._guard
        self.world.cluster.watchers.append(self._check_write)
        self.acting = False
        self.world.cluster.apply(AXONS, HERE, NAME, {})
        self._own()
        self._operate(self.world.settle)
        self.world.start_pod()
        self._attach(reads=True)

    # --- the operator

    @rule(journal_answers=st.booleans(), killed_after=KILLED_AFTER)
    def look(self, journal_answers: bool, killed_after: int | None) -> None:
        """A look; perhaps the operator is killed after so many writes, and another one begins."""
        self.world.journal.reachable = journal_answers
        self.writes_left = killed_after
        saw_all = self._knows_all() and journal_answers and killed_after is None
        self._operate(self.world.look)
        self.writes_left = None
        self.world.journal.reachable = True
        if saw_all and self.world.hears:
            self._what_lives_is_right()

    @rule()
    def resync(self) -> None:
        """The journal is asked who is out of step."""
        views = drive(self.world.journal.devboxes())
        if self.world.devboxes.out_of_step(views):
            self._operate(self.world.look)

    @rule()
    def sweep(self) -> None:
        self._operate(self.world.settle)

    @rule(
        killed_after=KILLED_AFTER,
        event=st.sampled_from(["none", "poke", "lost poke"]),
        ends=st.booleans(),
    )
    def nothing_happens_for_a_while(self, killed_after: int | None, event: str, ends: bool) -> None:
        """A pod comes up, works, and then nothing happens for long enough to fall asleep; then
        perhaps an event, before anybody looks again."""
        world, box = self.world, self.world.journal.boxes[self.world.uid]
        if world.pod is not None:
            self.pod_starts(reads=True, works=False)
            self.look(True, None)
        if box.attached:
            world.journal.read_all(world.uid)
            box.turn_open = False
        world.clock.advance(IDLE_SECONDS + 1)
        self.look(True, killed_after)
        if event != "none":
            world.publish(poke=event == "poke")
        if ends:
            self._end_pod()
        self.look(True, None)

    # --- users and the owner

    @rule(poke=st.booleans())
    def publish(self, poke: bool) -> None:
        self.world.publish(poke=poke)

    @rule(mode=st.sampled_from(["Running", "Suspended"]))
    def switch(self, mode: str) -> None:
        self.spec["operatingMode"] = mode
        self._own()

    @rule(on=st.booleans())
    def set_trigger(self, on: bool) -> None:
        self.spec["lifecycle"]["resumeTriggers"]["axonEvent"] = on
        self._own()

    # --- scheduler, kubelet, broker

    @precondition(lambda self: self.world.pod is not None)
    @rule(reads=st.booleans(), works=st.booleans())
    def pod_starts(self, reads: bool, works: bool) -> None:
        """And its broker attaches, unless the journal has moved on."""
        self.world.start_pod()
        if self._pod_is_ready():
            self._attach(reads=reads)
            box = self.world.journal.boxes[self.world.uid]
            box.turn_open = works and box.attached

    @rule()
    def pod_ends(self) -> None:
        self._end_pod()

    @precondition(lambda self: self.world.pod is not None)
    @rule(how=st.sampled_from(["deleted", "failed", "node lost"]))
    def pod_goes(self, how: str) -> None:
        if how == "deleted":
            self.world.delete_pod()
        elif how == "failed":
            self.world.fail_pod()
        else:
            self.world.lose_node()
            self.lost_pod = self._pod_uid()

    # --- what goes wrong around it

    @rule(hears=st.booleans())
    def watches(self, hears: bool) -> None:
        self.world.hears = hears

    @rule(seconds=st.sampled_from([1, 5, 45, 400]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    # --- what holds at every moment

    @invariant()
    def the_spec_is_the_owners(self) -> None:
        """W5."""
        body = self.world.raw(DEVBOXES)
        assert body is not None
        assert body["spec"] == self.spec
        assert "finalizers" not in body["metadata"]

    def _check_write(self, kind: Kind, event_type: str, body: RawObject) -> None:
        """Each pod that the operator makes or ends, at the moment it does."""
        if not self.acting or kind != PODS:
            return
        box = self.world.journal.boxes[self.world.uid]
        generation = int(body["metadata"]["annotations"][GENERATION_ANNOTATION])
        if event_type == "MODIFIED" and "deletionTimestamp" not in body["metadata"]:
            return
        if event_type == "ADDED":
            heard = self.world.cache.get(DEVBOXES, HERE, NAME) or {"spec": {}}
            assert heard["spec"].get("operatingMode") != "Suspended", "W5: the owner holds it"
            assert generation <= box.generation, "a generation that the journal never had"
            return
        if event_type == "DELETED" and "deletionTimestamp" in body["metadata"]:
            return  # its end was asked for before, and seen to be right then
        failed = body["status"]["phase"] == "Failed"
        older = generation < box.generation
        assert older or failed or box.asleep, "W3: a pod was ended without a granted sleep"

    def _what_lives_is_right(self) -> None:
        """After a look that saw everything: a pod that is not ending is one that shall run."""
        pod, box = self.world.pod, self.world.journal.boxes[self.world.uid]
        if pod is None or "deletionTimestamp" in pod["metadata"]:
            return
        assert self.spec.get("operatingMode") != "Suspended", "W5: the owner holds it"
        assert self.world.pod_generation == box.generation, "its broker can not attach"
        assert not box.asleep or self.world.journal.view(self.world.uid).wanted, "it sleeps"

    # --- what comes true in the end

    @rule()
    def all_heals(self) -> None:
        self._heal()
        world, box = self.world, self.world.journal.boxes[self.world.uid]
        says = {kind: world.says(kind) for kind in ConditionType}
        if self.spec.get("operatingMode") == "Suspended":
            assert world.pod is None
            assert box.asleep
            assert says[ConditionType.SUSPENDED] == ("True", "OwnerRequested")
        elif box.asleep:
            assert not world.journal.view(world.uid).wanted, "W1: wanted, and nothing comes"
            assert world.pod is None
            assert says[ConditionType.SUSPENDED] in (("True", "Idle"), ("True", "Requested"))
        else:
            assert world.pod_generation == box.generation, "W1: it must run"
            assert box.attached
            assert says[ConditionType.READY] == ("True", "AgentReady")
        self._nothing_more_is_written()

    @rule()
    def it_falls_asleep_in_time(self) -> None:
        """W9: within 2 s of the idle time, and until then nothing is written."""
        self._heal()
        world, box = self.world, self.world.journal.boxes[self.world.uid]
        if box.asleep:
            return
        box.turn_open = False
        world.journal.read_all(world.uid)
        end = world.clock.wall() + IDLE_SECONDS
        self._operate(world.look)
        world.cluster.writes.clear()
        while True:
            again = self._operate(world.look)
            if box.asleep:
                break
            assert again is not None, "W6: not final, and nobody looks again"
            assert world.cluster.writes == [], "W9: an idle devbox costs zero writes"
            world.clock.advance(max(again, 0.001))
        assert end <= world.clock.wall() <= end + 2

    # --- inside

    def _own(self) -> None:
        self.world.cluster.apply(DEVBOXES, HERE, NAME, self.spec)

    def _operate(self, part: Any) -> Any:
        """The operator acts; if it is killed, the next one begins."""
        self.acting = True
        try:
            return drive(part())
        except Killed:
            self._restart()
            return None
        finally:
            self.acting = False

    def _knows_all(self) -> bool:
        """Whether the operator has heard of everything: a watch may have missed something."""
        seen = [self.world.cache.get(kind, HERE, NAME) for kind in (DEVBOXES, PODS)]
        return seen == [self.world.raw(DEVBOXES), self.world.raw(PODS)]

    def _guard(self) -> None:
        if self.acting and self.writes_left is not None:
            if self.writes_left == 0:
                raise Killed
            self.writes_left -= 1

    def _restart(self) -> None:
        self.world.restart()
        self.acting = True
        drive(self.world.sweep())
        self.acting = False

    def _pod_is_ready(self) -> bool:
        pod = self.world.pod
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return False
        return bool(pod["status"]["phase"] == "Running")

    def _pod_uid(self) -> str:
        return str(self.world.pod["metadata"]["uid"]) if self.world.pod is not None else ""

    def _end_pod(self) -> None:
        """A pod that was asked to has ended, unless its node is lost and nobody can tell."""
        if self._pod_uid() != self.lost_pod:
            self.world.end_pod()

    def _attach(self, reads: bool) -> None:
        try:
            self.world.broker_attaches(reads)
        except Fenced:
            return

    def _heal(self) -> None:
        """Everything works again: the network, the watches, the nodes; nobody interferes."""
        world = self.world
        world.journal.reachable = world.hears = True
        self._operate(world.settle)
        for _ in range(HEAL_ROUNDS_MAX):
            self._end_pod()
            pod = world.pod
            if pod is not None and pod["status"]["phase"] == "Pending":
                world.start_pod()
            if self._pod_is_ready() and not world.journal.boxes[world.uid].attached:
                self._attach(reads=True)
            again = self._operate(world.look)
            if again is not None and (world.pod is None or self.lost_pod == self._pod_uid()):
                world.clock.advance(again)

    def _nothing_more_is_written(self) -> None:
        """W9, and: deciding twice changes nothing."""
        self.world.cluster.writes.clear()
        self._operate(self.world.look)
        self._operate(self.world.sweep)
        assert self.world.cluster.writes == []


TestLifecycle = Lifecycle.TestCase
TestLifecycle.settings = settings(max_examples=120, stateful_step_count=20, deadline=None)
