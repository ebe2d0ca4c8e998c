"""Lines and calls: sent, answered, sent again when a line breaks, given up in the end."""

import asyncio
import json
from typing import Any

import pytest
from ranvier.internal import CallAnswer
from ranvier_apiserver import frames, sidecars
from ranvier_apiserver.errors import SidecarAway, SidecarFailed, StdinFull, TooBusy
from ranvier_apiserver.sidecars import Sidecars

BOUND = 5.0


class Played:
    """A sidecar with its line open: calls are taken one by one."""

    def __init__(self, lines: Sidecars, uid: str = "box") -> None:
        self._lines = lines
        self._uid = uid
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.serving = asyncio.ensure_future(lines.serve(uid, self.frames.put))

    async def call(self) -> Any:
        async with asyncio.timeout(BOUND):
            frame = await self.frames.get()
        return json.loads(frame.removeprefix(b"data: "))

    def answer(self, number: str, **body: Any) -> None:
        self._lines.answered(self._uid, number, CallAnswer.model_validate(body))

    async def hang_up(self) -> None:
        self.serving.cancel()
        await asyncio.gather(self.serving, return_exceptions=True)


async def test_a_call_goes_out_and_its_answer_comes_back() -> None:
    lines = Sidecars()
    one, other = Played(lines, "one"), Played(lines, "other")
    asked = asyncio.ensure_future(lines.call("one", "state", {"last_n": 3}))
    call = await one.call()
    assert (call["op"], call["last_n"]) == ("state", 3)
    other.answer(call["call"], ok={"is": "another's"})
    one.answer(call["call"], ok={"is": "its own"})
    assert await asked == {"is": "its own"}
    one.answer(call["call"], ok={"is": "too late"})
    assert other.frames.empty()


async def test_a_call_waits_for_a_line_and_goes_on_the_next_when_one_breaks() -> None:
    lines = Sidecars()
    asked = asyncio.ensure_future(lines.call("box", "list", {}))
    await asyncio.sleep(0)
    first = Played(lines)
    again = await first.call()
    await first.hang_up()
    assert not lines.is_open("box")
    second = Played(lines)
    call = await second.call()
    assert call["op"] == again["op"]
    second.answer(call["call"], ok={})
    assert await asked == {}


async def test_a_newer_line_takes_the_place_of_an_older_one() -> None:
    lines = Sidecars()
    older = Played(lines)
    await asyncio.sleep(0)
    newer = Played(lines)
    async with asyncio.timeout(BOUND):
        await older.serving
    assert lines.is_open("box")
    asked = asyncio.ensure_future(lines.call("box", "list", {}))
    call = await newer.call()
    newer.answer(call["call"], ok={"executions": []})
    assert await asked == {"executions": []}


async def test_refusals_have_their_names() -> None:
    lines = Sidecars()
    played = Played(lines)
    for code, kind in {"stdin_full": StdinFull, "unheard of": SidecarFailed}.items():
        asked = asyncio.ensure_future(lines.call("box", "write", {}))
        number = (await played.call())["call"]
        played.answer(number, error={"code": code, "message": "why"})
        with pytest.raises(kind, match="why"):
            await asked
    asked = asyncio.ensure_future(lines.call("box", "write", {}))
    played.answer((await played.call())["call"])
    with pytest.raises(SidecarFailed):
        await asked


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecars, "PATIENCE_SECONDS", 0.02)
    lines = Sidecars()
    with pytest.raises(SidecarAway):
        await lines.call("box", "list", {})
    Played(lines)
    with pytest.raises(SidecarAway):
        await lines.call("box", "list", {})


async def test_a_line_that_does_not_come_back_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sidecars, "BACK_SECONDS", 0.02)
    lines = Sidecars()
    played = Played(lines)
    asked = asyncio.ensure_future(lines.call("box", "list", {}))
    await played.call()
    await played.hang_up()
    async with asyncio.timeout(BOUND):
        with pytest.raises(SidecarAway):
            await asked


async def test_more_calls_than_may_wait_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecars, "CALLS_WAITING_MAX", 1)
    lines = Sidecars()
    played = Played(lines)
    asked = asyncio.ensure_future(lines.call("box", "list", {}))
    number = (await played.call())["call"]
    with pytest.raises(TooBusy):
        await lines.call("box", "list", {})
    played.answer(number, ok={})
    assert await asked == {}


async def test_a_quiet_line_is_kept_alive_and_a_stop_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "PING_SECONDS", 0.01)
    lines = Sidecars()
    played = Played(lines)
    async with asyncio.timeout(BOUND):
        assert await played.frames.get() == frames.PING
        asked = asyncio.ensure_future(lines.call("box", "list", {}))
        await asyncio.sleep(0)
        lines.close()
        await played.serving
        with pytest.raises(SidecarAway):
            await asked
        with pytest.raises(SidecarAway):
            await lines.call("box", "list", {})
