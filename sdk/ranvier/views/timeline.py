"""The timeline of a remote agent (seed 001): every event, sorted by whose words it speaks.

Kinds are the Remote Agents SDK's: `acp_protocol`, `claude_protocol`, `codex_protocol`, and besides
`pi_protocol`, for messages that the connection's protocol knows, whoever sent them; `system` for
the platform's events; `unknown` for the rest, which is part of the timeline too.
"""

from dataclasses import dataclass
from typing import Any, Final

from ranvier.events import AxonEvent, Origin, SystemEvent
from ranvier.resources.mounts import AgentProtocol
from ranvier.views.payloads import value_of
from ranvier.views.protocols import knows, protocol_of

_KINDS: Final = {
    AgentProtocol.ACP: "acp_protocol",
    AgentProtocol.CLAUDE_JSON: "claude_protocol",
    AgentProtocol.CODEX_JSON: "codex_protocol",
    AgentProtocol.CODEX_APP_SERVER: "codex_protocol",
    AgentProtocol.PI_JSON: "pi_protocol",
}
_SYSTEM_TYPES: Final = frozenset(SystemEvent)


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One event of the timeline. `data` is the payload's JSON value, None when it is no JSON."""

    kind: str
    axon_event: AxonEvent
    data: Any


def timeline_event(event: AxonEvent, protocol: AgentProtocol | None = None) -> TimelineEvent:
    """The event as the timeline shows it; without a protocol, any that knows its type."""
    return TimelineEvent(_kind(event, protocol), event, value_of(event.payload))


def _kind(event: AxonEvent, protocol: AgentProtocol | None) -> str:
    if event.origin is Origin.SYSTEM:
        return "system" if event.event_type in _SYSTEM_TYPES else "unknown"
    if protocol is AgentProtocol.CODEX_APP_SERVER:
        protocol = AgentProtocol.CODEX_JSON
    if protocol is None:
        protocol = protocol_of(event)
    elif not knows(protocol, event.event_type):
        return "unknown"
    return _KINDS.get(protocol, "unknown") if protocol is not None else "unknown"
