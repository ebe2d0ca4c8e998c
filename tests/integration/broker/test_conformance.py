"""What holds for every protocol, with every agent: one body, many casts (DESIGN.md, T1 to T8).

Real processes all through: API server, broker, launcher, agent. How a protocol's client speaks
stands in `dialects`; nothing here knows a protocol. The tests of a cast share one devbox, as
clients of one axon do: each is a client that comes later and finds what the others left behind.
Each ends with the checker of `ranvier verify` over the whole axon; a devbox that a failed test left
in the midst of a turn is replaced.
"""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from axon_client import Event, payload
from broker_box import Box, Server
from dialects import SCRIPTED, Cast, Dialect, Memory, Words
from kind.errors import Failure
from ranvier.events import TURN_TERMINALS
from ranvier.verify import verify
from real_agents import REAL

pytestmark = pytest.mark.asyncio(loop_scope="module")

CASTS = [
    *(pytest.param(cast, id=cast.name) for cast in SCRIPTED),
    *(pytest.param(cast, id=cast.name, marks=pytest.mark.slow) for cast in REAL),
]


@pytest.fixture(scope="module", params=CASTS)
def cast(request: pytest.FixtureRequest) -> Cast:
    chosen: Cast = request.param
    return chosen


@pytest.fixture
def client(cast: Cast) -> Dialect:
    return cast.dialect


@pytest.fixture
def words(cast: Cast) -> Words:
    return cast.words


class Stage:
    """Where a cast plays: its devbox, a new one when the last was left in disorder."""

    def __init__(self, cast: Cast, server: Server, folders: pytest.TempPathFactory) -> None:
        self._cast, self._server, self._folders = cast, server, folders
        self._box: Box | None = None
        self._open = AsyncExitStack()

    async def box(self) -> Box:
        """The devbox, running."""
        if self._box is None:
            folder = self._folders.mktemp(self._cast.name)
            (folder / "home").mkdir()
            program = self._open.enter_context(self._cast.program(folder / "home"))
            box = Box(self._server, folder, seconds_max=self._cast.seconds_max)
            box.protocol, box.agent = self._cast.dialect.protocol, program.command
            if program.environment:  # all that it needs: nothing of this machine leaks in
                box.environment, box.inherited = program.environment, {}
            self._box = await self._open.enter_async_context(box)
            box.start()
        return self._box

    async def clear(self) -> None:
        """Stop the devbox, for good."""
        self._box = None
        await self._open.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    cast: Cast, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    stage = Stage(cast, server, tmp_path_factory)
    try:
        await stage.box()
    except Failure as failure:
        pytest.skip(f"{cast.name} can not be had here: {failure}")
    yield stage
    await stage.clear()


@pytest_asyncio.fixture(loop_scope="module")
async def devbox(stage: Stage) -> AsyncIterator[Box]:
    """A running devbox; in the end its journal is looked through."""
    box = await stage.box()
    yield box
    findings, told = verify(box.journal), box.told()
    # A test that failed leaves a turn open, or a devbox that sleeps.
    if findings or box.broker is None or box.broker.poll() is not None:
        await stage.clear()
    assert not findings, f"{findings}\n{told}"


def after(box: Box, sequence: int) -> list[Event]:
    return [event for event in box.events if event["sequence"] > sequence]


async def speaks(box: Box, client: Dialect, after: int) -> None:
    """Wait for the agent's first words."""
    await box.until("the agent says nothing", lambda: client.text(box, after, after + 10_000))


# The first, before any client said a word: the broker speaks the protocol by itself.
async def test_a_message_of_no_protocol_is_a_turn_with_neutral_events(
    devbox: Box, client: Dialect, words: Words
) -> None:
    prompt = f"{words.tool} {words.say.format('Done.')}"
    trigger = await devbox.publish("user.message", {"content": prompt})
    if words.tool_asks:
        await client.allow(devbox, await client.asked(devbox, trigger))
    end = await devbox.completed(trigger)
    call = payload(await devbox.seen("turn.tool_call", trigger))
    id_ = call["tool_call_id"]
    last = [
        payload(event)
        for event in after(devbox, trigger)
        if event["event_type"] == "turn.tool_call_update" and payload(event)["tool_call_id"] == id_
    ][-1]
    assert last["status"] == "completed"
    chunks = [e for e in after(devbox, trigger) if e["event_type"] == "turn.message_chunk"]
    assert "".join(payload(chunk)["content"] for chunk in chunks).strip() == "Done."
    assert call["turn_id"] == payload(end)["turn_id"]


