"""Generic turns spoken in Codex: the broker's greeting, the prompt, and what of a frame is shown.

The words of neutral events are ACP's, so that a reader of several protocols needs one table: an
item `inProgress` is `in_progress`, a command is of kind `execute`.
"""

from typing import Any, Final

from ranvier.events import AxonEvent

from ranvier_broker.codecs import generic
from ranvier_broker.codecs.base import Said
from ranvier_broker.codecs.codex_frames import text_in
from ranvier_broker.codecs.generic import NeutralView

GREETING: Final[dict[str, Any]] = {"clientInfo": {"name": "ranvier-broker", "version": "1"}}
"""How the broker greets an agent that no client has greeted."""

_INPUTS: Final = frozenset({"text", "image", "localImage", "skill", "mention"})
"""Kinds of input that Codex takes."""

_NO_TOOLS: Final = frozenset(
    {
        "agentMessage",
        "contextCompaction",
        "enteredReviewMode",
        "exitedReviewMode",
        "hookPrompt",
        "plan",
        "reasoning",
        "userMessage",
    }
)
"""Items that are no tool calls. A kind that is not known is taken for one: it is rather shown."""

_KINDS: Final = {"commandExecution": "execute", "fileChange": "edit", "webSearch": "search"}
_STATUSES: Final = {"inProgress": "in_progress"}


def turn_input(event: AxonEvent) -> list[dict[str, Any]]:
    """The event as the input of a turn."""
    blocks = generic.prompt_blocks(event)
    if all(block["type"] in _INPUTS for block in blocks):
        return blocks
    return [{"type": "text", "text": event.payload}]


class GenericView(NeutralView):
    """One generic turn, read from Codex's notifications."""

    def __init__(self, turn_id: str) -> None:
        super().__init__(turn_id)
        self._told: set[str] = set()  # messages that came in pieces

    def notified(self, method: str, params: Any) -> list[Said]:
        """What a notification shows besides itself."""
        item = params.get("item") if isinstance(params, dict) else None
        match method:
            case "item/agentMessage/delta":
                return self._delta(params)
            case "item/commandExecution/outputDelta" | "item/fileChange/outputDelta":
                return self._progress(params)
            case "item/started" if isinstance(item, dict):
                return self._tool(item)
            case "item/completed" if isinstance(item, dict):
                return self._completed(item)
            case _:
                return []

    def _delta(self, params: Any) -> list[Said]:
        text, item_id = text_in(params, "delta"), text_in(params, "itemId")
        if text is None:
            return []
        self._told.add(item_id or "")
        return [self.chunk(text)]

    def _progress(self, params: Any) -> list[Said]:
        output, call_id = text_in(params, "delta"), text_in(params, "itemId")
        if output is None or call_id is None or not self.knows_tool(call_id):
            return []
        return [self.tool(call_id, output=output)]

    def _completed(self, item: dict[str, Any]) -> list[Said]:
        if item.get("type") != "agentMessage":
            return self._tool(item)
        text, item_id = text_in(item, "text"), text_in(item, "id")
        # A message that came in pieces was shown; one that came whole is shown now.
        return [self.chunk(text)] if text and item_id not in self._told else []

    def _tool(self, item: dict[str, Any]) -> list[Said]:
        call_id, kind = text_in(item, "id"), text_in(item, "type")
        if call_id is None or kind is None or kind in _NO_TOOLS:
            return []
        members = {"title": _title(item, kind), "kind": _KINDS.get(kind, "other")}
        if (status := text_in(item, "status")) is not None:
            members["status"] = _STATUSES.get(status, status)
        return [self.tool(call_id, **members)]


def _title(item: dict[str, Any], kind: str) -> str:
    for member in ("command", "tool", "query", "path"):
        if text := text_in(item, member):
            return text
    changes = item.get("changes")
    paths = [text_in(change, "path") for change in changes] if isinstance(changes, list) else []
    return ", ".join(path for path in paths if path) or kind
