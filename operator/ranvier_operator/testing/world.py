"""A whole small world for tests: one devbox on one axon, its cluster, its journal and an operator.

The operator here is the part that acts (cache, looks, sweep) without watches, queue and election:
the test says when it looks and whether it hears of changes. What a scheduler, a kubelet and a
broker would do are the methods `start_pod`, `end_pod`, `fail_pod`, `broker_attaches`.
"""

from typing import Any, Final

from ranvier.resources import Condition, ConditionType, Devbox

from ranvier_operator.axons import Axons
from ranvier_operator.cache import Cache
from ranvier_operator.conditions import find
from ranvier_operator.kinds import AXONS, BLUEPRINTS, CLAIMS, DEVBOXES, PODS, Key, Kind, RawObject
from ranvier_operator.naming import GENERATION_ANNOTATION
from ranvier_operator.reconcile import Devboxes
from ranvier_operator.settings import Settings
from ranvier_operator.sweep import Sweep
from ranvier_operator.testing.clock import ManualClock
from ranvier_operator.testing.cluster import FakeCluster
from ranvier_operator.testing.journal import FakeJournal

HERE: Final = "here"
NAME: Final = "box"
KEY: Final = Key(DEVBOXES.name, HERE, NAME)
SPEC: Final[dict[str, Any]] = {
    "image": "agents:1",
    "mounts": [
        {
            "brokerMount": {
                "axonRef": {"name": NAME},
                "protocol": "acp",
                "agentBinary": "opencode",
                "launchArgs": ["acp"],
            }
        }
    ],
    "lifecycle": {
        "afterIdle": {"idleTimeSeconds": 60, "onIdle": "Suspend"},
        "resumeTriggers": {"axonEvent": True},
    },
}
"""A devbox that sleeps after a minute and wakes by event."""