async def test_a_prompt_is_a_turn_with_a_stop_reason_and_usage(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    trigger = await client.prompt(devbox, session, f"Hi. {words.say.format('Hello.')}")
    end = await devbox.completed(trigger)
    started = devbox.find("turn.started", trigger)
    assert started is not None
    assert payload(started)["trigger_sequence"] == trigger
    assert client.text(devbox, started["sequence"], end["sequence"]).strip() == "Hello."
    assert payload(end)["stop_reason"] == "end_turn"
    assert payload(end)["usage"]


async def test_words_arrive_while_the_agent_still_speaks(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    trigger = await client.prompt(devbox, session, f"Slowly. {words.slow.format(150, 10)}")
    await speaks(devbox, client, trigger)
    assert not any(devbox.find(kind, trigger) for kind in TURN_TERMINALS)
    end = await devbox.completed(trigger)
    told = client.text(devbox, trigger, end["sequence"])
    assert told.split() == [f"tick{number}" for number in range(10)]


async def test_a_permission_is_asked_on_the_axon_and_answered_there(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    prompt = f"Do it. {words.ask} {words.say.format('Done.')}"
    trigger = await client.prompt(devbox, session, prompt)
    question = await client.asked(devbox, trigger)
    assert question["origin"] == "AGENT_EVENT"
    assert not any(devbox.find(kind, trigger) for kind in TURN_TERMINALS)
    await client.allow(devbox, question)
    end = await devbox.completed(trigger)
    assert "Done." in client.text(devbox, question["sequence"], end["sequence"])


async def test_a_cancel_ends_the_open_turn_and_the_queue_goes_on(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    first = await client.prompt(devbox, session, f"Slowly. {words.slow.format(200, 200)}")
    second = await client.prompt(devbox, session, f"Then. {words.say.format('Second.')}")
    await speaks(devbox, client, first)
    await client.cancel(devbox, session)
    assert (await devbox.ended(first))["event_type"] == "turn.cancelled"
    end = await devbox.completed(second)
    started = devbox.find("turn.started", second)
    assert started is not None
    # Before it an agent may repeat its words that were cut short, as opencode does at times.
    assert client.text(devbox, started["sequence"], end["sequence"]).strip().endswith("Second.")


async def test_a_cancel_takes_back_the_open_permission(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    trigger = await client.prompt(devbox, session, f"Do it. {words.ask}")
    await client.asked(devbox, trigger)
    await client.cancel(devbox, session)
    assert (await devbox.ended(trigger))["event_type"] == "turn.cancelled"
    late = await client.prompt(devbox, session, f"Then. {words.say.format('Here.')}")
    await devbox.completed(late)


async def test_five_prompts_have_their_turns_in_order(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    said = [f"Number{n}." for n in range(5)]
    triggers = [
        await client.prompt(devbox, session, f"Go. {words.say.format(text)}") for text in said
    ]
    for trigger, text in zip(triggers, said, strict=True):
        end = await devbox.completed(trigger)
        started = await devbox.seen("turn.started", trigger, trigger_sequence=trigger)
        assert client.text(devbox, started["sequence"], end["sequence"]).strip() == text
    kinds = [e["event_type"] for e in after(devbox, triggers[0])]
    turns = [kind for kind in kinds if kind == "turn.started" or kind in TURN_TERMINALS]
    assert turns == ["turn.started", "turn.completed"] * 5


async def test_a_session_outlives_a_sleep(devbox: Box, client: Dialect, words: Words) -> None:
    session = await client.greet(devbox)
    before = await Memory.of(devbox, client, await client.prompt(devbox, session, words.history))
    await devbox.completed(await client.prompt(devbox, session, words.say.format("Noted.")))
    await devbox.fall_asleep()
    late = await client.prompt(devbox, session, f"What did I say first? {words.history}")
    devbox.start()
    now = await Memory.of(devbox, client, late)
    assert before.grew_to(now), f"{before} {now}"
    told = [event["payload"] for event in after(devbox, late) if event["origin"] == "AGENT_EVENT"]
    assert not any("Noted." in text for text in told), "what the broker restored is not told again"


async def test_an_agent_killed_in_its_turn_fails_it_and_goes_on_with_its_session(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    before = await Memory.of(devbox, client, await client.prompt(devbox, session, words.history))
    trigger = await client.prompt(devbox, session, f"Slowly. {words.slow.format(200, 200)}")
    await speaks(devbox, client, trigger)
    for process in devbox.agents():
        os.kill(process, signal.SIGKILL)
    end = payload(await devbox.ended(trigger))
    assert end["reason"] == "agent_exited"
    late = await client.prompt(devbox, session, f"What did I say first? {words.history}")
    now = await Memory.of(devbox, client, late)
    assert before.grew_to(now), f"{before} {now}"


async def test_a_second_client_is_greeted_in_the_midst_of_a_turn(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    first = await client.prompt(devbox, session, f"Slowly. {words.slow.format(200, 200)}")
    await speaks(devbox, client, first)
    other = await client.greet(devbox)
    second = await client.prompt(devbox, other, f"Go. {words.say.format('Hello.')}")
    assert not any(devbox.find(kind, first) for kind in TURN_TERMINALS)
    await client.cancel(devbox, session)
    await devbox.completed(second)
