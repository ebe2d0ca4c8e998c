"""A remote Claude Code (seed 001): `ClaudeAxonConnection`.

Messages are Claude Code's streaming JSON, as dictionaries. A mount has one conversation, which the
broker restores by itself after a wake, so there are no sessions to open or load.
"""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ranvier.events import AxonEvent, Origin
from ranvier.remote.control import ControlConnection
from ranvier.remote.errors import RequestFailed
from ranvier.resources.mounts import AgentProtocol
from ranvier.views.answers import permission
from ranvier.views.claude_facts import CAN_USE_TOOL
from ranvier.views.payloads import object_of, text_at

QUERY: Final = "query"
REQUEST: Final = "control_request"
RESPONSE: Final = "control_response"

PermissionHandler = Callable[[dict[str, Any]], Awaitable[Any]]
"""Takes `{tool_name, input, …}`; returns True or False, or Claude Code's own answer
(`{"behavior": "allow", "updatedInput": …}`)."""


class ClaudeAxonConnection(ControlConnection):
    """A conversation with Claude Code over an axon."""

    protocol = AgentProtocol.CLAUDE_JSON
    source = "ranvier-claude-client"
    prompts = frozenset({QUERY})
    turn_answer = "result"
    questions = frozenset({REQUEST, RESPONSE})

    def _set_up(self) -> None:
        super()._set_up()
        self._permission: PermissionHandler | None = None

    def on_permission(self, handler: PermissionHandler) -> None:
        """Answer Claude Code's questions whether it may use a tool."""
        self._permission = handler

    async def initialize(self, **params: Any) -> dict[str, Any]:
        """Greet it: `systemPrompt`, `appendSystemPrompt`. Returns what it offers."""
        return await self.control("initialize", hooks=None, **params)

    async def prompt(
        self, prompt: str | list[Any], *, timeout_seconds: float | None = None
    ) -> dict[str, Any]:
        """Ask for a turn and wait for its end; returns the `result` message.

        Raises RequestFailed when the turn fails. A cancelled turn returns.
        """
        message = {"role": "user", "content": prompt}
        query = {"type": "user", "message": message, "parent_tool_use_id": None}
        outcome = await self._request(QUERY, query, timeout_seconds)
        return dict(outcome.payload or {})

    async def cancel(self) -> None:
        """Interrupt the turn; its `prompt` returns."""
        await self.control("interrupt")

    async def set_model(self, model: str) -> None:
        """Use another model from the next turn on."""
        await self.control("set_model", model=model)

    async def set_permission_mode(self, mode: str) -> None:
        """`default`, `acceptEdits`, `plan` …"""
        await self.control("set_permission_mode", mode=mode)

    async def control(self, subtype: str, **params: Any) -> dict[str, Any]:
        """Any control request; returns its response. Raises RequestFailed when it is refused."""
        request_id = f"client-{uuid.uuid4()}"  # `ranvier-…` is the broker's own
        request = {"subtype": subtype, **params}
        frame = {"type": REQUEST, "request_id": request_id, "request": request}
        response = await self._ask_by_id(REQUEST, request_id, frame)
        if response.get("subtype") == "error":
            raise RequestFailed(subtype, str(response.get("error")), "refused")
        return dict(response.get("response") or {})

    def _answer_in(self, event: AxonEvent) -> tuple[str | None, dict[str, Any]]:
        response = object_of(event.payload).get("response")
        if event.event_type != RESPONSE or not isinstance(response, dict):
            return None, {}
        return text_at(response, "request_id"), response

    def _question_key(self, event: AxonEvent) -> str | None:
        payload = object_of(event.payload)
        is_question = text_at(payload, "request", "subtype") == CAN_USE_TOOL
        return text_at(payload, "request_id") if is_question else None

    def _settled_key(self, event: AxonEvent) -> str | None:
        payload = object_of(event.payload)
        if event.origin is Origin.USER and event.event_type == RESPONSE:
            return text_at(payload, "response", "request_id")
        if event.origin is Origin.AGENT and event.event_type == "control_cancel_request":
            return text_at(payload, "request_id")
        return None

    async def _answer(self, event: AxonEvent) -> None:
        if self._permission is None:
            return
        question = object_of(event.payload)
        given = await self._permission(question["request"])
        kind, answer = permission(event.event_type, question, allow=bool(given))
        if isinstance(given, dict):
            answer["response"]["response"] = given
        if question["request_id"] in self._open_questions:
            await self._publish(kind, answer)
