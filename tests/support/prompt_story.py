"""What somebody does with `ranvier prompt` and a real agent: one body, wherever the agent runs.

The agent is opencode with a scripted model behind it; it asks before it runs a command.
"""

import os
import sys
from collections.abc import Mapping

from terminal import Terminal

PATIENCE_SECONDS = 120.0
"""A real agent starts in two seconds, or in forty where ten programs want each core."""
QUESTION = r"Allow it\? \[y/n/a, a: always\] "


def terminal(url: str, key: str, axon_id: str) -> Terminal:
    """The command on a pseudo-terminal, not yet started."""
    environment: Mapping[str, str] = {"RANVIER_BASE_URL": url, "RANVIER_API_KEY": key}
    command = [sys.executable, "-m", "ranvier.cli", "prompt", "--axon", axon_id]
    return Terminal(command, {**os.environ, **environment}, PATIENCE_SECONDS)


def talk_to_an_agent(terminal: Terminal) -> None:
    """From the first prompt to Ctrl-D."""
    _a_tool_that_needs_permission(terminal)
    _a_turn_that_is_cancelled(terminal)
    _a_permission_that_is_refused(terminal)
    _a_question_that_is_cancelled(terminal)
    _several_lines_and_a_memory(terminal)
    terminal.type("half a prompt")
    terminal.shows("half a prompt")
    terminal.ctrl_c()
    terminal.shows("(Ctrl-C again or Ctrl-D leaves)")
    terminal.shows("› ")
    terminal.type("\x04")
    assert terminal.ends() == 0


def _a_tool_that_needs_permission(terminal: Terminal) -> None:
    terminal.shows("› ")
    terminal.enter("My word is marmalade. [[bash echo kept | tee word]] [[text One, two.]]")
    terminal.shows("● echo kept | tee word")
    terminal.matches(QUESTION)
    terminal.enter("y")
    terminal.shows("✓ echo kept | tee word\n  kept\n")
    terminal.shows("One, two.\n› ")


def _a_turn_that_is_cancelled(terminal: Terminal) -> None:
    terminal.enter("Slowly. [[slow 100 600]]")
    terminal.shows("tick3 ")
    terminal.ctrl_c()
    terminal.shows("(cancelled)\n› ")


def _a_permission_that_is_refused(terminal: Terminal) -> None:
    terminal.enter("Not that. [[bash touch never.txt]]")
    terminal.matches(QUESTION)
    terminal.enter("n")
    terminal.shows("✗ touch never.txt")
    terminal.shows("\n› ")


def _a_question_that_is_cancelled(terminal: Terminal) -> None:
    terminal.enter("Nor that. [[bash touch never.txt]]")
    terminal.matches(QUESTION)
    terminal.ctrl_c()
    terminal.shows("(cancelled)\n› ")


def _several_lines_and_a_memory(terminal: Terminal) -> None:
    """What is pasted is one prompt, whatever lines it has."""
    terminal.type("\x1b[200~What did I say\nfirst? [[history]]\x1b[201~\n")
    terminal.matches(r"HISTORY prompts=\d+ first=\"[^\"]*marmalade[^\"]*\"")
    terminal.shows("\n› ")
