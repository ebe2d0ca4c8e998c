"""A remote Pi: `PiAxonConnection`.

Messages are the records of Pi's RPC mode, as dictionaries. A mount has one conversation, which the
broker takes up again by itself after a wake; `request("new_session")` begins another.
"""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ranvier.events import AxonEvent, Origin
from ranvier.remote.control import ControlConnection
from ranvier.remote.errors import RequestFailed
from ranvier.resources.mounts import AgentProtocol
from ranvier.views.answers import human_input, permission
from ranvier.views.payloads import at, object_of, text_at
from ranvier.views.pi_facts import ANSWERED, ASKED, INPUT_METHODS, PERMISSION

TURN: Final = "turn/start"
CANCEL: Final = "cancel"
STATE: Final = "initialize"
"""The published client's event types for the commands `prompt`, `abort` and `get_state`."""

PermissionHandler = Callable[[dict[str, Any]], Awaitable[bool]]
"""Takes the dialog (`{title, message, …}`); returns whether it is confirmed."""

InputHandler = Callable[[dict[str, Any]], Awaitable[str | None]]
"""Takes the dialog (`{method, title, options, …}`); returns the value, or None to dismiss it."""


class PiAxonConnection(ControlConnection):
    """A conversation with Pi over an axon."""

    protocol = AgentProtocol.PI_JSON
    source = "ranvier-pi-client"
    prompts = frozenset({TURN})
    turn_answer = "message_end"
    questions = frozenset({ASKED, ANSWERED})

    def _set_up(self) -> None:
        super()._set_up()
        self._permission: PermissionHandler | None = None
        self._input: InputHandler | None = None

    def on_permission(self, handler: PermissionHandler) -> None:
        """Answer the dialogs by which an extension asks for a yes or a no."""
        self._permission = handler

    def on_input(self, handler: InputHandler) -> None:
        """Answer the dialogs by which an extension asks for a choice or a text."""
        self._input = handler

    async def initialize(self) -> dict[str, Any]:
        """Ask where it stands: its model, its session, how many messages that has."""
        return await self._command(STATE, "get_state")

    async def prompt(
        self, prompt: str, *, timeout_seconds: float | None = None, **members: Any
    ) -> dict[str, Any]:
        """Ask for a turn and wait for its end; returns the last message of Pi's answer, nothing
        where an extension saw to it alone. `members` of the record: `images` …

        Raises RequestFailed when the turn fails. A cancelled turn returns.
        """
        record = {"id": _new_id(), "type": "prompt", "message": prompt, **members}
        outcome = await self._request(TURN, record, timeout_seconds)
        return dict(at(outcome.payload, "message") or {})

    async def cancel(self) -> None:
        """Abort the turn; its `prompt` returns."""
        await self._command(CANCEL, "abort")

    async def request(self, command: str, **members: Any) -> dict[str, Any]:
        """Any other command (`new_session`, `set_model`, `steer` …); returns its data. Raises
        RequestFailed when it is refused."""
        return await self._command(command, command, **members)

    async def _command(self, event_type: str, command: str, **members: Any) -> dict[str, Any]:
        request_id = _new_id()
        record = {"id": request_id, "type": command, **members}
        response = await self._ask_by_id(event_type, request_id, record)
        if response.get("success") is not True:
            why = text_at(response, "error") or f"{command} failed"
            raise RequestFailed(command, why, "refused")
        return dict(response.get("data") or {})

    def _answer_in(self, event: AxonEvent) -> tuple[str | None, dict[str, Any]]:
        record = object_of(event.payload)
        return (text_at(record, "id") if event.event_type == "response" else None), record

    def _question_key(self, event: AxonEvent) -> str | None:
        record = object_of(event.payload)
        is_dialog = record.get("method") in INPUT_METHODS | {PERMISSION}
        return text_at(record, "id") if event.event_type == ASKED and is_dialog else None

    def _settled_key(self, event: AxonEvent) -> str | None:
        is_answer = event.origin is Origin.USER and event.event_type == ANSWERED
        return text_at(object_of(event.payload), "id") if is_answer else None

    async def _answer(self, event: AxonEvent) -> None:
        dialog = object_of(event.payload)
        if dialog.get("method") == PERMISSION:
            if self._permission is None:
                return
            allow = await self._permission(dialog)
            kind, answer = permission(event.event_type, dialog, allow=allow)
        else:
            if self._input is None:
                return
            kind, answer = human_input(event.event_type, dialog, await self._input(dialog))
        if dialog["id"] in self._open_questions:
            await self._publish(kind, answer)


def _new_id() -> str:
    return f"client-{uuid.uuid4()}"  # `broker-…` is the broker's own
