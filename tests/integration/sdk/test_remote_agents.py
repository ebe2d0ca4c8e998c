"""Remote agents and runs over real processes: API server, broker, launcher, scripted agent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from acp import schema
from broker_box import API_KEY, Box, Server
from ranvier import AsyncRanvier
from ranvier.events import AxonEvent
from ranvier.remote import (
    PROTOCOL_VERSION,
    ACPAxonConnection,
    AxonJournal,
    NotConnected,
    RequestFailed,
    RunloopJournal,
    TimelineEvent,
)
from ranvier.runs import Runs
from ranvier.views import RUN_TERMINALS
from runloop_api_client import AsyncRunloopSDK

DOCS = Path(__file__).parents[3] / "docs"
SECONDS_MAX = 20.0


@pytest.fixture
async def box(server: Server, tmp_path: Path) -> AsyncIterator[Box]:
    async with Box(server, tmp_path) as made:
        made.start()
        yield made


@pytest.fixture
def axon(ranvier: AsyncRanvier, box: Box) -> AxonJournal:
    return AxonJournal(ranvier, box.axon_id)


async def greet(conn: ACPAxonConnection, box: Box) -> str:
    await conn.initialize(client_info={"name": "test", "version": "1"})
    return (await conn.new_session(cwd=str(box.folder / "home"))).session_id


async def test_the_conversation_of_the_announcement(axon: AxonJournal, box: Box) -> None:
    """Seed 001's first example: everything is heard before the prompt returns."""
    heard: list[TimelineEvent] = []
    disconnected: list[bool] = []
    conn = ACPAxonConnection(axon, box, on_disconnect=lambda: disconnected.append(True))
    conn.on_timeline_event(heard.append)
    await conn.connect()
    greeting = await conn.initialize(
        protocol_version=PROTOCOL_VERSION, client_info={"name": "blog-demo", "version": "0.1.0"}
    )
    assert isinstance(greeting, schema.InitializeResponse)
    session = await conn.new_session(cwd=str(box.folder / "home"), mcp_servers=[])
    blocks = [{"type": "text", "text": "[[say Hel]] [[tool ls]] [[say lo.]]"}]
    answer = await conn.prompt(session_id=session.session_id, prompt=blocks)
    assert isinstance(answer, schema.PromptResponse)
    assert answer.stop_reason == "end_turn"
    assert answer.usage is not None
    sequences = [event.axon_event.sequence for event in heard]
    assert sequences == list(range(1, len(heard) + 1))
    assert heard[-1].axon_event.event_type == "turn.completed"
    updates = [e.data["update"] for e in heard if e.axon_event.event_type == "session/update"]
    assert "".join(u["content"]["text"] for u in updates if "content" in u) == "Hello."
    assert {event.kind for event in heard} == {"acp_protocol", "system"}
    await conn.disconnect()
    await conn.disconnect()
    assert disconnected == [True]
    with pytest.raises(NotConnected, match="not open"):
        await conn.prompt(session.session_id, "more")


async def test_a_session_goes_on_from_another_connection_after_a_sequence(
    axon: AxonJournal, box: Box
) -> None:
    """Seed 001's second example."""
    async with ACPAxonConnection(axon, box) as conn:
        session = await greet(conn, box)
        await conn.prompt(session, "first")
        last = conn.last_sequence
    heard: list[AxonEvent] = []
    conn = ACPAxonConnection(axon, box, after_sequence=last)
    conn.on_axon_event(heard.append)
    async with conn:
        await conn.load_session(session, cwd=str(box.folder / "home"))
        await conn.prompt(session, "[[history]]")
    assert heard[0].sequence == last + 1
    assert any("HISTORY 2 first" in event.payload for event in heard)


async def test_permission_is_asked_of_the_handler_in_every_form_it_may_answer(
    axon: AxonJournal, box: Box
) -> None:
    async with ACPAxonConnection(axon, box) as conn:
        session = await greet(conn, box)
        said: list[str] = []
        conn.on_axon_event(lambda event: said.append(event.payload))
        for given, option in ((True, "yes"), (False, "no"), ("yes", "yes")):

            async def decide(
                request: schema.RequestPermissionRequest, given: Any = given
            ) -> bool | str:
                assert request.tool_call.title == "Run it?"
                return given

            conn.on_permission(decide)
            said.clear()
            await conn.prompt(session, "[[ask Run it?]]")
            assert any(f'\\"optionId\\": \\"{option}\\"' in text for text in said)


async def test_a_question_that_was_open_before_is_asked_after_the_replay_and_answered_ones_not(
    axon: AxonJournal, box: Box
) -> None:
    async with ACPAxonConnection(axon, box) as first:
        session = await greet(first, box)
        trigger = await box.prompt(session, "[[ask One?]] [[ask Two?]] [[say done]]")
        await box.seen("session/request_permission", trigger)
        yes = {"outcome": {"outcome": "selected", "optionId": "yes"}}
        answered = await box.publish("session/request_permission", yes)
        await box.seen("session/request_permission", answered)
    asked: list[str | None] = []

    async def decide(request: schema.RequestPermissionRequest) -> bool:
        asked.append(request.tool_call.title)
        return True

    second = ACPAxonConnection(axon, box)
    second.on_permission(decide)
    async with second:
        await box.ended(trigger)
    assert asked == ["Two?"]


