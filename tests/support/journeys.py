"""What the e2e journeys share: a devbox of their own on the real cluster, and its conversation.

Waits look at facts (a condition, an event, a pod) and are bounded by one limit.
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.record_acp import opencode_settings
from stage.conversation import Conversation
from stage.release import IMAGE
from stage.release import NAMESPACE as SYSTEM
from stage.shell import read
from stage.timeline import Timeline

FACT_SECONDS_MAX = 120.0
"""Longest wait for any one fact on a two-core machine that also runs the cluster."""
HOME = "/home/user"
HERE = Path(__file__).parent
TERMINALS = ("turn.completed", "turn.failed", "turn.cancelled")


async def kubectl(env: Mapping[str, str], *words: str, text: str = "") -> str:
    """Run kubectl off the event loop and return what it printed."""
    return await asyncio.to_thread(read, ["kubectl", *words], env, text)


async def until(
    what: str,
    holds: Callable[[], Awaitable[Any]],
    seconds: float = FACT_SECONDS_MAX,
) -> Any:
    """Look until the answer is true; the failure names the fact and the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = await holds()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what} (last: {answer!r})"
        await asyncio.sleep(0.1)


@dataclass
class Box:
    """One devbox `box` on one axon `box` in a namespace of its own."""

    env: Mapping[str, str]
    namespace: str
    name: str = "box"
    axon_id: str = ""

    async def kubectl(self, *words: str, text: str = "") -> str:
        return await kubectl(self.env, "-n", self.namespace, *words, text=text)

    async def get(self, resource: str, name: str = "") -> dict[str, Any]:
        """A resource as it is, or {} when it is not there."""
        words = ("get", resource, name or self.name, "-o", "json", "--ignore-not-found")
        printed = await self.kubectl(*words)
        found: dict[str, Any] = json.loads(printed) if printed.strip() else {}
        return found

    async def condition(self, kind: str) -> dict[str, Any]:
        """A condition of the devbox, or {}."""
        devbox = await self.get("devbox")
        conditions = devbox.get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    async def pod_uid(self) -> str:
        """Uid of the pod, "" when there is none."""
        return str((await self.get("pod")).get("metadata", {}).get("uid", ""))

    async def suspended(self) -> dict[str, Any]:
        """Wait until it sleeps: the condition says so, the pod is gone. Returns the condition."""

        async def sleeps() -> dict[str, Any]:
            condition = await self.condition("Suspended")
            gone = not await self.pod_uid()
            return condition if condition.get("status") == "True" and gone else {}

        found: dict[str, Any] = await until("devbox suspended", sleeps)
        return found

    async def apply(self, manifests: str) -> None:
        """Apply manifests with this box and its axon among them; wait for the axon's id."""
        await self.kubectl("apply", "-f", "-", text=manifests)

        async def axon_id() -> str:
            return str((await self.get("axon")).get("status", {}).get("axonId", ""))

        self.axon_id = await until("axon has an id", axon_id)


@asynccontextmanager
async def namespace_for_boxes(env: Mapping[str, str]) -> AsyncIterator[str]:
    """An empty namespace with the strictest rules for pods; deleted in the end."""
    namespace = f"e2e-{uuid.uuid4().hex[:8]}"
    metadata = {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    await kubectl(env, "create", "-f", "-", text=json.dumps(body))
    try:
        yield namespace
    finally:
        await kubectl(env, "delete", "namespace", namespace, "--wait=false")


OPENCODE_IMAGE = "ranvier/devbox-opencode:dev"


@dataclass(frozen=True)
class Agent:
    """What runs in a devbox. `mount`: of its brokerMount all but the axon."""

    image: str
    mount: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)


def opencode(model_url: str, *, asks: bool = False) -> Agent:
    """The real one. `asks`: whether it asks for permissions."""
    mount = {"protocol": "acp", "agentBinary": "opencode", "launchArgs": ["acp"]}
    return Agent(OPENCODE_IMAGE, mount, opencode_settings(model_url, asks=asks))


def _scripted() -> Agent:
    """Both of its files stand in its command line: the image needs Python alone."""
    files = [(HERE / f"{name}.py").read_text() for name in ("scripted_play", "scripted_acp_agent")]
    start = (
        "import sys, types; play = types.ModuleType('scripted_play'); "
        "exec(sys.argv[1], play.__dict__); sys.modules['scripted_play'] = play; "
        "agent = sys.argv.pop(2); del sys.argv[1]; exec(agent, {'__name__': '__main__'})"
    )
    mount = {"protocol": "acp", "agentBinary": "python3", "launchArgs": ["-c", start, *files]}
    return Agent(IMAGE, mount)


SCRIPTED = _scripted()
"""An agent that starts in a tenth of a real one's time, where the journey is about something else.
It plays `[[say WORDS]]` and `[[history]]` of `scripted_play`."""


