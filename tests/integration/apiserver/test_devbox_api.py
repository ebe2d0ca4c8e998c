"""Devboxes through the published Python SDK, and through plain HTTP where it must be exact."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from api_process import ApiServer
from devbox_plant import BOUND, BOXES_ONLY, HERE, OPENCODE, Plant, until
from kubernetes_api import SECRETS
from ranvier_apiserver.routes import devbox_wire as wire
from ranvier_operator.kinds import BLUEPRINTS, DEVBOXES, PODS
from runloop_api_client import (
    APIStatusError,
    AsyncRunloopSDK,
    BadRequestError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    UnprocessableEntityError,
)
from runloop_api_client.types import DevboxView

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _is_gone(plant: Plant, box: DevboxView) -> bool:
    try:
        await plant.runloop.api.devboxes.retrieve(box.id)
    except NotFoundError:
        return True
    return False


async def test_the_main_path_of_runloops_users(plant: Plant) -> None:
    """Axon, devbox with a broker mount, suspend, an event wakes it, resume, shutdown."""
    axon = await plant.runloop.axon.create(name="work")
    box = await plant.runloop.devbox.create(
        name="My fixer",
        blueprint_name="axon-agents",
        mounts=[{"type": "broker_mount", "axon_id": axon.id, **OPENCODE}],
        launch_parameters={
            "lifecycle": {
                "after_idle": {"idle_time_seconds": 600, "on_idle": "suspend"},
                "resume_triggers": {"axon_event": True},
            }
        },
    )
    seen = await box.get_info()
    assert (seen.status, seen.name) == ("running", "My fixer")
    mount = plant.resource(seen)["spec"]["mounts"][0]["brokerMount"]
    wanted = {
        "axonId": axon.id,
        "protocol": "acp",
        "agentBinary": "opencode",
        "launchArgs": ["acp"],
    }
    assert mount == mount | wanted

    asked = await box.suspend()
    assert asked.status in ("suspending", "suspended")
    assert (await box.await_suspended()).status == "suspended"
    assert plant.pod(seen) is None

    await axon.publish(event_type="user.message", origin="USER_EVENT", payload="{}", source="s")
    assert (await box.await_running()).status == "running"

    await box.suspend()
    await box.await_suspended()
    assert (await box.resume()).status == "running"

    ended = await box.shutdown()
    assert (ended.status, ended.shutdown_reason) == ("shutdown", "api_shutdown")
    assert ended.end_time_ms
    await until(lambda: plant.pod(seen) is None)


async def test_the_axon_tells_of_a_devbox_by_its_rest_id(plant: Plant) -> None:
    axon = await plant.runloop.axon.create()
    mount = {"type": "broker_mount", "axon_id": axon.id, **OPENCODE}
    box = await plant.devbox(mounts=[mount])
    await plant.runloop.api.devboxes.suspend(box.id)
    await plant.reaches(box, "suspended")
    await plant.runloop.api.devboxes.shutdown(box.id)
    async with plant.server.client() as client:

        async def both() -> Any:
            events = (await client.get(f"/v1/axons/{axon.id}/events")).json()["events"]
            return events if len(events) == 2 else None

        events = await until(both)
    told = [(e["event_type"], json.loads(e["payload"])["devbox_id"]) for e in events]
    assert told == [("devbox.shutdown", box.id), ("devbox.suspended", box.id)]


async def test_a_devbox_made_by_kubectl_is_managed_through_rest(plant: Plant) -> None:
    """And one made through REST is a resource like any other."""
    spec = {"image": "agents:1", "metadata": {"team": "a"}, "lifecycle": {}}
    plant.cluster.apply(DEVBOXES, "default", "by-hand", spec)
    (found,) = await until(plant.runloop.devbox.list)
    box = await plant.reaches(await found.get_info(), "running")
    assert (box.name, box.metadata) == ("by-hand", {"team": "a"})
    assert "keep_alive_time_seconds" not in box.launch_parameters.model_fields_set
    await plant.runloop.api.devboxes.suspend(box.id)
    await plant.reaches(box, "suspended")
    changed = await plant.runloop.api.devboxes.update(box.id, name="By hand", metadata={"k": "v"})
    assert (changed.name, changed.metadata) == ("By hand", {"k": "v"})
    assert plant.resource(box)["spec"]["metadata"] == {"k": "v"}
    plant.cluster.apply(DEVBOXES, "default", "by-hand", {**spec, "operatingMode": "Suspended"})

    async def is_refused() -> bool:
        try:
            await plant.runloop.api.devboxes.resume(box.id)
        except BadRequestError as error:
            return "held by its owner" in str(error)
        return False

    await until(is_refused)
    plant.cluster.erase(DEVBOXES, "default", "by-hand")
    await until(lambda: _is_gone(plant, box))


async def test_all_that_a_create_call_can_say_reaches_the_pod(plant: Plant) -> None:
    secret = await plant.runloop.api.secrets.create(name="DATABASE_PASSWORD", value="geheim")
    box = await plant.devbox(
        metadata={"ticket": "7"},
        environment_variables={"MODE": "fast $(HOME)"},
        secrets={"DB_PASS": "DATABASE_PASSWORD"},
        entrypoint="python serve.py",
        launch_parameters={
            "launch_commands": ["npm i -g opencode-ai"],
            "resource_size_request": "SMALL",
            "architecture": "arm64",
            "user_parameters": {"username": "worker", "uid": 1234},
            "keep_alive_time_seconds": 120,
        },
    )
    assert secret.id.startswith("sec_")
    assert (box.metadata, box.blueprint_id is None) == ({"ticket": "7"}, False)
    shown = box.launch_parameters.model_dump(exclude_unset=True)
    del shown["lifecycle"]
    assert shown == {
        "launch_commands": ["npm i -g opencode-ai"],
        "resource_size_request": "SMALL",
        "architecture": "arm64",
        "user_parameters": {"username": "worker", "uid": 1234},
        "keep_alive_time_seconds": 120,
    }
    pod = plant.pod(box)
    assert pod is not None
    (container,) = pod["spec"]["containers"]
    assert container["command"][3:] == ["ranvier-start", "python serve.py", "npm i -g opencode-ai"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "2Gi"}
    assert container["workingDir"] == "/home/worker"
    env = {item["name"]: item for item in container["env"]}
    assert env["MODE"]["value"] == "fast $$(HOME)"
    reference = env["DB_PASS"]["valueFrom"]["secretKeyRef"]
    held = plant.cluster.peek(SECRETS, HERE, reference["name"])
    assert held is not None
    assert held["data"][reference["key"]] == "Z2VoZWlt"
    assert pod["spec"]["securityContext"]["runAsUser"] == 1234
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/arch": "arm64"}


async def test_a_request_that_is_sent_again_makes_no_second_devbox(plant: Plant) -> None:
    """Clients send it again after a timeout; the id of the request stays (J4)."""
    body = {"name": "once", "blueprint_name": "axon-agents"}
    headers = {"x-request-id": "stainless-python-retry-1"}
    async with plant.server.client() as client:
        first, again = [
            (await client.post("/v1/devboxes", json=body, headers=headers)).json() for _ in range(2)
        ]
        assert first["id"] == again["id"]
        assert first["status"] == "provisioning"
        await plant.reaches(DevboxView.model_validate(first), "running")
        url = f"/v1/devboxes/{first['id']}/suspend"
        answers = [await client.post(url, headers=headers) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert (await client.post(url)).status_code == 400
    assert len(await plant.runloop.devbox.list()) == 1


async def test_waiting_answers_200_in_the_state_and_408_without(plant: Plant) -> None:
    plant.kubelet.refuse = True
    async with plant.server.client() as client:
        made = (await client.post("/v1/devboxes", json={"blueprint_name": "axon-agents"})).json()
        url = f"/v1/devboxes/{made['id']}/wait_for_status"
        late = await client.post(url, json={"statuses": ["running"], "timeout_seconds": 0.0998})
        assert (late.status_code, late.json()["code"]) == (408, "wait_expired")
        now = await client.post(url, json={"statuses": ["running", "provisioning"]})
        assert (now.status_code, now.json()["status"]) == (200, "provisioning")
        wrong = await client.post(url, json={"statuses": ["asleep"]})
        assert wrong.status_code == 400


async def test_waiting_and_looking_cost_kubernetes_nothing(plant: Plant) -> None:
    box = await plant.devbox()
    before = len([verb for verb, _ in plant.api.requests if verb != "WATCH"])
    for _ in range(50):
        await plant.runloop.api.devboxes.retrieve(box.id)
        await plant.runloop.devbox.list()
    assert len([verb for verb, _ in plant.api.requests if verb != "WATCH"]) == before


async def test_lists_are_filtered_and_paged_newest_first(plant: Plant) -> None:
    made = [await plant.devbox(name=f"n{number}") for number in range(3)]
    await plant.runloop.api.devboxes.suspend(made[0].id)
    await plant.reaches(made[0], "suspended")
    running = await plant.runloop.devbox.list(status="running")
    assert {box.id for box in running} == {made[1].id, made[2].id}
    pages = plant.runloop.api.devboxes.list(limit=2)
    ids = [box.id async for box in pages]
    assert (len(ids), set(ids)) == (3, {box.id for box in made})
    async with plant.server.client() as client:
        one = (await client.get("/v1/devboxes?limit=1")).json()
        assert (one["has_more"], one["total_count"]) == (True, 3)
        assert (await client.get("/v1/devboxes?status=odd")).status_code == 400


async def test_answers_are_as_the_document_says(plant: Plant) -> None:
    async with plant.server.client() as client:
        await plant.runloop.api.secrets.create(name="SHOWN", value="never")
        box = await plant.devbox()
        await plant.runloop.api.devboxes.shutdown(box.id)
        for path, model in (
            (f"/v1/devboxes/{box.id}", wire.DevboxView),
            ("/v1/devboxes", wire.DevboxListView),
            ("/v1/blueprints", wire.BlueprintListView),
            (f"/v1/blueprints/{box.blueprint_id}", wire.BlueprintView),
            (f"/v1/blueprints/{box.blueprint_id}/logs", wire.BlueprintLogsView),
            ("/v1/secrets", wire.SecretListView),
        ):
            model.model_validate((await client.get(path)).json())


async def test_keep_alive_begins_the_idle_time_anew(plant: Plant) -> None:
    idle = {"idle_time_seconds": 4, "on_idle": "shutdown"}
    box = await plant.devbox(launch_parameters={"after_idle": idle})
    for _ in range(12):
        await asyncio.sleep(0.5)
        assert await plant.runloop.api.devboxes.keep_alive(box.id) == {}
    assert await plant.status(box) == "running"
    ended = await plant.reaches(box, "shutdown")
    assert ended.shutdown_reason == "idle"


async def test_a_devbox_without_an_idle_rule_ends_after_its_keep_alive_time(plant: Plant) -> None:
    box = await plant.devbox(launch_parameters={"keep_alive_time_seconds": 3})
    await plant.runloop.api.devboxes.keep_alive(box.id)
    assert plant.resource(box)["status"]["keepAliveTime"]
    assert (await plant.reaches(box, "shutdown")).shutdown_reason == "keep_alive_timeout"


async def test_what_can_not_be_is_refused_at_once_with_a_next_step(plant: Plant) -> None:
    """Nothing permanent is answered with what the SDK repeats five times."""
    create = plant.runloop.api.devboxes.create
    axon = await plant.runloop.axon.create()
    mount = {"type": "broker_mount", "axon_id": axon.id}
    async with asyncio.timeout(BOUND):
        with pytest.raises(NotFoundError, match="There is no blueprint 'none'"):
            await create(blueprint_name="none")
        with pytest.raises(NotFoundError, match="There is no axon"):
            await create(
                blueprint_name="axon-agents", mounts=[{**mount, **OPENCODE, "axon_id": "x"}]
            )
        with pytest.raises(UnprocessableEntityError, match="acp has no default agent"):
            await create(blueprint_name="axon-agents", mounts=[mount])  # type: ignore[list-item]
        with pytest.raises(UnprocessableEntityError, match="no default image"):
            await create()
        with pytest.raises(UnprocessableEntityError, match="snapshots are not served"):
            await create(snapshot_id="snp_1")
        with pytest.raises(NotFoundError, match="There is no secret"):
            await create(blueprint_name="axon-agents", secrets={"A": "NONE"})
        with pytest.raises(BadRequestError, match="at most one"):
            await create(blueprint_name="axon-agents", blueprint_id="bpt_1")
        with pytest.raises(NotFoundError, match="There is no devbox"):
            await plant.runloop.api.devboxes.suspend("dbx_none")
        box = await plant.devbox()
        with pytest.raises(BadRequestError, match="only one that is suspend"):
            await plant.runloop.api.devboxes.resume(box.id)
        with pytest.raises(APIStatusError, match="not of this version") as caught:
            await plant.runloop.api.devboxes.create_ssh_key(box.id)
        assert caught.value.status_code == 501
        with pytest.raises(APIStatusError, match="not of this version"):
            await plant.runloop.api.devboxes.list_disk_snapshots()


async def test_a_devbox_that_can_not_start_says_why(plant: Plant) -> None:
    plant.kubelet.refuse = True
    box = await plant.runloop.api.devboxes.create(blueprint_name="axon-agents")
    await until(lambda: plant.pod(box))
    ended = {"terminated": {"reason": "Error", "exitCode": 7}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    container = {"name": "devbox", "restartCount": 4, "state": waiting, "lastState": ended}
    status = {"phase": "Running", "containerStatuses": [container]}
    plant.cluster.report(PODS, HERE, plant.name(box), {"status": status})
    failed = await plant.reaches(box, "failure")
    assert failed.failure_reason == "execution_failed"
    assert failed.state_transitions[-1].failure_reason == "execution_failed"
    assert failed.model_extra is not None
    assert failed.model_extra["ranvier"]["reason"] == "CrashLoop"
    assert "exit code 7" in failed.model_extra["ranvier"]["message"]
    ended_box = await plant.runloop.api.devboxes.shutdown(box.id)
    assert ended_box.status == "shutdown"


async def test_blueprints_are_resources_and_the_newest_of_a_name_counts(plant: Plant) -> None:
    blueprints = plant.runloop.api.blueprints
    old = await blueprints.create(name="mine", dockerfile="FROM one:1\n")
    assert (old.status, old.parameters.dockerfile) == ("build_complete", "FROM one:1")
    resource = plant.cluster.peek(BLUEPRINTS, HERE, "mine")
    assert resource is not None
    assert resource["spec"]["image"] == "one:1"
    await asyncio.sleep(1.1)  # creation times are whole seconds
    new = await blueprints.create(
        name="mine", dockerfile="FROM two:2", launch_parameters={"launch_commands": ["date"]}
    )
    assert [found.id async for found in blueprints.list(name="mine")] == [new.id, old.id]
    box = await plant.devbox(blueprint_name="mine")
    assert box.blueprint_id == new.id
    assert (await plant.devbox(blueprint_name=None, blueprint_id=old.id)).blueprint_id == old.id
    with pytest.raises(UnprocessableEntityError, match="builds no images"):
        await blueprints.create(name="built", dockerfile="FROM x\nRUN make")
    await blueprints.delete(old.id)
    with pytest.raises(NotFoundError):
        await blueprints.retrieve(old.id)


async def test_secrets_are_kept_and_never_shown(plant: Plant) -> None:
    secrets = plant.runloop.api.secrets
    made = await secrets.create(name="API_KEY", value="one")
    with pytest.raises(ConflictError, match="gives it a new value"):
        await secrets.create(name="API_KEY", value="two")
    changed = await secrets.update("API_KEY", value="two")
    assert changed.update_time_ms >= made.update_time_ms
    assert "two" not in str((await secrets.retrieve("API_KEY")).to_dict())
    assert made.id in [found.id for found in (await secrets.list()).secrets]
    await secrets.delete("API_KEY")
    with pytest.raises(NotFoundError):
        await secrets.retrieve("API_KEY")


async def test_a_key_without_the_scope_of_axons_mounts_none(plant: Plant) -> None:
    axon = await plant.runloop.axon.create()
    mount = {"type": "broker_mount", "axon_id": axon.id, **OPENCODE}
    async with AsyncRunloopSDK(bearer_token=BOXES_ONLY, base_url=plant.server.url) as narrow:
        create = narrow.api.devboxes.create
        await create(blueprint_name="axon-agents")
        with pytest.raises(PermissionDeniedError, match="axons:write"):
            await create(blueprint_name="axon-agents", mounts=[mount])  # type: ignore[list-item]


async def test_while_kubernetes_is_away_answers_are_503_and_then_right_again(plant: Plant) -> None:
    box = await plant.devbox()
    plant.api.down = True
    async with plant.server.client() as client:
        refused = await client.post("/v1/devboxes", json={"blueprint_name": "axon-agents"})
        assert (refused.status_code, refused.json()["code"]) == (503, "cluster_unavailable")
        assert refused.headers["retry-after-ms"]

        async def answers(status: int) -> bool:
            return bool((await client.get(f"/v1/devboxes/{box.id}")).status_code == status)

        await until(lambda: answers(503))
        plant.api.down = False
        await until(lambda: answers(200))


async def test_without_kubernetes_the_routes_say_so(shared: ApiServer) -> None:
    async with shared.client() as client:
        for path in ("/v1/devboxes", "/v1/blueprints", "/v1/secrets"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (501, "no_cluster")
            assert answer.headers["x-should-retry"] == "false"
            assert "without Kubernetes" in answer.json()["message"]


async def test_there_is_no_way_around_a_key(plant: Plant) -> None:
    async with httpx.AsyncClient(base_url=plant.server.url) as nobody:
        assert (await nobody.get("/v1/devboxes")).status_code == 401
        assert (await nobody.post("/v1/devboxes/dbx_1/execute")).status_code == 401
