"""What Codex' app server says: whole JSON-RPC frames, under their method or `response`.

Items that are neither the user's message, the model's text nor its reasoning are tools.
"""

from collections import OrderedDict
from typing import Any, Final

from ranvier.events import AxonEvent, Origin
from ranvier.views.facts import (
    NOTHING,
    Answered,
    Asked,
    ComponentState,
    Fact,
    Heard,
    Named,
    Prompted,
    SessionClosed,
    SessionOpened,
    Text,
    Thought,
    ToolBegan,
    ToolCalled,
    ToolEnded,
    Used,
    Verdict,
    Warned,
)
from ranvier.views.payloads import at, object_of, text_at, text_in, word

AGENT: Final = "Codex"
INPUT_METHODS: Final = frozenset({"item/tool/requestUserInput", "mcpServer/elicitation/request"})
"""Requests with which Codex asks a person for input."""

_APPROVAL: Final = "/requestApproval"
_TOOLS: Final = frozenset(
    {
        "collabAgentToolCall",
        "commandExecution",
        "dynamicToolCall",
        "fileChange",
        "imageGeneration",
        "imageView",
        "mcpToolCall",
        "webSearch",
    }
)
_ITEMS_MAX: Final = 64
"""Streamed messages that are remembered until their whole form comes."""


def is_approval(method: str) -> bool:
    """Whether the request asks for permission."""
    return method.endswith(_APPROVAL)


class CodexFacts:
    """Reads the Codex events of one axon, in their order."""

    def __init__(self) -> None:
        self._streamed: OrderedDict[str, None] = OrderedDict()
        self._open: set[str] = set()

    def read(self, event: AxonEvent) -> Heard:
        """The facts of one event whose type Codex knows."""
        frame = object_of(event.payload)
        params = at(frame, "params")
        session = text_at(params, "threadId") or text_at(params, "thread", "id")
        if event.origin is Origin.USER:
            return Heard(self._user(event.event_type, frame, session), session)
        if event.origin is not Origin.AGENT:
            return NOTHING
        return Heard(self._agent(event.event_type, frame, params, session), session)

    def _user(self, method: str, frame: dict[str, Any], session: str | None) -> list[Fact]:
        params = at(frame, "params")
        if method in ("turn/start", "review/start", "thread/compact/start"):
            named = Named(model=text_at(params, "model"))
            return [named, Prompted(session, len(text_in(at(params, "input"))))]
        key = word(frame.get("id"))
        if method == "response" and key is not None and key in self._open:
            self._open.discard(key)
            return [_answer(key, frame)]
        return []

    def _agent(
        self, method: str, frame: dict[str, Any], params: Any, session: str | None
    ) -> list[Fact]:
        if method.startswith("item/"):
            return self._item(method, frame, params)
        match method:
            case "response":
                return _response(at(frame, "result"))
            case "thread/started" if session is not None:
                return [Named(agent=AGENT), SessionOpened(session)]
            case "thread/archived" | "thread/deleted" if session is not None:
                return [SessionClosed(session)]
            case "thread/tokenUsage/updated":
                usage = at(params, "tokenUsage")
                return [Used(usage)] if isinstance(usage, dict) else []
            case "serverRequest/resolved":
                key = word(at(params, "requestId"))
                if key is None or key not in self._open:
                    return []
                self._open.discard(key)
                return [Answered(key, Verdict.CANCELLED, "withdrawn")]
            case _:
                return _notice(method, params, self._asked(method, frame, params))

    def _asked(self, method: str, frame: dict[str, Any], params: Any) -> list[Fact]:
        key = word(frame.get("id"))
        if key is None or not (is_approval(method) or method in INPUT_METHODS):
            return []
        self._open.add(key)
        call = text_at(params, "itemId")
        began: list[Fact] = [ToolBegan(call)] if call else []
        return [*began, Asked(key, is_approval(method), call, method.split("/")[1])]

    def _item(self, method: str, frame: dict[str, Any], params: Any) -> list[Fact]:
        item = at(params, "item")
        item_id, kind = text_at(item, "id"), text_at(item, "type")
        match method:
            case "item/agentMessage/delta":
                return self._delta(params)
            case "item/started" if item_id is not None and kind in _TOOLS:
                return [ToolCalled(item_id, _tool_name(item))]
            case "item/completed" if item_id is not None and kind in _TOOLS:
                return [ToolCalled(item_id, _tool_name(item)), _tool_ended(item_id, item)]
            case "item/completed" if kind == "agentMessage" and item_id not in self._streamed:
                return [Text(text_at(item, "text") or "", item_id)]
            case "item/started" if kind == "reasoning":
                return [Thought()]
            case _:
                return self._asked(method, frame, params)

    def _delta(self, params: Any) -> list[Fact]:
        item_id = text_at(params, "itemId")
        if item_id is not None:
            self._streamed[item_id] = None
            while len(self._streamed) > _ITEMS_MAX:
                self._streamed.popitem(last=False)
        return [Text(text_at(params, "delta") or "", item_id)]


def _response(result: Any) -> list[Fact]:
    if text_at(result, "userAgent") is not None:
        return [Named(agent=AGENT)]
    if text_at(result, "thread", "id") is not None:
        return [Named(agent=AGENT, model=text_at(result, "model"))]
    return []


def _notice(method: str, params: Any, otherwise: list[Fact]) -> list[Fact]:
    match method:
        case "error" if at(params, "willRetry") is True:
            message = text_at(params, "error", "message") or "the model could not be reached"
            return [Warned("model_error", message)]
        case "warning" | "guardianWarning":
            return [Warned(method, text_at(params, "message") or method)]
        case "configWarning" | "deprecationNotice":
            return [Warned(method, text_at(params, "summary") or method)]
        case "mcpServer/startupStatus/updated":
            name, status = text_at(params, "name"), text_at(params, "status")
            if name is None or status is None:
                return []
            return [ComponentState("mcp_server", name, status, text_at(params, "error"))]
        case _:
            return otherwise


def _tool_name(item: Any) -> str | None:
    return text_at(item, "tool") or text_at(item, "type")


def _tool_ended(item_id: str, item: Any) -> ToolEnded:
    output = text_at(item, "aggregatedOutput") or text_in(at(item, "result", "content")) or None
    # An item without a status (a web search) can only be done.
    status = text_at(item, "status") or "completed"
    if status == "completed":
        return ToolEnded(item_id, True, output=output)
    return ToolEnded(item_id, False, output, error=text_at(item, "error", "message") or status)


def _answer(key: str, frame: dict[str, Any]) -> Answered:
    decision = at(frame, "result", "decision")
    # A decision with details is an object with the decision's name as its only member.
    name = next(iter(decision), None) if isinstance(decision, dict) else word(decision)
    if name is None:
        is_error = "error" in frame
        return Answered(key, Verdict.CANCELLED if is_error else Verdict.ANSWERED)
    if name.startswith("accept"):
        return Answered(key, Verdict.ALLOW, name)
    return Answered(key, Verdict.CANCELLED if name == "cancel" else Verdict.DENY, name)
