"""W6 on a real cluster: a wake that a quota refuses says so, says when it is tried again, and runs
by itself once there is room."""

import json
from datetime import UTC, datetime
from typing import Any

from journeys import (
    SCRIPTED,
    Box,
    asleep,
    check_history,
    conversation,
    manifests,
    open_session,
    until,
)
from stage.forward import ApiForward

RETRY_SECONDS_MAX = 300.0
"""Between two tries, after the first: 5 s, doubled."""


async def no_room_for(box: Box, what: str) -> None:
    """A quota of none for the namespace, in force."""
    body = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {what: "0"}},
    }
    await box.kubectl("create", "-f", "-", text=json.dumps(body))

    async def counts() -> bool:
        return what in (await box.get("resourcequota", "none")).get("status", {}).get("hard", {})

    await until("the quota counts", counts)


async def refused(box: Box, what: str) -> None:
    """Wait until the devbox says that the quota refuses this, and when it is tried again."""

    async def said() -> dict[str, Any]:
        status = (await box.get("devbox")).get("status", {})
        is_said = any(c["reason"] == "QuotaExceeded" for c in status.get("conditions", ()))
        return status if is_said else {}

    status = await until("the condition QuotaExceeded", said)
    (ready,) = (c for c in status["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "QuotaExceeded")
    assert f"limited: {what}=0" in ready["message"]  # the API server's words
    assert "Raise the quota" in ready["message"]
    again = datetime.fromisoformat(status["nextCheckTime"])
    assert (again - datetime.now(UTC)).total_seconds() <= RETRY_SECONDS_MAX


async def test_a_wake_that_a_quota_refuses_says_so_and_runs_when_there_is_room(
    box: Box, api: ApiForward, key: str
) -> None:
    async with asleep(api.url, key, box) as (talk, session):
        await no_room_for(box, "pods")
        second = await talk.prompt(session, "[[history]]")
        await refused(box, "pods")
        assert not await box.pod_uid()
        await box.kubectl("delete", "resourcequota", "none")
        assert (await talk.turn_end(second)).event_type == "turn.completed"
        assert "HISTORY 2 " in talk.text_after(second)
        check_history(talk)


async def test_a_devbox_made_suspended_gets_its_volume_at_its_first_start_or_says_why_not(
    box: Box, api: ApiForward, key: str
) -> None:
    await box.apply(manifests(box, SCRIPTED, idle_seconds=None, mode="Suspended"))
    await box.suspended()
    assert not await box.get("pvc", f"{box.name}-home")
    await no_room_for(box, "persistentvolumeclaims")
    await box.kubectl(
        *("patch", "devbox", box.name, "--type=merge"),
        *("--patch", json.dumps({"spec": {"operatingMode": "Running"}})),
    )
    await refused(box, "persistentvolumeclaims")
    assert not await box.pod_uid()
    await box.kubectl("delete", "resourcequota", "none")
    async with conversation(api.url, key, box) as talk:
        prompt = await talk.prompt(await open_session(talk), "[[say Here.]]")
        assert (await talk.turn_end(prompt)).event_type == "turn.completed"
        assert (await box.get("pvc", f"{box.name}-home"))["status"]["phase"] == "Bound"
        check_history(talk)
