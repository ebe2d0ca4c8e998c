"""All that can happen to a mount's turn machine: its only way to learn anything.

The counterpart is `commands`. Times are not in here: the shell hands `now_ms` over beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ranvier.events import AxonEvent


@dataclass(frozen=True, slots=True)
class Begun:
    """The broker's process has started (at `started_ms`); nothing else is known yet."""

    started_ms: int


@dataclass(frozen=True, slots=True)
class Attached:
    """The journal gave us the mount: our epoch, and where and with what to go on."""

    epoch: int
    cursor: int
    control_cursor: int
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event from the axon. `subscription` tells which `Subscribe` brought it."""

    subscription: int
    event: AxonEvent


@dataclass(frozen=True, slots=True)
class Appended:
    """The batch is on disk; its events got the sequences from `first_sequence` on."""

    batch: int
    first_sequence: int


@dataclass(frozen=True, slots=True)
class Fenced:
    """The journal told us that another broker has the mount: we must do nothing more (T5)."""


@dataclass(frozen=True, slots=True)
class AgentStarted:
    """The agent's process runs. `run` counts the processes of this mount."""

    run: int


@dataclass(frozen=True, slots=True)
class AgentSaid:
    """Bytes from the agent's stdout, split anywhere."""

    run: int
    data: bytes


@dataclass(frozen=True, slots=True)
class AgentLogged:
    """Bytes from the agent's stderr, split anywhere."""

    run: int
    data: bytes


@dataclass(frozen=True, slots=True)
class AgentExited:
    """The process is gone and all that it said has been handed over. `status` as a shell's `$?`."""

    run: int
    status: int


@dataclass(frozen=True, slots=True)
class AgentBlocked:
    """The agent has taken nothing from its stdin for the silence deadline, though much waits."""

    run: int


@dataclass(frozen=True, slots=True)
class TimeCame:
    """The moment that the machine asked for (`wake_at_ms`) has come."""


AgentEvent = AgentStarted | AgentSaid | AgentLogged | AgentExited | AgentBlocked
"""What happens to the agent's process."""

Event = Begun | Attached | Arrived | Appended | Fenced | AgentEvent | TimeCame
