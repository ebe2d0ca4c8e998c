"""A devbox's life with Runloop's published Python SDK, unchanged; `runloop_journeys.py` runs it.

What is mounted is said by the environment, so the same journeys run where an agent is played, on
`ranvier dev` and on a cluster: `JOURNEY_DEVBOX` holds fields of the create call, `JOURNEY_MOUNT`
those of its broker mount, `JOURNEY_PROMPT` a prompt that ends in a turn.
"""

import json
import os
from typing import Any

from runloop_api_client import (
    APIStatusError,
    AsyncRunloopSDK,
    BadRequestError,
    ConflictError,
    NotFoundError,
    RunloopSDK,
    UnprocessableEntityError,
)
from runloop_journeys import main, refused

EVENT: dict[str, Any] = {
    "source": "py",
    "event_type": "user.message",
    "origin": "USER_EVENT",
    "payload": "{}",
}


AGENT = {"agent_binary": "opencode", "launch_args": ["acp"]}
LINES = 100_000
BLOB = bytes(range(251)) * (20 * 1024 * 1024 // 251)


def said(name: str, default: Any) -> Any:
    """What the environment says, as JSON."""
    return json.loads(os.environ.get(name) or json.dumps(default))


def wanted(axon_id: str) -> dict[str, Any]:
    """What the create call of every journey says."""
    mount = {"type": "broker_mount", "axon_id": axon_id, "protocol": "acp"}
    return {
        "name": "Fixer",
        "metadata": {"team": axon_id},
        "blueprint_name": "axon-agents",
        "mounts": [{**mount, **said("JOURNEY_MOUNT", AGENT)}],
        "launch_parameters": {
            "lifecycle": {
                "after_idle": {"idle_time_seconds": 600, "on_idle": "suspend"},
                "resume_triggers": {"axon_event": True},
            }
        },
        **said("JOURNEY_DEVBOX", {}),
    }


def every_call(sdk: RunloopSDK) -> None:
    _life(sdk)
    _supplies(sdk)
    _refusals(sdk)


def _life(sdk: RunloopSDK) -> None:
    axon = sdk.axon.create()
    box = sdk.devbox.create(**wanted(axon.id))
    info = box.get_info()
    assert (info.status, info.name, info.metadata) == ("running", "Fixer", {"team": axon.id})
    assert info.launch_parameters.lifecycle is not None
    assert box.id in [one.id for one in sdk.devbox.list(status="running")]
    assert sdk.api.devboxes.update(box.id, metadata={}).metadata == {}

    assert box.suspend().status in ("suspending", "suspended")
    assert box.await_suspended().status == "suspended"
    refused(box.suspend, BadRequestError, "suspended")
    axon.publish(**EVENT)
    assert box.await_running().status == "running"
    box.suspend()
    box.await_suspended()
    assert box.resume().status == "running"
    assert box.keep_alive() is not None
    refused(box.resume, BadRequestError, "resumed")

    ended = box.shutdown()
    assert (ended.status, ended.shutdown_reason) == ("shutdown", "api_shutdown")
    assert box.shutdown().status == "shutdown"
    assert box.get_info().end_time_ms


async def async_life(sdk: AsyncRunloopSDK) -> None:
    axon = await sdk.axon.create()
    box = await sdk.devbox.create(**wanted(axon.id))
    assert (await box.get_info()).status == "running"
    await box.suspend()
    assert (await box.await_suspended()).status == "suspended"
    await axon.publish(**EVENT)
    assert (await box.await_running()).status == "running"
    await box.suspend()
    await box.await_suspended()
    assert (await box.resume()).status == "running"
    assert await box.keep_alive() is not None
    assert (await box.shutdown()).status == "shutdown"


def _supplies(sdk: RunloopSDK) -> None:
    """Blueprints and secrets, and the devbox that is made with them."""
    blueprint = sdk.api.blueprints.create(name="supplied", dockerfile="FROM image:1")
    assert blueprint.status == "build_complete"
    assert sdk.api.blueprints.retrieve(blueprint.id).name == "supplied"
    assert blueprint.id in [one.id for one in sdk.api.blueprints.list(name="supplied")]
    secret = sdk.api.secrets.create(name="SUPPLIED", value="geheim")
    assert secret.id.startswith("sec_")
    refused(lambda: sdk.api.secrets.create(name="SUPPLIED", value="x"), ConflictError, "exists")
    assert sdk.api.secrets.update("SUPPLIED", value="anders").id == secret.id
    box = sdk.devbox.create_from_blueprint_id(blueprint.id, secrets={"TOKEN": "SUPPLIED"})
    assert box.get_info().blueprint_id == blueprint.id
    box.shutdown()
    sdk.api.secrets.delete("SUPPLIED")
    sdk.api.blueprints.delete(blueprint.id)
    refused(lambda: sdk.api.blueprints.retrieve(blueprint.id), NotFoundError, "no blueprint")


def _refusals(sdk: RunloopSDK) -> None:
    """What is refused for good is refused at once, not after five attempts."""
    create = sdk.api.devboxes.create
    refused(lambda: create(blueprint_name="none"), NotFoundError, "There is no blueprint")
    refused(lambda: create(snapshot_id="snp_1"), UnprocessableEntityError, "snapshots are not")
    retrieve = sdk.api.devboxes.retrieve
    refused(lambda: retrieve("dbx_none"), NotFoundError, "There is no devbox")


# --- all of it, with commands and files that are really run and written


def whole_life(sdk: RunloopSDK) -> None:
    """From create to shutdown; every promise that a user of the SDK would notice."""
    axon = sdk.axon.create()
    box = sdk.devbox.create(**wanted(axon.id))
    assert box.get_info().status == "running"
    _commands(box)
    _files(box)
    _sleeps(axon, box)
    _refused_for_good(sdk, box)
    assert box.shutdown().status == "shutdown"


def _commands(box: Any) -> None:
    heard: list[str] = []
    result = box.cmd.exec(f"seq 1 {LINES}", stdout=heard.append)
    assert "".join(heard) == result.stdout() == "".join(f"{i}\n" for i in range(1, LINES + 1))
    assert result.exit_code == 0
    assert box.cmd.exec("echo one >>count; exit 3").exit_code == 3


def _files(box: Any) -> None:
    box.file.write(file_path="notes/text", contents="für später\n")
    assert box.file.read(file_path="notes/text") == "für später\n"
    box.file.upload(path="blob", file=BLOB)
    assert box.file.download(path="blob") == BLOB


def _sleeps(axon: Any, box: Any) -> None:
    """An event wakes it, then a call; what it wrote is there, each command ran once."""
    box.suspend()
    assert box.await_suspended().status == "suspended"
    refused(lambda: box.cmd.exec("true"), BadRequestError, "resume it")
    prompt = said("JOURNEY_PROMPT", "Hello.")
    sent = axon.publish(**{**EVENT, "payload": json.dumps({"content": prompt})})
    assert box.await_running().status == "running"
    for event in axon.subscribe_sse(extra_query={"after_sequence": sent.sequence}):
        assert event.event_type != "turn.failed", event.payload
        if event.event_type == "turn.completed":
            break
    assert box.file.read(file_path="count") == "one\n"
    box.suspend()
    box.await_suspended()
    assert box.resume().status == "running"
    assert box.file.download(path="blob") == BLOB


def _refused_for_good(sdk: RunloopSDK, box: Any) -> None:
    refused(box.resume, BadRequestError, "resumed")
    refused(lambda: sdk.api.devboxes.retrieve("dbx_none"), NotFoundError, "There is no devbox")
    refused(lambda: box.file.read(file_path="nowhere"), NotFoundError, "there is no file")
    create = sdk.api.devboxes.create
    refused(lambda: create(snapshot_id="snp_1"), UnprocessableEntityError, "snapshots are not")
    name = f"TAKEN_{box.id}"
    sdk.api.secrets.create(name=name, value="x")
    refused(lambda: sdk.api.secrets.create(name=name, value="y"), ConflictError, "exists")
    sdk.api.secrets.delete(name)
    once, path = sdk.api.with_options(max_retries=0), f"/v1/devboxes/{box.id}/wait_for_status"
    not_yet = {"statuses": ["suspended"], "timeout_seconds": 0.2}
    refused(lambda: once.post(path, body=not_yet, cast_to=object), APIStatusError, "408")


if __name__ == "__main__":
    main(globals())
