"""The main job: apply → turn; idle → suspended; event → awake with its session."""

import json

from journeys import (
    HOME,
    SCRIPTED,
    Box,
    apply,
    check_history,
    conversation,
    of_type,
    open_session,
    opencode,
)
from stage.forward import ApiForward


async def test_a_devbox_runs_a_turn_sleeps_when_idle_and_wakes_with_its_session(
    box: Box, model_url: str, api: ApiForward, key: str
) -> None:
    """Seeds 001 and 002; W1, W8, T3, T4."""
    await apply(box, opencode(model_url), idle_seconds=2)
    async with conversation(api.url, key, box) as talk:
        session = await open_session(talk)
        first = await talk.prompt(
            session, f"Remember marmalade. [[write {HOME}/proof.txt :: kept]] [[text Written.]]"
        )
        assert (await talk.turn_end(first)).event_type == "turn.completed"

        condition = await box.suspended()
        assert condition["reason"] == "Idle"
        assert (await box.get("pvc", f"{box.name}-home"))["status"]["phase"] == "Bound"
        ready = await box.condition("Ready")
        assert (ready["status"], ready["reason"]) == ("False", "Suspended")
        table = await box.kubectl("get", "dbx", box.name)
        assert "Suspended" in table

        second = await talk.prompt(session, f"[[bash cat {HOME}/proof.txt]] [[history]]")
        assert (await talk.turn_end(second)).event_type == "turn.completed"
        said = talk.text_after(second)
        assert "prompts=2" in said
        assert "marmalade" in said
        updates = [e.payload for e in of_type(talk, "session/update", second)]
        assert any('"completed"' in u and "kept" in u for u in updates)
        assert not any("user_message_chunk" in u for u in updates), "the replay was swallowed"
        check_history(talk)


async def test_events_published_before_the_devbox_exists_are_not_lost(
    box: Box, api: ApiForward, key: str
) -> None:
    """A new mount starts where the axon's queue stands, here at its beginning."""
    await apply(box, SCRIPTED, idle_seconds=None)
    async with conversation(api.url, key, box) as talk:
        sent = await talk.publish("user.message", {"content": "[[say early bird]]"})
        end = await talk.turn_end(sent)
        assert end.event_type == "turn.completed"
        chunks = [json.loads(e.payload)["content"] for e in of_type(talk, "turn.message_chunk")]
        assert "".join(chunks).strip() == "early bird"