def manifests(box: Box, agent: Agent, idle_seconds: int | None, mode: str = "Running") -> str:
    """Blueprint, Axon and Devbox as one JSON list for kubectl apply."""
    lifecycle: dict[str, Any] = {"resumeTriggers": {"axonEvent": True}}
    if idle_seconds is not None:
        lifecycle["afterIdle"] = {"idleTimeSeconds": idle_seconds, "onIdle": "Suspend"}
    env = [{"name": k, "value": v} for k, v in agent.environment.items()]
    mount = {"axonRef": {"name": box.name}, **agent.mount}
    specs: list[tuple[str, dict[str, Any]]] = [
        ("Blueprint", {"image": agent.image, "env": env}),
        ("Axon", {"deletionPolicy": "Delete"}),
        (
            "Devbox",
            {
                "operatingMode": mode,
                "blueprintName": box.name,
                "mounts": [{"brokerMount": mount}],
                "lifecycle": lifecycle,
            },
        ),
    ]
    items = [
        {
            "apiVersion": "ranvier.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": box.name, "namespace": box.namespace},
            "spec": spec,
        }
        for kind, spec in specs
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


async def apply(box: Box, agent: Agent, idle_seconds: int | None) -> None:
    """Apply the manifests and wait for the axon's id."""
    await box.apply(manifests(box, agent, idle_seconds))


@asynccontextmanager
async def conversation(url: str, key: str, box: Box) -> AsyncIterator[Conversation]:
    """The box's conversation; its timeline goes to the test's captured output."""
    async with Conversation(url, key, box.axon_id, Timeline(sys.stdout, time.monotonic())) as talk:
        yield talk


async def open_session(talk: Conversation) -> str:
    """initialize and session/new; returns the session id."""
    await talk.call("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
    session = await talk.call("session/new", {"cwd": HOME, "mcpServers": []})
    return str(session["sessionId"])


@asynccontextmanager
async def asleep(url: str, key: str, box: Box) -> AsyncIterator[tuple[Conversation, str]]:
    """A devbox that ran one turn and fell asleep: its conversation, and its session."""
    await apply(box, SCRIPTED, idle_seconds=1)
    async with conversation(url, key, box) as talk:
        session = await open_session(talk)
        await talk.turn_end(await talk.prompt(session, "[[say before]]"))
        await box.suspended()
        yield talk, session


def of_type(talk: Conversation, event_type: str, after: int = 0) -> list[Any]:
    """Events of a type after a sequence."""
    return [e for e in talk.events if e.event_type == event_type and e.sequence > after]


def check_history(
    talk: Conversation, starts: frozenset[str] = frozenset({"session/prompt"})
) -> None:
    """What holds of every journal: no gap, one start a trigger, one end a turn. `starts`: the types
    of the events that were published to start turns."""
    assert [e.sequence for e in talk.events] == list(range(1, len(talk.events) + 1))
    open_turn = ""
    triggers: set[int] = set()
    for event in talk.events:
        payload = json.loads(event.payload) if event.event_type.startswith("turn.") else {}
        if event.event_type == "turn.started":
            assert not open_turn, f"{event.sequence}: a second turn while {open_turn} is open"
            assert payload["trigger_sequence"] not in triggers, f"{event.sequence}: trigger again"
            triggers.add(payload["trigger_sequence"])
            open_turn = payload["turn_id"]
        elif event.event_type in TERMINALS and "turn_id" in payload:
            assert payload["turn_id"] == open_turn, f"{event.sequence}: end without a start"
            open_turn = ""
    prompts = {
        e.sequence for e in talk.events if e.event_type in starts and e.origin == "USER_EVENT"
    }
    assert triggers <= prompts


async def scale_operator(env: Mapping[str, str], replicas: int) -> None:
    """Change the number of operators and wait until it is so."""
    name = "deployment/ranvier-operator"
    await kubectl(env, "-n", SYSTEM, "scale", name, f"--replicas={replicas}")
    if replicas:
        await kubectl(env, "-n", SYSTEM, "rollout", "status", name, "--timeout=120s")


async def lease_holder(env: Mapping[str, str]) -> str:
    """Name of the operator pod that leads."""
    words = ("get", "lease", "ranvier-operator", "-o", "jsonpath={.spec.holderIdentity}")
    return (await kubectl(env, "-n", SYSTEM, *words)).split("_")[0]


async def kill_pods(env: Mapping[str, str], component: str) -> None:
    """kill -9 in effect: the pods of a component are gone at once, with no time to say goodbye."""
    selector = f"app.kubernetes.io/component={component}"
    words = ("delete", "pods", "-l", selector, "--force", "--grace-period=0")
    await kubectl(env, "-n", SYSTEM, *words)