async def test_a_cancelled_prompt_returns_and_the_next_one_runs(
    axon: AxonJournal, box: Box
) -> None:
    async with ACPAxonConnection(axon, box) as conn, asyncio.timeout(SECONDS_MAX):
        session = await greet(conn, box)
        running = asyncio.ensure_future(conn.prompt(session, "[[say On.]] [[hang]]"))
        await box.seen("session/update", conn.last_sequence)
        await conn.cancel(session)
        assert (await running).stop_reason == "cancelled"
        assert (await conn.prompt(session, "[[say Next.]]")).stop_reason == "end_turn"


async def test_what_the_agent_refuses_is_an_error_of_that_call_alone(
    axon: AxonJournal, box: Box
) -> None:
    async with ACPAxonConnection(axon, box) as conn:
        session = await greet(conn, box)
        running = asyncio.ensure_future(conn.prompt(session, "[[slow 50 4]]"))
        with pytest.raises(RequestFailed, match="Method not found"):
            await conn.request("session/no_such")
        assert (await running).stop_reason == "end_turn"
        with pytest.raises(RequestFailed, match="gone wrong") as failed:
            await conn.prompt(session, "[[fail gone wrong]]")
        assert failed.value.reason == "agent_error"


async def test_two_clients_each_get_their_own_answers(axon: AxonJournal, box: Box) -> None:
    async with ACPAxonConnection(axon, box) as one, ACPAxonConnection(axon, box) as two:
        first, second = await greet(one, box), await greet(two, box)
        assert first != second
        prompts = [conn.new_session(cwd=str(box.folder)) for conn in (one, two) for _ in range(5)]
        sessions = [answer.session_id for answer in await asyncio.gather(*prompts)]
        assert len(set(sessions)) == 10
        asked = [
            conn.prompt(session, f"[[say {number}]]")
            for number, (conn, session) in enumerate(((one, first), (two, second), (one, first)))
        ]
        assert [a.stop_reason for a in await asyncio.gather(*asked)] == ["end_turn"] * 3


async def test_the_timeline_can_be_iterated_while_a_prompt_is_awaited(
    axon: AxonJournal, box: Box
) -> None:
    async with ACPAxonConnection(axon, box) as conn, asyncio.timeout(SECONDS_MAX):
        session = await greet(conn, box)
        timeline = conn.receive_timeline_events()
        assert (await anext(timeline)).axon_event.sequence == 1
        await conn.prompt(session, "[[say Hi.]]")
        kinds = [(await anext(timeline)).axon_event.event_type for _ in range(5)]
        assert "session/new" in kinds
        reading = asyncio.ensure_future(collect(timeline))
        await box.until("the turn ends", lambda: box.find("turn.completed"))
        await conn.disconnect()
        rest = await reading
        assert rest


async def collect(timeline: AsyncIterator[TimelineEvent]) -> list[TimelineEvent]:
    return [event async for event in timeline]


async def test_an_axon_of_the_published_sdk_will_do(server: Server, box: Box) -> None:
    async with AsyncRunloopSDK(bearer_token=API_KEY, base_url=server.url) as runloop:
        async with ACPAxonConnection(runloop.axon.from_id(box.axon_id), box) as conn:
            session = await greet(conn, box)
            assert (await conn.prompt(session, "[[say Hi.]]")).stop_reason == "end_turn"
        later = ACPAxonConnection(
            runloop.axon.from_id(box.axon_id), box, after_sequence=conn.last_sequence
        )
        async with later:
            assert (await later.prompt(session, "[[say Hi.]]")).stop_reason == "end_turn"


async def test_a_stream_of_the_published_sdk_is_resumed_where_it_broke(
    server: Server, ranvier: AsyncRanvier, box: Box
) -> None:
    async with AsyncRunloopSDK(bearer_token=API_KEY, base_url=server.url) as runloop:
        journal = RunloopJournal(runloop.axon.from_id(box.axon_id))
        seen: list[int] = []
        async with asyncio.timeout(SECONDS_MAX), aclosing(journal.subscribe()) as events:
            for number in range(6):
                if number == 3:
                    server.kill()
                    server.start()
                await box.publish("my.item", {}, origin="AGENT_EVENT")
                while len(seen) <= number:
                    event = await anext(events)
                    seen += [event.sequence] if event.event_type == "my.item" else []
        assert len(seen) == len(set(seen)) == 6
        assert await journal.head() == len(box.events)


async def test_a_connection_survives_the_servers_restart(
    server: Server, axon: AxonJournal, box: Box
) -> None:
    async with ACPAxonConnection(axon, box) as conn:
        session = await greet(conn, box)
        running = asyncio.ensure_future(conn.prompt(session, "[[slow 100 10]]"))
        await box.seen("turn.started", conn.last_sequence)
        server.kill()
        server.start()
        assert (await asyncio.wait_for(running, SECONDS_MAX)).stop_reason == "end_turn"


async def test_a_run_from_its_prompt_to_its_end(axon: AxonJournal, box: Box) -> None:
    runs = Runs(axon)
    first = await runs.start("[[say One]] [[tool ls]] [[say Two]]")
    second = await runs.start("[[hang]]")
    types = [event.type async for event in first.events]
    assert types == [
        *("run_started", "step_started", "text_delta", "tool_batch_started", "tool_completed"),
        *("step_started", "text_delta", "run_completed"),
    ]
    assert await first.text() == "OneTwo"
    await second.cancel()
    end = await asyncio.wait_for(second.result(), SECONDS_MAX)
    assert (end.type, end.run_id, end.state) == ("run_cancelled", second.run_id, "cancelled")
    followed: list[str] = []
    async for event in runs.follow():
        followed.append(event.type)
        if followed.count("run_started") == 2 and event.type in RUN_TERMINALS:
            break
    assert [t for t in followed if t in RUN_TERMINALS] == ["run_completed", "run_cancelled"]
