"""Generic turns spoken with Claude Code: what of its messages is shown in neutral events."""

from collections.abc import Iterator
from typing import Any

from ranvier_broker.codecs.base import Said
from ranvier_broker.codecs.claude_lines import Message
from ranvier_broker.codecs.generic import NeutralView
from ranvier_broker.codecs.typed_lines import object_of


class GenericView(NeutralView):
    """One generic turn, read from stream-json.

    Words come in deltas, and once more in a whole message; the whole counts only without deltas.
    Words of subagents are theirs and not the agent's answer.
    """

    def __init__(self, turn_id: str) -> None:
        super().__init__(turn_id)
        self._message: Any = None  # the id of the message that comes in deltas
        self._told: Any = None  # the same, once it told words

    def shown(self, message: Message) -> list[Said]:
        """What a message shows besides itself."""
        is_own = message.value.get("parent_tool_use_id") is None
        match message.kind:
            case "stream_event" if is_own:
                return self._event(object_of(message.value.get("event")))
            case "assistant":
                return self._assistant(message.value, is_own=is_own)
            case "user":
                return [
                    self._result(block)
                    for block in _blocks(message.value)
                    if block.get("type") == "tool_result"
                    and isinstance(block.get("tool_use_id"), str)
                ]
            case "control_request":
                request = message.request
                return self._use(request.get("tool_use_id"), request.get("tool_name"))
            case _:
                return []

    def _event(self, event: dict[str, Any]) -> list[Said]:
        match event.get("type"):
            case "message_start":
                self._message = object_of(event.get("message")).get("id")
            case "content_block_start":
                block = object_of(event.get("content_block"))
                if block.get("type") == "tool_use":
                    return self._use(block.get("id"), block.get("name"))
            case "content_block_delta":
                delta = object_of(event.get("delta"))
                text = delta.get("text")
                if delta.get("type") == "text_delta" and isinstance(text, str):
                    self._told = self._message
                    return [self.chunk(text)]
        return []

    def _assistant(self, value: dict[str, Any], *, is_own: bool) -> list[Said]:
        shown: list[Said] = []
        was_told = object_of(value.get("message")).get("id") == self._told is not None
        for block in _blocks(value):
            text = block.get("text")
            if block.get("type") == "tool_use":
                shown += self._use(block.get("id"), block.get("name"))
            elif is_own and not was_told and isinstance(text, str):
                shown.append(self.chunk(text))
        return shown

    def _use(self, call_id: Any, name: Any) -> list[Said]:
        if not isinstance(call_id, str) or self.knows_tool(call_id):
            return []
        title = {"title": name} if isinstance(name, str) else {}
        return [self.tool(call_id, **title, status="pending")]

    def _result(self, block: dict[str, Any]) -> Said:
        status = "failed" if block.get("is_error") is True else "completed"
        return self.tool(block["tool_use_id"], status=status)


def _blocks(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = object_of(value.get("message")).get("content")
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict):
            yield block
