"""How long a wake takes, by phase, and what of it is ours.

In one run and on one node: a bare pod of the same shape (same images, volumes and sidecar), the
agent's own start in a running pod, and N wakes of a suspended devbox. Prints medians and ratios.
"""

import argparse
import asyncio
import io
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from stage.conversation import Conversation
from stage.forward import ApiForward
from stage.phases import ORDER, wake_moments
from stage.release import api_key
from stage.shell import ROOT, cluster_environment, read
from stage.timeline import Timeline
from stage.watching import WakeWatch

sys.path.insert(0, str(ROOT / "tests" / "support"))

from journeys import Box, apply, kubectl, open_session, opencode

NAMESPACE = "bench-wake"
IDLE_SECONDS = 1


def bare_pod(devbox_pod: Mapping[str, Any]) -> dict[str, Any]:
    """The devbox's own pod without Ranvier in it: same images, volumes and security, but sidecar
    and container only sleep, and it is ready when both have started."""
    spec = json.loads(json.dumps(devbox_pod["spec"]))
    for key in ("nodeName", "serviceAccountName", "serviceAccount", "priority", "preemptionPolicy"):
        spec.pop(key, None)
    sleep = ["/bin/sh", "-c", "exec sleep 3600"]
    for container in (*spec["initContainers"], *spec["containers"]):
        container["command"] = sleep
        container.pop("args", None)
        container.pop("readinessProbe", None)
    spec["terminationGracePeriodSeconds"] = 0
    meta = {"name": "bare", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


async def time_bare_pod(env: Mapping[str, str], watch: WakeWatch, manifest: str) -> float:
    """Seconds from apply to Ready as a watcher sees it."""
    watch.begin()
    began = time.time()
    await kubectl(env, "apply", "-f", "-", text=manifest)
    await asyncio.to_thread(watch.wait_for, "pod ready")
    await kubectl(env, "-n", NAMESPACE, "delete", "pod", "bare", "--now")
    return watch.seen["pod ready"] - began


AGENT_START = r"""
set -e
folder=$(mktemp -d); mkfifo "$folder/in" "$folder/out"
began=$(date +%s%N)
opencode acp < "$folder/in" > "$folder/out" 2>/dev/null & agent=$!
exec 3> "$folder/in" 4< "$folder/out"
got() { while read -r line <&4; do case $line in *"\"id\":$1"[,}]*) return;; esac; done; exit 1; }
hello='"method":"initialize","params":{"protocolVersion":1,"clientCapabilities":{}}'
echo "{\"jsonrpc\":\"2.0\",\"id\":1,$hello}" >&3; got 1
open='"method":"session/new","params":{"cwd":"/home/user","mcpServers":[]}'
echo "{\"jsonrpc\":\"2.0\",\"id\":2,$open}" >&3; got 2
echo $(( ($(date +%s%N) - began) / 1000 ))
kill -9 $agent; rm -r "$folder"
"""
"""Microseconds from spawn to the answer of session/new, by the shell alone."""


async def time_agent_start(box: Box) -> float:
    """Seconds from spawn to an open session, in the running devbox, without Ranvier."""
    argv = ["exec", "-i", box.name, "-c", "devbox", "--", "bash", "-s"]
    return float((await box.kubectl(*argv, text=AGENT_START)).strip()) / 1e6


async def one_wake(talk: Conversation, watch: WakeWatch, session: str) -> dict[str, float]:
    """Publish to the sleeping devbox; milliseconds of each phase after the publish began."""
    await talk.axon.get_info()  # so that the publish finds an open connection
    watch.begin()
    began = time.time()
    trigger = await talk.prompt(session, "[[text awake]]")
    seen = {"committed": time.time()}
    await talk.turn_end(trigger)
    seen |= watch.seen
    running = await talk.expect("devbox.running", trigger, "SYSTEM_EVENT")
    seen |= wake_moments(json.loads(running.payload))
    started = await talk.expect("turn.started", trigger, "SYSTEM_EVENT")
    seen["turn started"] = started.timestamp_ms / 1000
    return {name: (at - began) * 1000 for name, at in seen.items()}


async def measure(env: Mapping[str, str], url: str, key: str, rounds: int) -> dict[str, Any]:
    """All measurements, in one run."""
    box = Box(env, NAMESPACE)
    model = f"http://scripted-model.{NAMESPACE}.svc:8080/v1"
    here = ["-n", NAMESPACE]
    await kubectl(env, *here, "apply", "-f", str(ROOT / "examples" / "scripted-model.yaml"))
    await kubectl(env, *here, "rollout", "status", "deployment/scripted-model")
    await apply(box, opencode(model), idle_seconds=None)
    nowhere = Timeline(io.StringIO(), time.monotonic())  # the timeline is not wanted here
    async with Conversation(url, key, box.axon_id, nowhere) as talk:
        session = await open_session(talk)
        await talk.turn_end(await talk.prompt(session, "[[text warm]]"))
        manifest = json.dumps(bare_pod(await box.get("pod")))
        agent = [await time_agent_start(box) for _ in range(min(rounds, 5))]
        idle = {"spec": {"lifecycle": {"afterIdle": {"idleTimeSeconds": IDLE_SECONDS}}}}
        await box.kubectl("patch", "devbox", box.name, "--type=merge", "-p", json.dumps(idle))
        await box.suspended()
        bare_watch = await asyncio.to_thread(WakeWatch(env, NAMESPACE, "bare").start)
        box_watch = await asyncio.to_thread(WakeWatch(env, NAMESPACE, box.name).start)
        bare, wakes = [], []
        for count in range(rounds):
            bare.append(await time_bare_pod(env, bare_watch, manifest))
            wakes.append(await one_wake(talk, box_watch, session))
            await box.suspended()
            print(f"· round {count + 1} of {rounds}", file=sys.stderr, flush=True)
        bare_watch.stop()
        box_watch.stop()
    return {"bare": bare, "agent": agent, "wakes": wakes}


def report(figures: dict[str, Any]) -> None:
    """Medians, and the two ratios that the wake is held to."""
    wakes: list[dict[str, float]] = figures["wakes"]
    print(f"\n{'phase, ms after publish':<28}{'median':>8}{'min':>8}{'max':>8}")
    for name in ORDER:
        values = [w[name] for w in wakes if name in w]
        if values:
            middle = statistics.median(values)
            print(f"{name:<28}{middle:>8.0f}{min(values):>8.0f}{max(values):>8.0f}")
    bare = statistics.median(figures["bare"]) * 1000
    agent = statistics.median(figures["agent"]) * 1000
    started = statistics.median(w["turn started"] for w in wakes)
    created = statistics.median(w["pod created"] for w in wakes)
    limit = 1.5 * bare + agent
    print(f"\nbare pod of the same shape, apply → Ready    {bare:8.0f} ms (median)")
    print(f"agent's own start, spawn → session           {agent:8.0f} ms (median)")
    print(f"publish → pod object created                 {created:8.0f} ms (limit 50)")
    print(f"publish → turn.started                       {started:8.0f} ms")
    print(f"limit: 1.5 × bare pod + agent start          {limit:8.0f} ms")
    print(f"ratio to the limit                           {started / limit:8.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="hack/bench/wake", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11, help="wakes to measure (default 11)")
    rounds = parser.parse_args().rounds
    env = cluster_environment()
    namespaces = read(["kubectl", "get", "namespaces", "-o", "name"], env)
    if f"namespace/{NAMESPACE}\n" not in namespaces:
        read(["kubectl", "create", "namespace", NAMESPACE], env)
    try:
        with ApiForward(env) as forward:
            report(asyncio.run(measure(env, forward.url, api_key(env), rounds)))
    finally:
        argv = ["kubectl", "delete", "namespace", NAMESPACE, "--wait=true"]
        subprocess.run(argv, env=env, capture_output=True, check=False)
    return 0
