"""Generic turns spoken in ACP: the broker's greeting, and what of a `session/update` is shown."""

from typing import Any, Final

from ranvier_broker.codecs.base import Said
from ranvier_broker.codecs.generic import NeutralView

GREETING: Final = {
    "protocolVersion": 1,
    "clientCapabilities": {
        "fs": {"readTextFile": False, "writeTextFile": False},
        "terminal": False,
    },
    "clientInfo": {"name": "ranvier-broker", "version": "1"},
}
"""How the broker greets an agent that no client has greeted."""


class GenericView(NeutralView):
    """One generic turn, read from ACP."""

    def update(self, update: Any) -> list[Said]:
        """What a `session/update` shows besides itself."""
        if not isinstance(update, dict):
            return []
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                content = update.get("content")
                text = content.get("text") if isinstance(content, dict) else None
                return [self.chunk(text)] if isinstance(text, str) else []
            case "tool_call" | "tool_call_update":
                return self._call(update)
            case _:
                return []

    def asked(self, params: Any) -> list[Said]:
        """The tool call that a permission request names: shown if it was not seen before."""
        call = params.get("toolCall") if isinstance(params, dict) else None
        call_id = call.get("toolCallId") if isinstance(call, dict) else None
        known = isinstance(call_id, str) and self.knows_tool(call_id)
        return [] if known else self._call(call)

    def _call(self, call: Any) -> list[Said]:
        call_id = call.get("toolCallId") if isinstance(call, dict) else None
        if not isinstance(call_id, str):
            return []
        named = {name: call.get(name) for name in ("title", "kind", "status")}
        return [self.tool(call_id, **{k: v for k, v in named.items() if isinstance(v, str)})]
