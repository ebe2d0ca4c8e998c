"""A remote Codex (seed 001): `CodexAxonConnection`. Messages are its app server's frames."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ranvier.events import AxonEvent, Origin
from ranvier.remote.control import ControlConnection
from ranvier.remote.errors import RequestFailed
from ranvier.resources.mounts import AgentProtocol
from ranvier.views.answers import permission
from ranvier.views.codex_facts import is_approval
from ranvier.views.payloads import at, object_of, text_at, word

TURN: Final = "turn/start"

PermissionHandler = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Takes method and params; returns True or False, or a decision's name (`acceptForSession`)."""


class CodexAxonConnection(ControlConnection):
    """A conversation with Codex over an axon. Sessions are Codex' threads."""

    protocol = AgentProtocol.CODEX_APP_SERVER
    source = "ranvier-codex-client"
    prompts = frozenset({TURN, "review/start", "thread/compact/start"})
    turn_answer = "turn/completed"
    questions = frozenset({"response"})

    def _set_up(self) -> None:
        super()._set_up()
        self._permission: PermissionHandler | None = None
        self._turn: dict[str, str] = {}

    def on_permission(self, handler: PermissionHandler) -> None:
        """Answer Codex' questions whether it may run a command or change a file."""
        self._permission = handler

    async def initialize(self, client_info: dict[str, Any] | None = None) -> dict[str, Any]:
        """Greet it. A Codex that was greeted before is content too."""
        info = client_info or {"name": "ranvier", "version": "1"}
        try:
            result = await self.request("initialize", {"clientInfo": info})
        except RequestFailed as error:
            if "Already initialized" not in str(error):
                raise
            return {}
        await self._publish("initialized", {"method": "initialized"})
        return result

    async def new_session(self, cwd: str = "/home/user", **params: Any) -> str:
        """Start a thread; returns its id."""
        result = await self.request("thread/start", {"cwd": cwd, **params})
        return str(at(result, "thread", "id"))

    async def load_session(self, session_id: str, **params: Any) -> dict[str, Any]:
        """Resume a thread of before; returns Codex' answer."""
        return await self.request("thread/resume", {"threadId": session_id, **params})

    async def prompt(
        self,
        session_id: str,
        prompt: str | list[Any],
        *,
        timeout_seconds: float | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        """Ask for a turn and wait for its end; returns Codex' `turn`.

        Raises RequestFailed when the turn fails. A cancelled turn returns with status interrupted.
        """
        blocks = [{"type": "text", "text": prompt}] if isinstance(prompt, str) else prompt
        frame = _frame(TURN, {"threadId": session_id, "input": blocks, **params})
        outcome = await self._request(TURN, frame, timeout_seconds)
        return dict(at(outcome.payload, "params", "turn") or {})

    async def cancel(self, session_id: str) -> None:
        """Interrupt the thread's turn; its `prompt` returns."""
        turn = self._turn.get(session_id)
        if turn is None:
            raise RequestFailed("turn/interrupt", f"no turn runs in {session_id}", "no_turn")
        await self.request("turn/interrupt", {"threadId": session_id, "turnId": turn})

    async def request(self, method: str, params: Any = None) -> dict[str, Any]:
        """Any other method; returns its result. Raises RequestFailed when it is refused."""
        frame = _frame(method, params or {})
        response = await self._ask_by_id(method, frame["id"], frame)
        if "error" in response:
            message = text_at(response, "error", "message") or str(response["error"])
            raise RequestFailed(method, message, "refused")
        return dict(response.get("result") or {})

    async def _take(self, event: AxonEvent) -> None:
        frame = object_of(event.payload)
        if event.origin is Origin.AGENT:
            thread, turn = (
                text_at(frame, "params", "threadId"),
                text_at(frame, "params", "turn", "id"),
            )
            if event.event_type == "turn/started" and thread and turn:
                self._turn[thread] = turn
            elif event.event_type == "turn/completed" and thread:
                self._turn.pop(thread, None)
        await super()._take(event)

    def _answer_in(self, event: AxonEvent) -> tuple[str | None, dict[str, Any]]:
        frame = object_of(event.payload)
        return (text_at(frame, "id") if event.event_type == "response" else None), frame

    def _question_key(self, event: AxonEvent) -> str | None:
        return word(object_of(event.payload).get("id")) if is_approval(event.event_type) else None

    def _settled_key(self, event: AxonEvent) -> str | None:
        frame = object_of(event.payload)
        if event.origin is Origin.USER and event.event_type == "response":
            return word(frame.get("id"))
        if event.origin is Origin.AGENT and event.event_type == "serverRequest/resolved":
            return word(at(frame, "params", "requestId"))
        return None

    async def _answer(self, event: AxonEvent) -> None:
        if self._permission is None:
            return
        question = object_of(event.payload)
        given = await self._permission(event.event_type, dict(question.get("params") or {}))
        decision = given if isinstance(given, str) else None
        kind, answer = permission(event.event_type, question, allow=bool(given), option_id=decision)
        if self._open_questions.get(word(question.get("id")) or "") is event:
            await self._publish(kind, answer)


def _frame(method: str, params: Any) -> dict[str, Any]:
    return {"id": f"client-{uuid.uuid4()}", "method": method, "params": params}
