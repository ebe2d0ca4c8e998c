"""A pod that dies in mid-turn costs that turn and no more (T4, T7)."""

import json

from journeys import Box, apply, check_history, conversation, of_type, open_session, opencode, until
from stage.forward import ApiForward


async def test_a_pod_deleted_in_mid_turn_fails_the_turn_once_and_the_next_prompt_works(
    box: Box, model_url: str, api: ApiForward, key: str
) -> None:
    await apply(box, opencode(model_url), idle_seconds=None)
    async with conversation(api.url, key, box) as talk:
        session = await open_session(talk)
        await talk.turn_end(await talk.prompt(session, "[[text warm]]"))
        broken = await talk.prompt(session, "[[slow 500 240]]")

        async def speaking() -> bool:
            return "tick" in talk.text_after(broken)

        await until("the agent speaks", speaking)
        await box.kubectl("delete", "pod", box.name, "--force", "--grace-period=0")
        next_one = await talk.prompt(session, "[[history]]")
        assert (await talk.turn_end(broken)).event_type == "turn.failed"
        assert (await talk.turn_end(next_one)).event_type == "turn.completed"
        assert "prompts=3" in talk.text_after(next_one)
        failed = [json.loads(e.payload) for e in of_type(talk, "turn.failed")]
        assert len(failed) == 1
        check_history(talk)
