"""Which protocol an event type belongs to; the names are those that brokers put on the axon.

Sources: ACP's schema (method names), Claude Code's streaming JSON (`type` of a line), Codex' app
server (method names, and `response`), Pi's RPC mode (`type` of a record). ACP, Codex and Pi share
`initialize`, and Codex and Pi three names more, which only their payloads tell apart: a record of
Pi's has a `type`. Else the sets are disjoint.
"""

from typing import Final

from ranvier.events import AxonEvent, Origin
from ranvier.resources.mounts import AgentProtocol
from ranvier.views.payloads import object_of, text_at

USER_MESSAGE: Final = "user.message"
"""A prompt in no protocol's words (seeds 000 and 002)."""

PROMPT_TYPES: Final = {
    "session/prompt": AgentProtocol.ACP,
    "query": AgentProtocol.CLAUDE_JSON,
    "turn/start": AgentProtocol.CODEX_JSON,
    "review/start": AgentProtocol.CODEX_JSON,
    "thread/compact/start": AgentProtocol.CODEX_JSON,
}
"""USER_EVENT types that start turns, beside `user.message`. External events start them too."""

_ACP: Final = frozenset({"initialize", "authenticate", "logout"})
_ACP_PREFIXES: Final = ("session/", "fs/", "terminal/", "elicitation/", "$/", "_")

_CLAUDE: Final = frozenset(
    {
        "query",
        "user",
        "assistant",
        "system",
        "result",
        "stream_event",
        "control_request",
        "control_response",
        "control_cancel_request",
        "keep_alive",
        "auth_status",
        "rate_limit_event",
        "tool_progress",
        "tool_use_summary",
        "update_environment_variables",
    }
)

_CODEX: Final = frozenset(
    {
        "initialize",
        "initialized",
        "response",
        "cancel",
        "error",
        "warning",
        "guardianWarning",
        "configWarning",
        "deprecationNotice",
    }
)
_CODEX_PREFIXES: Final = (
    "account/",
    "app/",
    "command/",
    "config/",
    "configRequirements/",
    "fuzzyFileSearch/",
    "hook/",
    "item/",
    "mcpServer/",
    "mcpServerStatus/",
    "model/",
    "rawResponseItem/",
    "remoteControl/",
    "review/",
    "serverRequest/",
    "skills/",
    "thread/",
    "turn/",
)

_PI: Final = frozenset(
    {
        "abort",
        "abort_bash",
        "abort_retry",
        "agent_end",
        "agent_settled",
        "agent_start",
        "auto_retry_end",
        "auto_retry_start",
        "bash",
        "bash_execution_update",
        "clear_queue",
        "clone",
        "compact",
        "compaction_end",
        "compaction_start",
        "cycle_model",
        "cycle_thinking_level",
        "entry_appended",
        "export_html",
        "extension_error",
        "extension_ui_request",
        "extension_ui_response",
        "follow_up",
        "fork",
        "message_end",
        "message_start",
        "message_update",
        "new_session",
        "queue_update",
        "session_info_changed",
        "steer",
        "summarization_retry_attempt_start",
        "summarization_retry_finished",
        "summarization_retry_scheduled",
        "switch_session",
        "thinking_level_changed",
        "tool_execution_end",
        "tool_execution_start",
        "tool_execution_update",
        "turn_end",
        "turn_start",
    }
)
_PI_PREFIXES: Final = ("get_", "set_")
_SHARED: Final = frozenset({"initialize", "turn/start", "cancel", "response"})
"""Names that Pi's records have on the axon, and others' messages too."""


def knows(protocol: AgentProtocol, event_type: str) -> bool:
    """Whether the protocol has a message of this name."""
    match protocol:
        case AgentProtocol.ACP:
            return event_type in _ACP or event_type.startswith(_ACP_PREFIXES)
        case AgentProtocol.CLAUDE_JSON:
            return event_type in _CLAUDE
        case AgentProtocol.CODEX_JSON:
            return event_type in _CODEX or event_type.startswith(_CODEX_PREFIXES)
        case AgentProtocol.PI_JSON:
            return event_type in _PI | _SHARED or event_type.startswith(_PI_PREFIXES)
        case _:
            return False


def protocol_of(event: AxonEvent) -> AgentProtocol | None:
    """The protocol that an event is a message of; by its name, and by its payload where two have
    one: then ACP, if it does not tell."""
    if event.event_type in _SHARED and text_at(object_of(event.payload), "type") is not None:
        return AgentProtocol.PI_JSON
    for protocol in _PROTOCOLS:
        if knows(protocol, event.event_type):
            return protocol
    return None


_PROTOCOLS: Final = (
    AgentProtocol.ACP,
    AgentProtocol.CLAUDE_JSON,
    AgentProtocol.CODEX_JSON,
    AgentProtocol.PI_JSON,
)


def starts_turn(event: AxonEvent) -> bool:
    """Whether a broker makes a turn of this event (T1)."""
    if event.origin is Origin.EXTERNAL:
        return True
    is_prompt = event.event_type in PROMPT_TYPES or event.event_type == USER_MESSAGE
    return event.origin is Origin.USER and is_prompt
