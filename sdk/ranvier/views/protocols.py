"""Which protocol an event type belongs to; the names are those that brokers put on the axon.

Sources: ACP's schema (method names), Claude Code's streaming JSON (`type` of a line), Codex' app
server (method names, and `response`). ACP and Codex share `initialize`; else the sets are disjoint.
"""

from typing import Final

from ranvier.events import AxonEvent, Origin
from ranvier.resources.mounts import AgentProtocol

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


def knows(protocol: AgentProtocol, event_type: str) -> bool:
    """Whether the protocol has a message of this name."""
    match protocol:
        case AgentProtocol.ACP:
            return event_type in _ACP or event_type.startswith(_ACP_PREFIXES)
        case AgentProtocol.CLAUDE_JSON:
            return event_type in _CLAUDE
        case AgentProtocol.CODEX_JSON:
            return event_type in _CODEX or event_type.startswith(_CODEX_PREFIXES)
        case _:
            return False


def protocol_of(event_type: str) -> AgentProtocol | None:
    """The protocol with a message of this name; ACP where two have one."""
    for protocol in (AgentProtocol.ACP, AgentProtocol.CLAUDE_JSON, AgentProtocol.CODEX_JSON):
        if knows(protocol, event_type):
            return protocol
    return None


def starts_turn(event: AxonEvent) -> bool:
    """Whether a broker makes a turn of this event (T1)."""
    if event.origin is Origin.EXTERNAL:
        return True
    is_prompt = event.event_type in PROMPT_TYPES or event.event_type == USER_MESSAGE
    return event.origin is Origin.USER and is_prompt
