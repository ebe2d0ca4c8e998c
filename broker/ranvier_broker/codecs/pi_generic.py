"""Generic turns spoken with Pi: the prompt, and what of its records is shown in neutral events."""

from typing import Any

from ranvier.events import AxonEvent

from ranvier_broker.codecs import generic
from ranvier_broker.codecs.base import Said
from ranvier_broker.codecs.generic import NeutralView
from ranvier_broker.codecs.pi_records import Record
from ranvier_broker.codecs.typed_lines import object_of


def prompt(event: AxonEvent) -> dict[str, Any]:
    """The members of a `prompt` that says what the event does."""
    blocks = generic.prompt_blocks(event)
    texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
    images = [block for block in blocks if block["type"] == "image"]
    if len(texts) + len(images) < len(blocks):
        return {"message": event.payload}  # blocks of another kind: the agent may know them
    return {"message": "\n".join(texts), **({"images": images} if images else {})}


class GenericView(NeutralView):
    """One generic turn, read from Pi's events."""

    def shown(self, record: Record) -> list[Said]:
        """What a record shows besides itself."""
        match record.kind:
            case "message_update":
                return self._update(object_of(record.value.get("assistantMessageEvent")))
            case "tool_execution_start" | "tool_execution_update":
                return self._tool(record.value, "in_progress")
            case "tool_execution_end":
                is_error = record.value.get("isError") is True
                return self._tool(record.value, "failed" if is_error else "completed")
            case _:
                return []

    def _update(self, event: dict[str, Any]) -> list[Said]:
        match event.get("type"):
            case "text_delta" if isinstance(event.get("delta"), str):
                return [self.chunk(event["delta"])]
            case "toolcall_start" if isinstance(event.get("id"), str):
                return [self._named(event["id"], event.get("toolName"), "pending")]
            case _:
                return []

    def _tool(self, value: dict[str, Any], status: str) -> list[Said]:
        call_id = value.get("toolCallId")
        if not isinstance(call_id, str):
            return []
        return [self._named(call_id, value.get("toolName"), status)]

    def _named(self, call_id: str, name: Any, status: str) -> Said:
        is_news = isinstance(name, str) and not self.knows_tool(call_id)
        return self.tool(call_id, **({"title": name} if is_news else {}), status=status)
