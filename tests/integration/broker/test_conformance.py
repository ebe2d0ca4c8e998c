"""What holds for every protocol, with every agent: one body, many casts (DESIGN.md, T1 to T8).

Real processes all through: API server, broker, launcher, agent. How a protocol's client speaks
stands in `dialects`; nothing here knows a protocol. Each test ends with the checker of
`ranvier verify` over the whole axon.
"""

import os
import signal
from collections.abc import AsyncIterator

import broker_box
import pytest
from broker_box import Box, Event, payload
from dialects import SCRIPTED, Cast, Dialect, Words
from kind.errors import Failure
from ranvier.verify import verify
from real_agents import REAL

TERMINALS = ("turn.completed", "turn.failed", "turn.cancelled")


CASTS = [
    *(pytest.param(cast, id=cast.name) for cast in SCRIPTED),
    *(pytest.param(cast, id=cast.name, marks=pytest.mark.slow) for cast in REAL),
]


@pytest.fixture(params=CASTS)
def cast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Cast:
    chosen: Cast = request.param
    monkeypatch.setattr(broker_box, "FACT_SECONDS_MAX", chosen.seconds_max)
    return chosen


@pytest.fixture
def client(cast: Cast) -> Dialect:
    return cast.dialect


@pytest.fixture
def words(cast: Cast) -> Words:
    return cast.words


@pytest.fixture
async def devbox(cast: Cast, box: Box) -> AsyncIterator[Box]:
    """A running devbox; in the end its journal is looked through."""
    box.protocol = cast.dialect.protocol
    try:
        box.agent = cast.command()
    except Failure as failure:
        pytest.skip(f"{cast.name} can not be had here: {failure}")
    with cast.environment(box.folder / "home") as environment:
        box.environment = environment
        async with box:
            box.start()
            yield box
            findings = verify(box.journal)
            assert not findings, f"{findings}\n{box.told()}"


async def completed(box: Box, trigger: int) -> Event:
    """Wait for the turn's end and see that it was a good one."""
    end = await box.ended(trigger)
    assert end["event_type"] == "turn.completed", box.told()
    return end


async def remembers(box: Box, client: Dialect, words: Words, session: str) -> None:
    """The agent knows what was said to an earlier process of it."""
    trigger = await client.prompt(box, session, f"What was my word? {words.history}")
    end = await completed(box, trigger)
    assert "PELICAN" in client.text(box, trigger, end["sequence"])


async def speaks(box: Box, client: Dialect, after: int) -> None:
    """Wait for the agent's first words."""
    await box.until("the agent says nothing", lambda: client.text(box, after, after + 10_000))


async def test_a_prompt_is_a_turn_with_a_stop_reason_and_usage(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    trigger = await client.prompt(devbox, session, f"Hi. {words.say.format('Hello.')}")
    end = await completed(devbox, trigger)
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
    assert not any(devbox.find(kind, trigger) for kind in TERMINALS)
    end = await completed(devbox, trigger)
    told = client.text(devbox, trigger, end["sequence"])
    assert told.split() == [f"tick{number}" for number in range(10)]


async def test_a_message_of_no_protocol_is_a_turn_with_neutral_events(
    devbox: Box, client: Dialect, words: Words
) -> None:
    prompt = f"{words.tool} {words.say.format('Done.')}"
    trigger = await devbox.publish("user.message", {"content": prompt})
    if words.tool_asks:
        await client.allow(devbox, await client.asked(devbox, trigger))
    end = await completed(devbox, trigger)
    call = payload(await devbox.seen("turn.tool_call", trigger))
    id_ = call["tool_call_id"]
    last = [
        payload(event)
        for event in devbox.events
        if event["event_type"] == "turn.tool_call_update" and payload(event)["tool_call_id"] == id_
    ][-1]
    assert last["status"] == "completed"
    chunks = [e for e in devbox.events if e["event_type"] == "turn.message_chunk"]
    assert "".join(payload(chunk)["content"] for chunk in chunks).strip() == "Done."
    assert call["turn_id"] == payload(end)["turn_id"]


async def test_a_permission_is_asked_on_the_axon_and_answered_there(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    prompt = f"Do it. {words.ask} {words.say.format('Done.')}"
    trigger = await client.prompt(devbox, session, prompt)
    question = await client.asked(devbox, trigger)
    assert question["origin"] == "AGENT_EVENT"
    assert not any(devbox.find(kind, trigger) for kind in TERMINALS)
    await client.allow(devbox, question)
    end = await completed(devbox, trigger)
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
    end = await completed(devbox, second)
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
    await completed(devbox, late)


async def test_five_prompts_have_their_turns_in_order(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    said = [f"Number{n}." for n in range(5)]
    triggers = [
        await client.prompt(devbox, session, f"Go. {words.say.format(text)}") for text in said
    ]
    for trigger, text in zip(triggers, said, strict=True):
        end = await completed(devbox, trigger)
        started = await devbox.seen("turn.started", trigger, trigger_sequence=trigger)
        assert client.text(devbox, started["sequence"], end["sequence"]).strip() == text
    kinds = [e["event_type"] for e in devbox.events]
    turns = [kind for kind in kinds if kind == "turn.started" or kind in TERMINALS]
    assert turns == ["turn.started", "turn.completed"] * 5


async def test_a_session_outlives_a_sleep(devbox: Box, client: Dialect, words: Words) -> None:
    session = await client.greet(devbox)
    first = f"My word is PELICAN. {words.say.format('Noted.')}"
    await completed(devbox, await client.prompt(devbox, session, first))
    await devbox.fall_asleep()
    late = await client.prompt(devbox, session, f"What was my word? {words.history}")
    devbox.start()
    end = await completed(devbox, late)
    told = client.text(devbox, late, end["sequence"])
    assert "PELICAN" in told
    # What the broker restored by itself is not told again.
    assert client.text(devbox, 0, late).strip() == "Noted."


async def test_an_agent_killed_in_its_turn_fails_it_and_goes_on_with_its_session(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    first = f"My word is PELICAN. {words.slow.format(200, 200)}"
    trigger = await client.prompt(devbox, session, first)
    await speaks(devbox, client, trigger)
    for process in devbox.agents():
        os.kill(process, signal.SIGKILL)
    end = payload(await devbox.ended(trigger))
    assert end["reason"] == "agent_exited"
    await remembers(devbox, client, words, session)


async def test_a_second_client_is_greeted_in_the_midst_of_a_turn(
    devbox: Box, client: Dialect, words: Words
) -> None:
    session = await client.greet(devbox)
    first = await client.prompt(devbox, session, f"Slowly. {words.slow.format(200, 20)}")
    await speaks(devbox, client, first)
    other = await client.greet(devbox)
    assert not any(devbox.find(kind, first) for kind in TERMINALS)
    second = await client.prompt(devbox, other, f"Go. {words.say.format('Hello.')}")
    await completed(devbox, first)
    await completed(devbox, second)
