"""A devbox's life with Runloop's published Python SDK, unchanged; `runloop_journeys.py` runs it."""

from typing import Any

from runloop_api_client import (
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


def wanted(axon_id: str) -> dict[str, Any]:
    """What the create call of every journey says."""
    mount = {"type": "broker_mount", "axon_id": axon_id, "protocol": "acp"}
    return {
        "name": "Fixer",
        "metadata": {"team": axon_id},
        "blueprint_name": "axon-agents",
        "mounts": [{**mount, "agent_binary": "opencode", "launch_args": ["acp"]}],
        "launch_parameters": {
            "lifecycle": {
                "after_idle": {"idle_time_seconds": 600, "on_idle": "suspend"},
                "resume_triggers": {"axon_event": True},
            }
        },
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


if __name__ == "__main__":
    main(globals())
