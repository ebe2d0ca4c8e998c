"""A remote Pi, on a journal in memory: commands and dialogs are answered by their ids."""

import asyncio
from typing import Any

import pytest
from memory_journal import PlayedJournal
from ranvier.events import AxonEvent, Origin
from ranvier.remote import PiAxonConnection, RequestFailed

REFUSED = {"success": False, "error": "Unknown command: fly"}


class PiOnAJournal(PlayedJournal):
    """A Pi at the other end of a journal, which does what a prompt says."""

    def _answer(self, event: AxonEvent, record: dict[str, Any]) -> None:
        match record["type"]:
            case "get_state":
                self._respond(record, data={"messageCount": 2})
            case "prompt":
                self.turn = self.story.started(event)
                self._respond(record, data={"disposition": "started"})
                self._run(record["message"])
            case "abort":
                self._respond(record)
                self._end("cancelled", "aborted")
            case "extension_ui_response":
                self.answer = record
                self._end("completed", "stop")
            case "fly":
                self._respond(record, **REFUSED)

    def _run(self, message: str) -> None:
        match message:
            case "wait":
                return
            case "select":
                self._ask("select", options=["red", "blue"])
            case "confirm":
                self._ask("confirm", message="rm -r .")
            case "notify":
                self._ask("notify", message="just so that you know")
                self._end("completed", "stop")
            case "fail":
                self._end("failed", "error", error="the model refused")
            case _:
                self._end("completed", "stop")

    def _ask(self, method: str, **about: Any) -> None:
        self._says("extension_ui_request", id="d1", method=method, title="Well?", **about)

    def _end(self, how: str, stop_reason: str, **about: Any) -> None:
        self._says("message_end", message={"role": "assistant", "stopReason": stop_reason})
        self.story.system(f"turn.{how}", turn_id=self.turn, **about)

    def _respond(self, record: dict[str, Any], **answer: Any) -> None:
        about = {"id": record["id"], "command": record["type"], "success": True}
        self._says("response", **(about | answer))

    def _says(self, kind: str, **members: Any) -> None:
        self.story.agent(kind, {"type": kind, **members})


async def test_a_conversation_has_a_state_and_turns() -> None:
    pi = PiOnAJournal()
    async with asyncio.timeout(10), PiAxonConnection(pi) as conn:
        assert await conn.initialize() == {"messageCount": 2}
        assert (await conn.prompt("hello"))["stopReason"] == "stop"
        with pytest.raises(RequestFailed, match="the model refused"):
            await conn.prompt("fail")
    asked = [event.event_type for event in pi.story.events if event.origin is Origin.USER]
    assert asked == ["initialize", "turn/start", "turn/start"]


async def test_any_other_command_is_asked_under_its_name_and_may_be_refused() -> None:
    pi = PiOnAJournal()
    async with asyncio.timeout(10), PiAxonConnection(pi) as conn:
        with pytest.raises(RequestFailed, match="fly"):
            await conn.request("fly", to="the moon")
    assert pi.story.events[0].event_type == "fly"


async def test_a_cancel_ends_the_prompt() -> None:
    async with asyncio.timeout(10), PiAxonConnection(PiOnAJournal()) as conn:
        has_started = asyncio.Event()
        conn.on_axon_event(lambda e: e.event_type == "response" and has_started.set())
        running = asyncio.ensure_future(conn.prompt("wait"))
        await has_started.wait()
        await conn.cancel()
        assert (await running)["stopReason"] == "aborted"


@pytest.mark.parametrize("allow", [True, False])
async def test_a_dialog_for_a_yes_goes_to_the_handler_of_permissions(allow: bool) -> None:
    pi, asked = PiOnAJournal(), list[str]()

    async def decide(dialog: dict[str, Any]) -> bool:
        asked.append(dialog["message"])
        return allow

    conn = PiAxonConnection(pi)
    conn.on_permission(decide)
    async with asyncio.timeout(10), conn:
        await conn.prompt("confirm")
    assert asked == ["rm -r ."]
    assert (pi.answer["id"], pi.answer["confirmed"]) == ("d1", allow)


@pytest.mark.parametrize(
    ("given", "told"), [("blue", {"value": "blue"}), (None, {"cancelled": True})]
)
async def test_a_dialog_for_a_value_goes_to_the_handler_of_inputs(
    given: str | None, told: dict[str, Any]
) -> None:
    async def choose(dialog: dict[str, Any]) -> str | None:
        assert dialog["options"] == ["red", "blue"]
        return given

    pi = PiOnAJournal()
    conn = PiAxonConnection(pi)
    conn.on_input(choose)
    async with asyncio.timeout(10), conn:
        await conn.prompt("select")
    assert pi.answer == {"type": "extension_ui_response", "id": "d1", **told}


async def test_what_an_extension_only_shows_is_no_question() -> None:
    async def never(_: dict[str, Any]) -> Any:
        raise AssertionError("asked")

    pi = PiOnAJournal()
    conn = PiAxonConnection(pi)
    conn.on_permission(never)
    conn.on_input(never)
    async with asyncio.timeout(10), conn:
        await conn.prompt("notify")
    assert not hasattr(pi, "answer")
