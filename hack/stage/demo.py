"""The project's main job, shown: apply, turn, sleep, wake.

Brings a cluster up if none is there, installs the chart, applies examples/, and talks to the devbox
through the published Runloop SDK while printing the axon's timeline.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from stage.conversation import Conversation, StepTimedOut
from stage.forward import ApiForward
from stage.phases import print_phases, wake_moments
from stage.release import NAMESPACE as SYSTEM
from stage.release import ReleaseFailed, api_key, deploy
from stage.shell import ROOT, CommandFailed, cluster_environment, read, run
from stage.timeline import Timeline
from stage.watching import WakeWatch

NAMESPACE = "ranvier-demo"
NAME = "fixer"
WAIT_SECONDS_MAX = 180.0
HOME = "/home/user"
PROOF = f"{HOME}/proof.txt"


class DemoFailed(Exception):
    """The main job did not come out as promised; the message says what was seen."""


def say(words: str) -> None:
    print(f"\n▸ {words}", flush=True)


def wait_until(what: str, holds: Callable[[], bool], seconds: float = WAIT_SECONDS_MAX) -> None:
    """Look until it holds; DemoFailed when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise DemoFailed(f"{what}: not so after {seconds:.0f} s")
        time.sleep(0.2)


def kubectl(env: Mapping[str, str], *words: str) -> str:
    return read(["kubectl", "-n", NAMESPACE, *words], env)


def show(env: Mapping[str, str], *words: str) -> None:
    """Show a kubectl command and what it prints, as the reader would type it."""
    print(f"  $ kubectl -n {NAMESPACE} {' '.join(words)}")
    for line in kubectl(env, *words).splitlines():
        print(f"    {line}")


def apply_examples(env: Mapping[str, str]) -> str:
    """Apply the manifests; returns the axon's id."""
    if not _exists(env):
        read(["kubectl", "create", "namespace", NAMESPACE], env)
    print(kubectl(env, "apply", "-f", str(ROOT / "examples")), end="")
    kubectl(env, "rollout", "status", "deployment/scripted-model", "--timeout=120s")
    path = "jsonpath={.status.axonId}"
    wait_until("axon has an id", lambda: bool(kubectl(env, "get", "axon", NAME, "-o", path)))
    return kubectl(env, "get", "axon", NAME, "-o", path)


def _exists(env: Mapping[str, str]) -> bool:
    return NAMESPACE in read(["kubectl", "get", "namespaces", "-o", "name"], env)


def pod_is_gone(env: Mapping[str, str]) -> bool:
    return not kubectl(
        env, "get", "pods", "--field-selector", f"metadata.name={NAME}", "-o", "name"
    )


def is_suspended(env: Mapping[str, str]) -> bool:
    path = 'jsonpath={.status.conditions[?(@.type=="Suspended")].status}'
    return pod_is_gone(env) and kubectl(env, "get", "devbox", NAME, "-o", path) == "True"


async def first_turn(talk: Conversation) -> str:
    """initialize, session/new, a prompt whose tool call writes a file; returns the session id."""
    await talk.call("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
    session = await talk.call("session/new", {"cwd": HOME, "mcpServers": []})
    session_id = str(session["sessionId"])
    trigger = await talk.prompt(
        session_id,
        f"Remember the word marmalade. [[write {PROOF} :: written in the first turn]]"
        " [[text The file is written.]]",
    )
    end = await talk.turn_end(trigger)
    if end.event_type != "turn.completed":
        raise DemoFailed(f"the first turn ended as {end.event_type}: {end.payload}")
    return session_id


async def wake_turn(env: Mapping[str, str], talk: Conversation, session_id: str) -> None:
    """A prompt to the sleeping box; shows that file and conversation are still there."""
    watch = await asyncio.to_thread(WakeWatch(env, NAMESPACE, NAME).start)
    published_at = time.time()
    trigger = await talk.prompt(
        session_id, f"What did I ask first? [[bash cat {PROOF}]] [[history]]"
    )
    committed_at = time.time()
    end = await talk.turn_end(trigger)
    seen = watch.stop()
    if end.event_type != "turn.completed":
        raise DemoFailed(f"the turn after the wake ended as {end.event_type}: {end.payload}")
    check_memory(talk, trigger)
    seen["committed"] = committed_at
    running = await talk.expect("devbox.running", trigger, "SYSTEM_EVENT")
    seen.update(wake_moments(json.loads(running.payload)))
    started = await talk.expect("turn.started", trigger, "SYSTEM_EVENT")
    seen["turn started"] = started.timestamp_ms / 1000
    say("The wake, phase by phase")
    print_phases(published_at, seen)


def check_memory(talk: Conversation, trigger: int) -> None:
    """The model was sent both prompts, and the tool read the file of the first turn."""
    said = talk.text_after(trigger)
    if "prompts=2" not in said or "marmalade" not in said:
        raise DemoFailed(f"the agent does not have the earlier conversation; it said: {said!r}")
    tools = [e.payload for e in talk.events if e.sequence > trigger and "tool_call" in e.payload]
    if not any("written in the first turn" in payload for payload in tools):
        raise DemoFailed(f"{PROOF} was not read back in the second turn")


async def main_job(env: Mapping[str, str], url: str, key: str, axon_id: str) -> None:
    talk_timeline = Timeline(sys.stdout, time.monotonic())
    async with Conversation(url, key, axon_id, talk_timeline) as talk:
        say(f"The first turn; the timeline of axon {NAME} ({axon_id}) as it happens")
        session_id = await first_turn(talk)
        say("No more events: after 10 idle seconds the devbox is suspended")
        await asyncio.to_thread(wait_until, "devbox suspended", lambda: is_suspended(env))
        show(env, "get", "devboxes,pods,pvc")
        say("A prompt published to the sleeping devbox wakes it")
        await wake_turn(env, talk, session_id)
        show(env, "get", "devboxes,pods,pvc")


def how_to_go_on() -> None:
    print("\n▸ Go on\n" + (Path(__file__).parent / "go_on.txt").read_text(encoding="utf-8"), end="")


def main() -> int:
    parser = argparse.ArgumentParser(prog="hack/demo", description=__doc__)
    parser.add_argument(
        "--keep-devbox", action="store_true", help="do not start from a fresh devbox and axon"
    )
    keep = parser.parse_args().keep_devbox
    started = time.monotonic()
    try:
        say("A cluster")
        if run([ROOT / "hack" / "cluster", "up"]) != 0:
            return 1
        env = cluster_environment()
        say("Images and the Helm chart")
        deploy(env)
        say("kubectl apply -f examples/")
        if _exists(env) and not keep:
            kubectl(env, "delete", "-f", str(ROOT / "examples"), "--ignore-not-found", "--wait")
            wait_until("the last run's pod is gone", lambda: pod_is_gone(env))
        axon_id = apply_examples(env)
        with ApiForward(env) as forward:
            asyncio.run(main_job(env, forward.url, api_key(env), axon_id))
    except (DemoFailed, StepTimedOut, ReleaseFailed, CommandFailed) as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        print(
            'Look: eval "$(hack/cluster env)"; '
            f"kubectl -n {NAMESPACE} get dbx,pods; "
            f"kubectl -n {SYSTEM} logs deploy/ranvier-operator",
            file=sys.stderr,
        )
        return 1
    how_to_go_on()
    print(f"\nDone in {time.monotonic() - started:.0f} s.")
    return 0
