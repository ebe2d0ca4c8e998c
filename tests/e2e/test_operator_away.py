"""Nothing is lost while the operator is away: wakes wait for it, deletion does not."""

from dataclasses import replace

import pytest
from journeys import (
    SCRIPTED,
    SYSTEM,
    Box,
    apply,
    asleep,
    check_history,
    conversation,
    kill_pods,
    kubectl,
    lease_holder,
    open_session,
    scale_operator,
    until,
)
from stage.forward import ApiForward

pytestmark = pytest.mark.disturbs_release


async def test_while_the_operator_is_dead_an_event_waits_to_wake_and_a_deleted_devbox_goes(
    box: Box, api: ApiForward, key: str
) -> None:
    """The devbox that is deleted goes with pod and volume, before there is an operator again."""
    doomed = replace(box, name="doomed")
    await apply(doomed, SCRIPTED, idle_seconds=None)
    async with (
        conversation(api.url, key, doomed) as last_words,
        asleep(api.url, key, box) as (talk, session),
    ):
        await open_session(last_words)
        try:
            await scale_operator(box.env, 0)
            await kill_pods(box.env, "operator")
            second = await talk.prompt(session, "[[history]]")
            await doomed.kubectl("delete", "devbox", doomed.name, "--timeout=30s")

            async def is_gone() -> bool:
                kept = await box.kubectl("get", "devboxes,pods,pvc", "-o", "name")
                return doomed.name not in kept

            await until("devbox, pod and claim gone", is_gone)
            assert not await box.pod_uid()
        finally:
            await scale_operator(box.env, 1)
        assert (await talk.turn_end(second)).event_type == "turn.completed"
        assert "HISTORY 2 " in talk.text_after(second)
        check_history(talk)


async def test_a_second_operator_takes_over_when_the_leader_dies(
    box: Box, api: ApiForward, key: str
) -> None:
    async with asleep(api.url, key, box) as (talk, session):
        try:
            await scale_operator(box.env, 2)
            leader = await lease_holder(box.env)
            words = ("delete", "pod", leader, "--force", "--grace-period=0")
            await kubectl(box.env, "-n", SYSTEM, *words)
            second = await talk.prompt(session, "[[history]]")
            assert (await talk.turn_end(second)).event_type == "turn.completed"
            assert await lease_holder(box.env) != leader
        finally:
            await scale_operator(box.env, 1)
        check_history(talk)
