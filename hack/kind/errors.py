"""The one error a user sees: what is wrong, and what to do next."""

from __future__ import annotations


class Failure(Exception):
    """Something the user can act on. Printed without a traceback."""

    def __init__(self, problem: str, next_step: str) -> None:
        super().__init__(f"{problem}\n  next: {next_step}")
        self.problem = problem
        self.next_step = next_step


class CommandFailed(Exception):
    """A program ended with an error; `output` is the end of what it said."""

    def __init__(self, command: list[str], code: int, output: str) -> None:
        super().__init__(f"{' '.join(command)} ended with code {code}\n{output}")
        self.command = command
        self.code = code
        self.output = output
