"""What makes a devbox fail: seen through REST, and told on its axons, once."""

import json
from typing import Any

import httpx
import pytest
from api_process import OPERATOR, ApiServer
from devbox_plant import HERE, OPENCODE, Plant, until
from ranvier_operator.kinds import PODS
from runloop_api_client.types import DevboxView

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def made(plant: Plant) -> tuple[DevboxView, str]:
    axon = await plant.runloop.axon.create()
    mount = {"type": "broker_mount", "axon_id": axon.id, **OPENCODE}
    return await plant.devbox(mounts=[mount]), axon.id


async def failures(plant: Plant, axon_id: str) -> list[dict[str, Any]]:
    async with plant.server.client() as client:
        events = (await client.get(f"/v1/axons/{axon_id}/events")).json()["events"]
    return [json.loads(e["payload"]) for e in events if e["event_type"] == "devbox.failed"]


async def test_a_kill_for_memory_is_on_the_axon_and_in_the_history_of_the_devbox(
    plant: Plant,
) -> None:
    box, axon_id = await made(plant)
    moment = plant.cluster.time_text(plus=5)
    ended = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": moment}
    container = {"name": "devbox", "ready": True, "restartCount": 1, "state": {"running": {}}}
    status = {"containerStatuses": [{**container, "lastState": {"terminated": ended}}]}
    plant.cluster.report(PODS, HERE, plant.name(box), {"status": status})
    (told,) = await until(lambda: failures(plant, axon_id))
    assert (told["devbox_id"], told["reason"]) == (box.id, "out_of_memory")
    assert told["condition"] == "OutOfMemory"
    assert "Raise `resources.limits.memory`" in told["message"]
    shown = await plant.runloop.api.devboxes.retrieve(box.id)
    steps = [(step.status, step.failure_reason) for step in shown.state_transitions]
    assert ("failure", "out_of_memory") in steps
    assert shown.status == "running"
    kept = plant.resource(box)["status"]["lastFailure"]
    assert (kept["reason"], kept["time"]) == ("OutOfMemory", moment)


async def test_an_eviction_is_told_and_the_devbox_runs_again(plant: Plant) -> None:
    box, axon_id = await made(plant)
    message = "The node was low on resource: memory."
    status = {"phase": "Failed", "reason": "Evicted", "message": message, "conditions": []}
    plant.cluster.report(PODS, HERE, plant.name(box), {"status": status})
    (told,) = await until(lambda: failures(plant, axon_id))
    assert (told["reason"], told["condition"]) == ("health_check_failed", "Evicted")
    assert message.rstrip(".") in told["message"]
    await plant.reaches(box, "running")
    assert len(await failures(plant, axon_id)) == 1


async def test_a_failure_that_is_told_again_is_appended_once(shared: ApiServer) -> None:
    """The operator tells again after a crash; it can not know whether it was heard."""
    async with shared.client() as person, shared.client(OPERATOR) as operator:
        axons = [(await person.post("/v1/axons", json={})).json()["id"] for _ in range(2)]
        mounts = [
            {"index": n, "axon_id": axon_id, "protocol": "acp"} for n, axon_id in enumerate(axons)
        ]
        binding = {"namespace": "here", "name": "box", "mounts": mounts}
        await operator.put("/internal/v1/devboxes/told-uid", json=binding)
        first = {"reason": "NodeLost", "message": "gone", "time_ms": 1000}
        for failure in (first, first, {**first, "time_ms": 2000}, first):
            answer = await operator.post("/internal/v1/devboxes/told-uid/failures", json=failure)
            assert answer.json() == {}
        assert [await _count(person, axon_id) for axon_id in axons] == [2, 2]
        refused = await person.post("/internal/v1/devboxes/told-uid/failures", json=first)
        assert refused.status_code == 403


async def _count(client: httpx.AsyncClient, axon_id: str) -> int:
    return int((await client.get(f"/v1/axons/{axon_id}/events")).json()["total_count"])
