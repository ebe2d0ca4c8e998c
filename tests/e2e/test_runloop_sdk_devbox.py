"""Runloop's published SDK drives a devbox's whole life on the cluster; kubectl sees the same."""

import uuid
from collections.abc import AsyncIterator, Mapping

import pytest
from journeys import (
    OPENCODE_IMAGE,
    Box,
    check_history,
    conversation,
    kubectl,
    until,
)
from model.record_acp import opencode_settings
from runloop_api_client import AsyncRunloopSDK
from stage.conversation import Conversation
from stage.forward import ApiForward

NAMESPACE = "default"
"""Where the chart's defaults have the REST API make devboxes."""


@pytest.fixture
async def sdk(api: ApiForward, key: str) -> AsyncIterator[AsyncRunloopSDK]:
    async with AsyncRunloopSDK(bearer_token=key, base_url=api.url) as client:
        yield client


async def says(talk: Conversation, word: str) -> None:
    """A turn in which the agent says one word."""
    sent = await talk.publish("user.message", {"content": f"[[text {word}]]"})
    end = await talk.turn_end(sent)
    assert end.event_type == "turn.completed", end.payload


async def test_create_turn_suspend_wake_resume_shutdown(
    env: Mapping[str, str], api: ApiForward, key: str, model_url: str, sdk: AsyncRunloopSDK
) -> None:
    """W1, W3, W8; the SDK's own waits end in the states that it awaits."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    axon = await sdk.axon.create(name=name)
    blueprint = await sdk.api.blueprints.create(name=name, dockerfile=f"FROM {OPENCODE_IMAGE}")
    box = Box(env, NAMESPACE, name, axon.id)
    try:
        devbox = await sdk.devbox.create(
            name=name,
            blueprint_name=name,
            environment_variables=opencode_settings(model_url, asks=False),
            mounts=[
                {
                    "type": "broker_mount",
                    "axon_id": axon.id,
                    "protocol": "acp",
                    "agent_binary": "opencode",
                    "launch_args": ["acp"],
                }
            ],
            launch_parameters={
                "lifecycle": {
                    "after_idle": {"idle_time_seconds": 600, "on_idle": "suspend"},
                    "resume_triggers": {"axon_event": True},
                }
            },
        )
        info = await devbox.get_info()
        assert info.status == "running"
        assert info.model_extra is not None
        box.name = info.model_extra["ranvier"]["name"]
        assert (await box.get("devbox"))["spec"]["displayName"] == name
        async with conversation(api.url, key, box) as talk:
            await says(talk, "one")

            await devbox.suspend()
            assert (await devbox.await_suspended()).status == "suspended"
            assert (await box.condition("Suspended"))["reason"] == "Requested"
            assert await box.pod_uid() == ""
            assert (await box.get("pvc", f"{box.name}-home"))["status"]["phase"] == "Bound"

            await says(talk, "two")
            assert (await devbox.await_running()).status == "running"

            await devbox.suspend()
            await devbox.await_suspended()
            assert (await devbox.resume()).status in ("running", "provisioning")
            assert (await devbox.await_running()).status == "running"

            ended = await devbox.shutdown()
            assert (ended.status, ended.shutdown_reason) == ("shutdown", "api_shutdown")
            check_history(talk, starts=frozenset({"user.message"}))

        async def is_gone() -> bool:
            return not await box.pod_uid() and not await box.get("pvc", f"{box.name}-home")

        await until("pod and volume are gone", is_gone)
        assert (await box.get("devbox"))["status"]["shutdownReason"] == "Requested"
    finally:
        here = ("-n", NAMESPACE, "delete", "--wait=false", "--ignore-not-found")
        await kubectl(env, *here, f"devbox/{box.name}", f"blueprint/{name}")
    assert blueprint.status == "build_complete"
