"""An execution, and all that can happen to one: what the book hears. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

RUN_PREFIX: Final = "exe_"
"""How their ids begin; the launcher's other children have other names."""


class Phase(StrEnum):
    """Where an execution stands."""

    WAITING = "waiting"  # until the journal knows that something executes
    ASKED = "asked"  # of the launcher
    RUNNING = "running"
    ENDING = "ending"  # it has exited; its pipes are being emptied
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution. `script` is what a shell runs; `output_bytes_max` is for each of its outputs.

    `listing`: the launcher's listing before it was asked for; one that it outlived tells whether it
    lives. `size`: bytes that it left on disk. `seconds_max`: it is ended after so long, unless 0.
    `dropped`: it is forgotten when it ends. `title`: what people take it for, a user's command.
    """

    execution_id: str
    script: str
    has_stdin: bool
    output_bytes_max: int
    seconds_max: int = 0
    phase: Phase = Phase.WAITING
    exit_status: int | None = None
    input_ended: bool = False
    dropped: bool = False
    signals: tuple[str, ...] = ()
    listing: int = 0
    size: int = 0
    asked_ms: int = 0
    ended_ms: int = 0
    title: str = ""

    @property
    def is_open(self) -> bool:
        return self.phase is not Phase.COMPLETED


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody asks for it; asking again for the same changes nothing."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class Begun:
    """The line to the API server is there: tell it once where we stand."""


@dataclass(frozen=True, slots=True)
class Told:
    """The journal has it on disk."""

    executing: bool


@dataclass(frozen=True, slots=True)
class Fenced:
    """The devbox was put to sleep; the pod will go."""


@dataclass(frozen=True, slots=True)
class Spawned:
    """The launcher was asked; `listing` is the number of its last listing."""

    execution_id: str
    listing: int


@dataclass(frozen=True, slots=True)
class Started:
    execution_id: str


@dataclass(frozen=True, slots=True)
class Exited:
    execution_id: str
    status: int


@dataclass(frozen=True, slots=True)
class Drained:
    """All that it wrote lies in its files."""

    execution_id: str
    size: int


@dataclass(frozen=True, slots=True)
class Listed:
    """The launcher's word on what lives. `exits`: statuses that keepers left behind; `untouched`:
    those that no keeper has begun."""

    running: frozenset[str]
    listing: int
    exits: Mapping[str, int]
    untouched: frozenset[str]


@dataclass(frozen=True, slots=True)
class Signalled:
    execution_id: str
    name: str


@dataclass(frozen=True, slots=True)
class InputEnded:
    execution_id: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Nobody will ask for it again; one that is under way is ended."""

    execution_id: str


Event = (
    Asked
    | Begun
    | Told
    | Fenced
    | Spawned
    | Started
    | Exited
    | Drained
    | Listed
    | Signalled
    | InputEnded
    | Dropped
)
