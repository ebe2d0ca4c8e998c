"""What stands on an axon: one event, its origin, and the event types that Ranvier itself writes.

The field names are Runloop's (`AxonEventView` of the published SDKs). Payloads are opaque strings
that come back byte for byte; only the types below carry JSON that Ranvier defines.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PAYLOAD_BYTES_MAX: Final = 4 * 1024 * 1024
"""Largest payload of one event in bytes (J8); Runloop's limit, which its SDKs check themselves."""

DEVBOX_ID_PREFIX: Final = "dbx_"


class Origin(StrEnum):
    """Who produced an event. SYSTEM_EVENT is received, never published by clients."""

    EXTERNAL = "EXTERNAL_EVENT"
    AGENT = "AGENT_EVENT"
    USER = "USER_EVENT"
    SYSTEM = "SYSTEM_EVENT"


INBOUND_ORIGINS: Final = frozenset({Origin.USER, Origin.EXTERNAL})
"""Origins that a broker reads and that wake a devbox (T1, W1). The others never do."""


class SystemEvent(StrEnum):
    """Event types with origin SYSTEM_EVENT. Payloads are JSON objects with snake_case keys.

    `turn.*`: `{turn_id, ...}`; `devbox.*`: `{devbox_id, ...}`.
    """

    TURN_STARTED = "turn.started"
    TURN_COMPLETED = "turn.completed"
    TURN_FAILED = "turn.failed"
    TURN_CANCELLED = "turn.cancelled"
    BROKER_ERROR = "broker.error"
    AGENT_ERROR = "agent.error"
    AGENT_LOG = "agent.log"
    DEVBOX_RUNNING = "devbox.running"
    DEVBOX_SUSPENDED = "devbox.suspended"
    DEVBOX_SHUTDOWN = "devbox.shutdown"
    DEVBOX_FAILED = "devbox.failed"


def payload_bytes(payload: str) -> int:
    """How many bytes a payload has as UTF-8, which limits and totals count."""
    # Most text is ASCII, and that it is costs nothing to ask.
    return len(payload) if payload.isascii() else len(payload.encode())


def devbox_id(uid: str) -> str:
    """A Devbox's id in the REST API and in `devbox.*` events, from its resource's `metadata.uid`:
    every Devbox has one, whoever made it, and it never changes."""
    return DEVBOX_ID_PREFIX + uid


TURN_TERMINALS: Final = frozenset(
    {SystemEvent.TURN_COMPLETED, SystemEvent.TURN_FAILED, SystemEvent.TURN_CANCELLED}
)
"""Exactly one of these ends every turn (T4)."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before the journal numbered it."""

    origin: Origin
    source: str
    event_type: str
    payload: str


@dataclass(frozen=True, slots=True)
class AxonEvent:
    """An event as it stands on the journal. `sequence` counts 1, 2, 3 … within its axon (J1)."""

    axon_id: str
    sequence: int
    timestamp_ms: int
    origin: Origin
    source: str
    event_type: str
    payload: str

    @property
    def is_inbound(self) -> bool:
        """Whether a broker reads it: only users and external systems give work to an agent."""
        return self.origin in INBOUND_ORIGINS
