"""A remote agent that speaks ACP (seed 001): `ACPAxonConnection`.

Requests and answers are the models of the `agent-client-protocol` package, which the extra
`ranvier[acp]` installs: `acp.schema.PromptResponse` and so on. Arguments may be written in either
spelling, `session_id` or `sessionId`.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ranvier.client.errors import RanvierError
from ranvier.events import AxonEvent, Origin
from ranvier.remote.connection import AxonConnection
from ranvier.resources.mounts import AgentProtocol
from ranvier.views.acp_facts import INPUT_METHODS, PERMISSION
from ranvier.views.answers import permission
from ranvier.views.payloads import object_of, text_at

if TYPE_CHECKING:
    from acp import schema

PROTOCOL_VERSION: Final = 1
"""The version of ACP that is spoken."""

PROMPT: Final = "session/prompt"
_CLIENT_METHODS: Final = frozenset(
    {
        PERMISSION,
        *INPUT_METHODS,
        "fs/read_text_file",
        "fs/write_text_file",
        "terminal/create",
        "terminal/output",
        "terminal/wait_for_exit",
        "terminal/kill",
        "terminal/release",
    }
)

PermissionHandler = Callable[["schema.RequestPermissionRequest"], Awaitable[Any]]
"""Returns True or False, the id of an option, or a `schema.RequestPermissionResponse`."""

RequestHandler = Callable[[dict[str, Any]], Awaitable[Any]]
"""Takes an agent's request as JSON; returns the answer."""


