"""A devbox's log as Runloop's clients read it: its commands, what they wrote, how they ended.

The log is made of the executions that the devbox still knows, so it holds nothing twice and forgets
what they forget. Output bears no times of its own: a line has that of its command's start, and
errors follow output.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal

from pydantic import BaseModel

from ranvier_apiserver.executions.service import State

EXECUTIONS_MAX: Final = 64
"""The newest ones, of which an answer tells."""

LINES_MAX: Final = 1000
"""Last lines of each output of a command."""

LINE_CHARACTERS_MAX: Final = 8192
"""Of a line; the output's stream has all of it."""

_LEVELS: Final = (("stdout", "info"), ("stderr", "error"))


class LogView(BaseModel):
    """One entry: a command's start (`cmd`), a line of its output (`message`), its end
    (`exit_code`). `cmd_id` is the execution's id."""

    level: str
    source: Literal["exec"] = "exec"
    timestamp_ms: int
    cmd: str | None = None
    cmd_id: str
    exit_code: int | None = None
    message: str | None = None


class LogListView(BaseModel):
    """Oldest command first, each one's entries together."""

    logs: list[LogView]


def shown(known: Iterable[State], execution_id: str | None) -> list[State]:
    """The executions that a log tells of: commands, not the calls for files."""
    commands = [state for state in known if state.title]
    if execution_id is not None:
        return [state for state in commands if state.name == execution_id]
    return commands[-EXECUTIONS_MAX:]


def entries(state: State) -> Iterator[LogView]:
    """What there is to tell of one execution; its state holds the last lines."""

    def entry(level: str, at: int, **more: Any) -> LogView:
        return LogView(level=level, timestamp_ms=at, cmd_id=state.name, **more)

    yield entry("info", state.asked_ms, cmd=state.title)
    for output, level in _LEVELS:
        tail = state.stdout if output == "stdout" else state.stderr
        for line in tail.data.decode(errors="replace").splitlines():
            yield entry(level, state.asked_ms, message=line[:LINE_CHARACTERS_MAX])
    if state.is_completed:
        level = "error" if state.exit_status else "info"
        yield entry(level, state.ended_ms, exit_code=state.exit_status)