class World:
    """The world; `hears` says whether the operator hears of changes as they happen."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.cluster = FakeCluster(self.clock)
        self.journal = FakeJournal(self.clock)
        self.settings = Settings(api_url="http://api", broker_image="ranvier:1")
        self.hears = True
        self.cluster.watchers.append(self._hear)
        self.restart()

    def restart(self) -> None:
        """The operator's process dies and another one begins, with an empty memory."""
        self.cache = Cache()
        self.devboxes = Devboxes(
            self.cluster, self.journal, self.cache, self.settings, self.clock, _leads
        )
        self.axons = Axons(self.cluster, self.journal, self.cache, self.clock, _leads)
        self.due: list[Key] = []
        self._sweep = Sweep(
            self.cluster, self.journal, self.cache, self.settings, _leads, self.due.append
        )

    # --- the operator

    async def sweep(self) -> None:
        """List everything, forget what is gone."""
        await self._sweep.run()

    async def glance(self) -> float | None:
        """One look at the devbox."""
        return await self.devboxes.look(KEY)

    async def look(self) -> float | None:
        """Look until nothing is left to be done at once, as the work queue would."""
        while (again := await self.glance()) == 0:
            pass
        return again

    async def settle(self) -> float | None:
        """List everything, then look."""
        await self.sweep()
        await self.axons.look(Key(AXONS.name, HERE, NAME))
        return await self.look()

    # --- its owner

    async def begin(self, **changes: Any) -> None:
        """Axon and devbox are applied and looked at; the pod was made."""
        self.cluster.apply(AXONS, HERE, NAME, {})
        self.own(**changes)
        await self.settle()

    async def run(self, **changes: Any) -> None:
        """`begin`, and the pod came up, its broker attached, nothing is unread."""
        await self.begin(**changes)
        self.start_pod()
        self.broker_attaches()
        await self.look()

    async def sleep(self) -> None:
        """Nothing happens until the devbox is asleep and its pod gone."""
        self.clock.advance(SPEC["lifecycle"]["afterIdle"]["idleTimeSeconds"] + 1)
        await self.look()
        self.end_pod()
        await self.look()

    def own(self, **changes: Any) -> RawObject:
        """Make the devbox or change its spec; None removes a field."""
        spec = {name: value for name, value in {**SPEC, **changes}.items() if value is not None}
        return self.cluster.apply(DEVBOXES, HERE, NAME, spec)

    # --- what stands there

    @property
    def uid(self) -> str:
        return self.devbox.metadata.uid

    @property
    def devbox(self) -> Devbox:
        body = self.raw(DEVBOXES)
        assert body is not None
        return Devbox.read(body)

    @property
    def pod(self) -> RawObject | None:
        return self.raw(PODS)

    @property
    def claim(self) -> RawObject | None:
        return self.raw(CLAIMS, f"{NAME}-home")

    @property
    def pod_generation(self) -> int | None:
        """The generation of the pod, None without a pod."""
        if self.pod is None:
            return None
        return int(self.pod["metadata"]["annotations"][GENERATION_ANNOTATION])

    def raw(self, kind: Kind, name: str = NAME) -> RawObject | None:
        return self.cluster.peek(kind, HERE, name)

    def condition(self, kind: ConditionType) -> Condition | None:
        return find(self.devbox.status.conditions, kind)

    def says(self, kind: ConditionType) -> tuple[str, str] | None:
        """Status and reason of a condition."""
        condition = self.condition(kind)
        return (condition.status, condition.reason) if condition is not None else None

    # --- scheduler, kubelet, broker, waker

    def start_pod(self) -> None:
        """The pod was scheduled, its volume bound, its containers run and are ready.

        One that has failed stays so: Kubernetes starts no pod twice.
        """
        if self.pod is not None and self.pod["status"].get("phase") == "Failed":
            return
        self.cluster.report(CLAIMS, HERE, f"{NAME}-home", {"status": {"phase": "Bound"}})
        conditions = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready")]
        status = {
            "phase": "Running",
            "conditions": conditions,
            "startTime": self.cluster.time_text(),
        }
        self.cluster.report(PODS, HERE, NAME, {"spec": {"nodeName": "node"}, "status": status})

    def fail_pod(
        self, reason: str = "Evicted", message: str = "the node was low on memory"
    ) -> None:
        """The pod ended and Kubernetes will not start it again."""
        ended = {"reason": "Error", "exitCode": 137, "finishedAt": self.cluster.time_text()}
        status = {
            "phase": "Failed",
            "reason": reason,
            "message": message,
            "conditions": [],
            "containerStatuses": [{"name": "devbox", "state": {"terminated": ended}}],
        }
        self.cluster.report(PODS, HERE, NAME, {"status": status})

    def kill_for_memory(self, restarts: int = 1) -> None:
        """The devbox container used too much memory; the kubelet started it again already."""
        ended = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": self.cluster.time_text()}
        container = {
            "name": "devbox",
            "ready": True,
            "started": True,
            "restartCount": restarts,
            "state": {"running": {}},
            "lastState": {"terminated": ended},
        }
        self.cluster.report(PODS, HERE, NAME, {"status": {"containerStatuses": [container]}})

    def disrupt_pod(self, reason: str, message: str) -> None:
        """Kubernetes ends the pod: a drain, a lost node."""
        target = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": reason,
            "message": message,
            "lastTransitionTime": self.cluster.time_text(),
        }
        moment = self.cluster.time_text(plus=10)
        body = {"metadata": {"deletionTimestamp": moment}, "status": {"conditions": [target]}}
        self.cluster.report(PODS, HERE, NAME, body)

    def end_pod(self) -> None:
        """A pod that was asked to end has ended."""
        if self.pod is not None and self.pod["metadata"].get("deletionTimestamp"):
            self.cluster.erase(PODS, HERE, NAME)

    def delete_pod(self) -> None:
        """Somebody deletes the pod."""
        self.cluster.erase(PODS, HERE, NAME)

    def lose_node(self) -> None:
        """The pod's node answers no more: its end was asked for, and nobody confirms it."""
        moment = self.cluster.time_text(plus=10)
        self.cluster.report(PODS, HERE, NAME, {"metadata": {"deletionTimestamp": moment}})

    def broker_attaches(self, reads: bool = True) -> None:
        """The pod's broker takes its mount, and reads what waits. Raises Fenced if it is too
        old."""
        assert self.pod_generation is not None
        self.journal.attach(self.uid, self.pod_generation)
        if reads:
            self.journal.read_all(self.uid)

    def publish(self, *, poke: bool = True) -> None:
        """A user's event arrives on the axon; the waker calls, or its call is lost."""
        axon = self.raw(AXONS)
        assert axon is not None
        self.journal.publish(axon["status"]["axonId"])
        if poke:
            self.poke()

    def poke(self) -> None:
        """The waker calls, if there is a reason to."""
        wake = self.journal.wake_of(self.uid) if self.uid in self.journal.boxes else None
        if wake is not None:
            self.cluster.report(DEVBOXES, HERE, NAME, {"status": {"wake": wake}})

    def blueprint(self, spec: RawObject) -> None:
        self.cluster.apply(BLUEPRINTS, HERE, NAME, spec)

    # --- inside

    def _hear(self, kind: Kind, event_type: str, body: RawObject) -> None:
        if not self.hears:
            return
        if event_type == "DELETED":
            self.cache.drop(kind, body)
        else:
            self.cache.put(kind, body)


def _leads() -> None:
    """In this world nobody else acts."""
