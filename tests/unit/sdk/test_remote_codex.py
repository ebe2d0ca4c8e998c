"""A remote Codex, on a journal in memory: frames keep their ids, questions are answered by them."""

import asyncio
import json
from typing import Any

import pytest
from memory_journal import PlayedJournal
from ranvier.events import AxonEvent, Origin
from ranvier.remote import CodexAxonConnection, RequestFailed

THREAD = "thr_1"


class CodexOnAJournal(PlayedJournal):
    """A Codex at the other end of a journal."""

    def _answer(self, event: AxonEvent, frame: dict[str, Any]) -> None:
        method, params = frame.get("method"), frame.get("params", {})
        if method == "initialize":
            self._respond(frame, result={"userAgent": "codex"})
        elif method == "thread/start":
            self._respond(frame, result={"thread": {"id": THREAD}})
        elif method == "turn/start":
            self.turn = self.story.started(event)
            self._say("turn/started", threadId=THREAD, turn={"id": "t1"})
            if params["input"][0]["text"] == "ask":
                asked = "item/commandExecution/requestApproval"
                frame = {"id": 0, "method": asked, "params": {"threadId": THREAD, "command": "ls"}}
                self.story.agent(asked, frame)
            elif params["input"][0]["text"] != "hang":
                self._end("completed")
        elif method == "turn/interrupt":
            assert params == {"threadId": THREAD, "turnId": "t1"}
            self._respond(frame, result={})
            self._end("interrupted")
        elif "result" in frame:
            self.decision = frame["result"]["decision"]
            self._end("completed")
        elif method != "initialized":
            self._respond(frame, error={"code": -32601, "message": "unknown method"})

    def _respond(self, frame: dict[str, Any], **answer: Any) -> None:
        self.story.agent("response", {"id": frame["id"], **answer})

    def _say(self, method: str, **params: Any) -> None:
        self.story.agent(method, {"method": method, "params": params})

    def _end(self, status: str) -> None:
        self._say("turn/completed", threadId=THREAD, turn={"id": "t1", "status": status})
        kind = "turn.completed" if status == "completed" else "turn.cancelled"
        self.story.system(kind, turn_id=self.turn)


async def test_a_conversation_with_a_thread() -> None:
    async with asyncio.timeout(10), CodexAxonConnection(CodexOnAJournal()) as conn:
        await conn.initialize()
        session = await conn.new_session(cwd="/home/user")
        assert session == THREAD
        assert (await conn.prompt(session, "hello"))["status"] == "completed"
        with pytest.raises(RequestFailed, match="unknown method"):
            await conn.request("no/such")
        with pytest.raises(RequestFailed, match="no turn runs"):
            await conn.cancel(session)


@pytest.mark.parametrize(
    ("given", "decision"),
    [(True, "accept"), (False, "decline"), ("acceptForSession", "acceptForSession")],
)
async def test_an_approval_is_answered_by_its_id(given: bool | str, decision: str) -> None:
    codex, asked = CodexOnAJournal(), list[str]()

    async def decide(method: str, params: dict[str, Any]) -> bool | str:
        asked.append(f"{method} {params['command']}")
        return given

    conn = CodexAxonConnection(codex)
    conn.on_permission(decide)
    async with asyncio.timeout(10), conn:
        await conn.prompt(await conn.new_session(), "ask")
    assert asked == ["item/commandExecution/requestApproval ls"]
    assert codex.decision == decision
    answer = next(
        e for e in codex.story.events if e.event_type == "response" and e.origin is Origin.USER
    )
    assert json.loads(answer.payload)["id"] == 0


async def test_a_cancel_names_thread_and_turn() -> None:
    async with asyncio.timeout(10), CodexAxonConnection(CodexOnAJournal()) as conn:
        session, has_started = await conn.new_session(), asyncio.Event()
        conn.on_axon_event(lambda e: e.event_type == "turn/started" and has_started.set())
        running = asyncio.ensure_future(conn.prompt(session, "hang"))
        await has_started.wait()
        await conn.cancel(session)
        assert (await running)["status"] == "interrupted"


async def test_a_listener_that_fails_ends_the_connection_and_every_call_says_so() -> None:
    from ranvier.remote import NotConnected

    def fail(_: AxonEvent) -> None:
        raise ZeroDivisionError

    ended: list[bool] = []
    conn = CodexAxonConnection(CodexOnAJournal(), on_disconnect=lambda: ended.append(True))
    async with asyncio.timeout(10), conn:
        conn.on_axon_event(fail)
        with pytest.raises(NotConnected, match="closed"):
            await conn.new_session()
    assert ended == [True]
