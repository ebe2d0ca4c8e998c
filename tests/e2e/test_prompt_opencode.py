"""`ranvier prompt` with the real opencode on the cluster, on a pseudo-terminal."""

import asyncio

from journeys import Box, apply, opencode
from prompt_story import talk_to_an_agent, terminal
from stage.forward import ApiForward


async def test_a_person_talks_to_opencode_on_the_cluster(
    box: Box, model_url: str, api: ApiForward, key: str
) -> None:
    await apply(box, opencode(model_url, asks=True), idle_seconds=None)

    def talk() -> None:
        with terminal(api.url, key, box.axon_id) as opened:
            talk_to_an_agent(opened)

    await asyncio.to_thread(talk)
