"""All that the book can ask for: its only way to do anything. Pure."""

from dataclasses import dataclass

from ranvier_broker.executions.events import Execution


@dataclass(frozen=True, slots=True)
class Save:
    """Keep its record, so that the next sidecar knows it."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class Spawn:
    execution_id: str


@dataclass(frozen=True, slots=True)
class Signal:
    execution_id: str
    name: str


@dataclass(frozen=True, slots=True)
class EndInput:
    execution_id: str


@dataclass(frozen=True, slots=True)
class Drain:
    execution_id: str


@dataclass(frozen=True, slots=True)
class Release:
    """Its keeper may go."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove what there is of it."""

    execution_id: str


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the journal, however long that takes; answered by `Told` or `Fenced`."""

    executing: bool


Command = Save | Spawn | Signal | EndInput | Drain | Release | Forget | Report