class ACPAxonConnection(AxonConnection):
    """A conversation with an ACP agent over an axon.

    Any number of clients may be connected; all see everything, and the first answer to a permission
    request counts.
    """

    protocol = AgentProtocol.ACP
    source = "ranvier-acp-client"
    prompts = frozenset({PROMPT})
    turn_answer = PROMPT
    questions = _CLIENT_METHODS

    def _set_up(self) -> None:
        self._handlers: dict[str, RequestHandler] = {}

    # --- handlers

    def on_permission(self, handler: PermissionHandler) -> None:
        """Answer the agent's permission requests; without a handler they are left to others."""

        async def answer(question: dict[str, Any]) -> Any:
            given = await handler(_model("RequestPermissionRequest", question))
            if isinstance(given, bool):
                return permission(PERMISSION, question, allow=given)[1]
            if isinstance(given, str):
                return permission(PERMISSION, question, allow=True, option_id=given)[1]
            return given

        self._handlers[PERMISSION] = answer

    def on_request(self, method: str, handler: RequestHandler) -> None:
        """Answer any other request of the agent: files, terminals, forms."""
        self._handlers[method] = handler

    # --- calls

    async def initialize(
        self, protocol_version: int = PROTOCOL_VERSION, **params: Any
    ) -> "schema.InitializeResponse":
        """Greet the agent: `client_info`, `client_capabilities`."""
        response: schema.InitializeResponse = await self._call(
            "initialize", "Initialize", protocol_version=protocol_version, **params
        )
        return response

    async def authenticate(self, **params: Any) -> "schema.AuthenticateResponse":
        """Choose one of the agent's `auth_methods` by `method_id`."""
        response: schema.AuthenticateResponse = await self._call(
            "authenticate", "Authenticate", **params
        )
        return response

    async def new_session(
        self, cwd: str = "/home/user", mcp_servers: Sequence[Any] = (), **params: Any
    ) -> "schema.NewSessionResponse":
        """Open a session; its `session_id` names it from now on."""
        params |= {"cwd": cwd, "mcp_servers": list(mcp_servers)}
        response: schema.NewSessionResponse = await self._call(
            "session/new", "NewSession", **params
        )
        return response

    async def load_session(
        self,
        session_id: str,
        cwd: str = "/home/user",
        mcp_servers: Sequence[Any] = (),
        **params: Any,
    ) -> "schema.LoadSessionResponse":
        """Load a session of before; the agent tells its whole history again."""
        params |= {"session_id": session_id, "cwd": cwd, "mcp_servers": list(mcp_servers)}
        response: schema.LoadSessionResponse = await self._call(
            "session/load", "LoadSession", **params
        )
        return response

    async def resume_session(
        self,
        session_id: str,
        cwd: str = "/home/user",
        mcp_servers: Sequence[Any] = (),
        **params: Any,
    ) -> "schema.ResumeSessionResponse":
        """Go on with a session of before without its history."""
        params |= {"session_id": session_id, "cwd": cwd, "mcp_servers": list(mcp_servers)}
        response: schema.ResumeSessionResponse = await self._call(
            "session/resume", "ResumeSession", **params
        )
        return response

    async def set_session_mode(
        self, session_id: str, mode_id: str
    ) -> "schema.SetSessionModeResponse":
        """Put the session into another mode."""
        params = {"session_id": session_id, "mode_id": mode_id}
        response: schema.SetSessionModeResponse = await self._call(
            "session/set_mode", "SetSessionMode", **params
        )
        return response

    async def prompt(
        self,
        session_id: str,
        prompt: str | Sequence[Any],
        *,
        timeout_seconds: float | None = None,
        **params: Any,
    ) -> "schema.PromptResponse":
        """Ask for a turn, and wait for its end: all its events were heard before this returns.

        A text, or content blocks. A devbox that sleeps wakes. A turn that is cancelled returns with
        that stop reason; one that fails raises RequestFailed.
        """
        blocks = [{"type": "text", "text": prompt}] if isinstance(prompt, str) else list(prompt)
        request = _request("PromptRequest", session_id=session_id, prompt=blocks, **params)
        outcome = await self._request(PROMPT, request, timeout_seconds)
        ended = object_of(outcome.ended.payload) if outcome.ended else {}
        is_cancelled = outcome.ended is not None and outcome.ended.event_type == "turn.cancelled"
        answer = dict(outcome.payload or {"stopReason": text_at(ended, "stop_reason")})
        response: schema.PromptResponse = _model(
            "PromptResponse", answer | ({"stopReason": "cancelled"} if is_cancelled else {})
        )
        return response

    async def cancel(self, session_id: str) -> None:
        """Cancel the session's turn; its `prompt` returns with that stop reason."""
        await self._publish("session/cancel", {"sessionId": session_id})

    async def request(self, method: str, params: Any = None) -> dict[str, Any]:
        """Any other method, as JSON."""
        outcome = await self._request(method, _as_json(params or {}))
        return dict(outcome.payload)

    async def _call(self, method: str, name: str, **params: Any) -> Any:
        outcome = await self._request(method, _request(f"{name}Request", **params))
        return _model(f"{name}Response", outcome.payload)

    # --- questions

    def _question_key(self, event: AxonEvent) -> str | None:
        return event.event_type if event.event_type in _CLIENT_METHODS else None

    def _settled_key(self, event: AxonEvent) -> str | None:
        is_answer = event.origin is Origin.USER and event.event_type in _CLIENT_METHODS
        return event.event_type if is_answer else None

    async def _answer(self, event: AxonEvent) -> None:
        handler = self._handlers.get(event.event_type)
        if handler is None:
            return
        answer = _as_json(await handler(object_of(event.payload)))
        if self._open_questions.get(event.event_type) is event:
            await self._publish(event.event_type, answer)


def _schema() -> Any:
    try:
        return import_module("acp.schema")
    except ModuleNotFoundError:
        what = "ACP's messages are typed by the package agent-client-protocol, which is missing."
        raise RanvierError(what, "Install it: pip install 'ranvier[acp]'.") from None


def _model(name: str, value: Any) -> Any:
    return getattr(_schema(), name).model_validate(value)


def _request(name: str, **params: Any) -> Any:
    """Checked by the package's model, but sent as it was given: the model drops what it does not
    know, and what is not known here may be known to the agent."""
    model = getattr(_schema(), name)
    aliases = {field: info.alias for field, info in model.model_fields.items() if info.alias}
    given = {aliases.get(key, key): _as_json(value) for key, value in params.items()}
    model.model_validate(given)
    return given


def _as_json(value: Any) -> Any:
    """A value that JSON can hold: models of pydantic are dumped by their aliases."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.loads(json.dumps(value, default=_as_json))
