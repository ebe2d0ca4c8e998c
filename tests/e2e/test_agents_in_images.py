"""The real agents in their images, as examples/agents/ has them: a turn, sleep, wake, memory.

The journeys of all agents run at once, in one namespace: most of each is waiting.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio
from axon_client import AxonClient
from dialects import Acp, Claude, Codex, Dialect, Memory, Pi
from journeys import Box, namespace_for_boxes
from ranvier.verify import verify
from stage.forward import ApiForward
from stage.shell import ROOT

AGENTS: Mapping[str, Dialect] = {
    "claude": Claude(),
    "claude-agent-acp": Acp(),
    "codex": Codex(),
    "pi": Pi(),
}
"""By the name of the manifest in examples/agents/; opencode has its journeys in the other files."""
SHOWN_MODEL = "scripted-model.ranvier-demo.svc"
SHOWN_IDLE = "idleTimeSeconds: 10"
IDLE_SECONDS = 2

pytestmark = pytest.mark.asyncio(loop_scope="module")


def manifest(name: str, model_url: str) -> str:
    """The example as it is shown, but for the model's namespace and the time until it sleeps."""
    text = (ROOT / "examples" / "agents" / f"{name}.yaml").read_text(encoding="utf-8")
    assert SHOWN_MODEL in text
    assert SHOWN_IDLE in text
    host = model_url.removeprefix("http://").partition(":")[0]
    return text.replace(SHOWN_MODEL, host).replace(SHOWN_IDLE, f"idleTimeSeconds: {IDLE_SECONDS}")


async def journey(box: Box, client: Dialect, axon: AxonClient) -> None:
    """What a client of the agent's own protocol sees on the axon of a devbox that was applied."""
    session = await client.greet(axon)
    first = await client.prompt(axon, session, "Remember marmalade. [[bash ls]] [[slow 100 8]]")
    await axon.until("words while the turn runs", lambda: client.text(axon, first, 10**9))
    assert not axon.find("turn.completed", first), axon.told()
    end = await axon.completed(first)
    ticks = [f"tick{number}" for number in range(8)]
    assert client.text(axon, first, end["sequence"]).split() == ticks

    await axon.seen("devbox.suspended", first)
    assert (await box.suspended())["reason"] == "Idle"

    second = await client.prompt(axon, session, "What did I ask first? [[history]]")
    memory = await Memory.of(axon, client, second)
    assert memory.prompts == 2, axon.told()
    assert "marmalade" in memory.first
    repeated = [e for e in axon.events if e["sequence"] > second and "tick7" in e["payload"]]
    assert not repeated, f"what the broker restored is not told again:\n{axon.told()}"
    assert not verify(axon.journal), axon.told()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def journeys(
    env: Mapping[str, str], model_url: str, api: ApiForward, key: str
) -> AsyncIterator[Mapping[str, "asyncio.Task[None]"]]:
    async with namespace_for_boxes(env) as namespace:

        async def travel(name: str) -> None:
            box = Box(env, namespace, name)
            await box.apply(manifest(name, model_url))
            async with AxonClient(url=api.url, api_key=key, axon_id=box.axon_id) as axon:
                await journey(box, AGENTS[name], axon)

        tasks = {name: asyncio.create_task(travel(name)) for name in AGENTS}
        yield tasks
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("name", AGENTS)
async def test_an_agent_in_its_image_runs_a_turn_sleeps_and_wakes_with_its_session(
    name: str, journeys: Mapping[str, "asyncio.Task[None]"]
) -> None:
    """Seeds 001 and 002 in the agent's own protocol; W1, W8, T3, T4."""
    await journeys[name]
