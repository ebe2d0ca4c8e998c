"""Commit first, poke second: a server that dies in between wakes the devbox after its restart."""

import pytest
from journeys import SYSTEM, Box, asleep, check_history, kill_pods, kubectl
from stage.forward import ApiForward

pytestmark = pytest.mark.disturbs_release
WORKLOAD = "statefulset/ranvier-apiserver"
DELAY = "RANVIER_POKE_DELAY_MS"


async def set_poke_delay(box: Box, value: str) -> None:
    """Hold every poke back, so that the kill falls between commit and poke; "" takes it away."""
    setting = f"{DELAY}={value}" if value else f"{DELAY}-"
    await kubectl(box.env, "-n", SYSTEM, "set", "env", WORKLOAD, setting)
    await kubectl(box.env, "-n", SYSTEM, "rollout", "status", WORKLOAD, "--timeout=120s")


async def test_an_apiserver_killed_between_commit_and_poke_wakes_after_its_restart(
    box: Box, api: ApiForward, key: str
) -> None:
    async with asleep(api.url, key, box) as (talk, session):
        try:
            await set_poke_delay(box, "600000")
            second = await talk.prompt(session, "[[history]]")
            wake = (await box.get("devbox"))["status"].get("wake", {})
            assert wake.get("sequence") != second, "the poke went out, nothing was tested"
            await kill_pods(box.env, "apiserver")
        finally:
            await set_poke_delay(box, "")
        assert (await talk.turn_end(second)).event_type == "turn.completed"
        assert "HISTORY 2 " in talk.text_after(second)
        check_history(talk)
