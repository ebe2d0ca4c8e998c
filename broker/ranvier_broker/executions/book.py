"""The book of executions: what runs, what has ended, what the journal knows of it. Pure.

Events and `now` go in, commands come out. Two rules are kept here. Nothing is started before the
journal has it on disk that this devbox executes, so that it can not be put to sleep under a running
command (W3). And an execution is completed only when all that it wrote lies in its files.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from ranvier_broker.executions import commands, events
from ranvier_broker.executions.commands import Command
from ranvier_broker.executions.events import Event, Execution, Phase

OPEN_MAX: Final = 32
"""Executions that may be under way at once; each holds three pipes and a shell."""

KEPT_MAX: Final = 256
"""Completed executions whose output can still be read; the oldest go first."""

KEPT_BYTES_MAX: Final = 1024**3
"""Output of completed executions on disk; the oldest go first, the newest stays whatever it has."""

LOST_STATUS: Final = 137
"""Exit status told of an execution that went with its container: as if killed."""


class TooMany(Exception):
    """As many executions as there may be are under way."""


class Refused(Exception):
    """The devbox is being put to sleep; nothing is started any more."""


class Book:
    """All executions of a devbox, in the order in which they were asked for."""

    def __init__(self, known: Iterable[Execution] = ()) -> None:
        self.executions = {each.execution_id: replace(each, listing=0) for each in known}
        self.is_fenced = False
        self._told: bool | None = None
        self._telling = False

    def handle(self, event: Event, now_ms: int) -> list[Command]:
        """What follows from the event. Raises TooMany, Refused."""
        match event:
            case events.Asked(execution):
                found = self._asked(execution)
            case events.Begun():
                found = []
            case events.Told(executing):
                self._told, self._telling = executing, False
                found = self._spawn_waiting() if executing else []
            case events.Fenced():
                self.is_fenced, self._telling = True, False
                waiting = self._in(Phase.WAITING)
                found = [c for each in waiting for c in self._forget(each)]
            case events.Listed():
                found = self._listed(event)
            case _:
                known = self.executions.get(event.execution_id)
                found = [] if known is None else self._one(known, event, now_ms)
        return found + self._report(is_asked=isinstance(event, events.Begun))

    # --- one execution

    def _asked(self, execution: Execution) -> list[Command]:
        if execution.execution_id in self.executions:
            return []
        if self.is_fenced:
            raise Refused
        if len(self._open()) >= OPEN_MAX:
            raise TooMany
        self._put(execution)
        return [commands.Save(execution), *(self._spawn_waiting() if self._is_told else ())]

    def _one(self, known: Execution, event: Event, now_ms: int) -> list[Command]:
        match event, known.phase:
            case events.Spawned(_, listing), Phase.WAITING | Phase.ASKED:
                self._put(replace(known, phase=Phase.ASKED, listing=listing))
            case events.Started(), Phase.ASKED:
                return self._started(known)
            case events.Exited(_, status), Phase.ASKED | Phase.RUNNING:
                return self._exited(known, status)
            case events.Drained(_, size), Phase.ENDING:
                return self._completed(known, size, now_ms)
            case events.Signalled(_, name), Phase.RUNNING:
                return [commands.Signal(known.execution_id, name)]
            case events.Signalled(_, name), Phase.WAITING | Phase.ASKED:
                self._put(replace(known, signals=(*known.signals, name)))
            case events.Dropped(), Phase.COMPLETED:
                return self._forget(known)
            case events.Dropped(), _:
                dropped = self._put(replace(known, dropped=True))
                return [commands.Save(dropped), *self._one(dropped, _ended(known), now_ms)]
            case events.InputEnded(), Phase.WAITING | Phase.ASKED | Phase.RUNNING:
                return self._input_ended(known)
            case _:
                pass
        return []

    def _started(self, known: Execution) -> list[Command]:
        running = self._put(replace(known, phase=Phase.RUNNING, signals=()))
        found: list[Command] = [commands.Save(running)]
        found += [commands.Signal(known.execution_id, name) for name in known.signals]
        return found + ([commands.EndInput(known.execution_id)] if known.input_ended else [])

    def _input_ended(self, known: Execution) -> list[Command]:
        if known.input_ended or not known.has_stdin:
            return []
        ended = self._put(replace(known, input_ended=True))
        # Saved first: the next sidecar must not open again what was closed.
        is_running = known.phase is Phase.RUNNING
        return [
            commands.Save(ended),
            *([commands.EndInput(known.execution_id)] if is_running else []),
        ]

    def _exited(self, known: Execution, status: int) -> list[Command]:
        self._put(replace(known, phase=Phase.ENDING, exit_status=status))
        return [commands.Drain(known.execution_id)]

    def _completed(self, known: Execution, size: int, now_ms: int) -> list[Command]:
        done = self._put(replace(known, phase=Phase.COMPLETED, size=size, ended_ms=now_ms))
        # Saved first: after the release the pipes and the status are gone.
        found: list[Command] = [commands.Save(done), commands.Release(done.execution_id)]
        return found + (self._forget(done) if done.dropped else self._trim())

    # --- all of them

    def _listed(self, event: events.Listed) -> list[Command]:
        found: list[Command] = [commands.Drain(e.execution_id) for e in self._in(Phase.ENDING)]
        for each in [*self._in(Phase.ASKED), *self._in(Phase.RUNNING)]:
            if each.listing >= event.listing:
                continue  # asked for after the launcher was
            if (status := event.exits.get(each.execution_id)) is not None:
                found += self._exited(each, status)
            elif each.execution_id in event.running:
                found += self._started(each)
            elif each.execution_id in event.untouched:
                self._put(replace(each, phase=Phase.ASKED, listing=event.listing))
                found.append(commands.Spawn(each.execution_id))
            else:
                found += self._exited(each, LOST_STATUS)
        for each in self._in(Phase.COMPLETED):
            if each.execution_id in event.running:  # the release was lost with a sidecar
                found.append(commands.Release(each.execution_id))
        return found

    def _spawn_waiting(self) -> list[Command]:
        found: list[Command] = []
        for each in self._in(Phase.WAITING):
            asked = self._put(replace(each, phase=Phase.ASKED))
            # Saved first: who finds it WAITING starts it, and it must not run twice.
            found += [commands.Save(asked), commands.Spawn(each.execution_id)]
        return found

    def _trim(self) -> list[Command]:
        ended = sorted(self._in(Phase.COMPLETED), key=lambda each: each.ended_ms)
        size = sum(each.size for each in ended)
        found: list[Command] = []
        while len(ended) > KEPT_MAX or (size > KEPT_BYTES_MAX and len(ended) > 1):
            oldest = ended.pop(0)
            size -= oldest.size
            found += self._forget(oldest)
        return found

    def _forget(self, execution: Execution) -> list[Command]:
        del self.executions[execution.execution_id]
        return [commands.Forget(execution.execution_id)]

    def _report(self, *, is_asked: bool) -> list[Command]:
        executing = bool(self._open())
        if self.is_fenced or self._telling or (executing == self._told and not is_asked):
            return []
        # Silence means no: nothing is told before there is something to tell.
        if self._told is None and not executing and not is_asked:
            return []
        self._telling = True
        return [commands.Report(executing)]

    @property
    def _is_told(self) -> bool:
        """The journal knows, and nothing that says otherwise is under way."""
        return self._told is True and not self._telling

    def _open(self) -> list[Execution]:
        return [each for each in self.executions.values() if each.is_open]

    def _in(self, phase: Phase) -> list[Execution]:
        return [each for each in self.executions.values() if each.phase is phase]

    def _put(self, execution: Execution) -> Execution:
        self.executions[execution.execution_id] = execution
        return execution


def _ended(execution: Execution) -> events.Signalled:
    return events.Signalled(execution.execution_id, "TERM")
