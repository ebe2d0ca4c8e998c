"""Nothing is lost while the operator is away: wakes wait for it, deletion does not."""

from journeys import (
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


async def test_an_event_published_while_the_operator_is_dead_wakes_after_its_restart(
    box: Box, model_url: str, api: ApiForward, key: str
) -> None:
    async with asleep(api.url, key, box, model_url) as (talk, session):
        try:
            await scale_operator(box.env, 0)
            await kill_pods(box.env, "operator")
            second = await talk.prompt(session, "[[history]]")
            assert not await box.pod_uid()
        finally:
            await scale_operator(box.env, 1)
        assert (await talk.turn_end(second)).event_type == "turn.completed"
        assert "prompts=2" in talk.text_after(second)
        check_history(talk)


async def test_a_second_operator_takes_over_when_the_leader_dies(
    box: Box, model_url: str, api: ApiForward, key: str
) -> None:
    async with asleep(api.url, key, box, model_url) as (talk, session):
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


async def test_a_devbox_deleted_while_the_operator_is_down_is_gone_with_pod_and_volume(
    box: Box, model_url: str, api: ApiForward, key: str
) -> None:
    await apply(box, model_url, idle_seconds=None)
    async with conversation(api.url, key, box) as talk:
        await open_session(talk)
        try:
            await scale_operator(box.env, 0)
            await kill_pods(box.env, "operator")
            await box.kubectl("delete", "devbox", box.name, "--timeout=30s")

            async def all_gone() -> bool:
                kept = await box.kubectl("get", "devboxes,pods,pvc", "-o", "name")
                return not kept.strip()

            await until("devbox, pod and claim gone", all_gone)
        finally:
            await scale_operator(box.env, 1)
