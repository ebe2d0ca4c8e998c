"""Plays what a page shows: its sessions at a terminal are typed, and their answers waited for.

In a `console` block `$ ` and `› ` are prompts of the shell and of `ranvier prompt`; what follows
is typed, `^C` and `^D` are keys, and a letter after a question's `]` is the answer. Every other
line is looked for on the screen, where a number stands for any number and `…` for anything.
"""

import re
from pathlib import Path

from terminal import Terminal

SHELL = ["bash", "--noprofile", "--norc", "--noediting"]

STEP_SECONDS_MAX = 60.0
"""A step may start a whole server, on a machine that is busy with other tests."""

_CHAPTER = re.compile(r"^## Devboxes\n.*?(?=^## )", re.S | re.M)
_QUESTION = re.compile(r"(\? .*\] )(\w+)$")


def blocks(text: str, language: str) -> list[str]:
    """The blocks of a page in a language."""
    return [block for _, block in parts(text, language)]


def parts(text: str, *languages: str) -> list[tuple[str, str]]:
    """The page's blocks in these languages, in their order: (language, block)."""
    wanted = "|".join(languages)
    return re.findall(rf"^```({wanted})\n(.*?)^```", text, re.S | re.M)


def devboxes(text: str) -> str:
    """The chapter of a page that needs devboxes."""
    [chapter] = _CHAPTER.findall(text)
    return str(chapter)


def without_devboxes(text: str) -> str:
    """The rest of the page."""
    return _CHAPTER.sub("", text)


def shell(env: dict[str, str], folder: Path) -> Terminal:
    """A shell on a terminal of its own, to be played on."""
    command = ["env", "-C", str(folder), *SHELL]
    own = {"PS1": "$ ", "PS2": "", "HISTFILE": "/dev/null"}
    return Terminal(command, {**env, **own}, STEP_SECONDS_MAX)


def play(terminal: Terminal, session: str) -> None:
    """Type what is typed and wait for what is shown."""
    for line in session.splitlines():
        if line.startswith("$ "):
            terminal.shows("$ ")
            terminal.enter(line.removeprefix("$ "))
        elif line.startswith("› "):
            terminal.shows("› ")
            typed = line.removeprefix("› ")
            terminal.type("\x04") if typed == "^D" else terminal.enter(typed)
        elif question := _QUESTION.match(line):
            terminal.matches(pattern(question[1]))
            terminal.enter(question[2])
        elif line.endswith("^C"):
            terminal.matches(pattern(line.removesuffix("^C")))
            terminal.ctrl_c()
        else:
            terminal.matches(pattern(line))


def pattern(line: str) -> str:
    """A line as a regular expression."""
    text = re.sub(r"\d+", r"\\d+", re.escape(line.strip()))
    return re.sub(r"(\\ )+", r"\\s+", text).replace("…", "[^\\n]*")
