"""Finds the directives in a prompt, wherever they stand between other words.

  [[bash CMD]]             call the agent's shell tool with CMD
  [[ask CMD]]              the same, asking to leave the sandbox where the tool has one
  [[write PATH :: TEXT]]   call the agent's write-file tool
  [[read PATH]]            call the agent's read-file tool
  [[text WORDS]]           stream WORDS, end of turn
  [[think WORDS :: TEXT]]  reason WORDS, then stream TEXT, end of turn
  [[slow MS N]]            stream N numbered chunks, MS milliseconds apart, end of turn
  [[both TEXT :: CMD]]     stream TEXT and call the shell tool in the same reply
  [[history]]              how many user prompts the request carries, and the first of them
  [[http CODE xN]]         HTTP error CODE
  [[drop xN]]              half a reply, then the connection is closed
  [[badsse xN]]            half a reply, a stream line that is not JSON, then the same
  [[hang SECONDS]]         headers, then nothing

`xN` makes a fault happen N times and then no more, which is how a retry is seen to succeed; without
it the fault stays. A directive ends at the first `]]`, so a command cannot contain one.
"""

import re
from dataclasses import dataclass

DIRECTIVE = re.compile(r"\[\[(\w+)(?:\s+(.*?))?\]\]", re.S)
TIMES = re.compile(r"\bx(\d+)$")
FAULTS = frozenset({"http", "drop", "badsse"})


@dataclass(frozen=True)
class Step:
    """One directive, and its place among all directives of the prompt."""

    place: int
    verb: str
    argument: str

    @property
    def times(self) -> int | None:
        """How often a fault happens; None for ever, and for all that is no fault."""
        found = TIMES.search(self.argument) if self.verb in FAULTS else None
        return int(found.group(1)) if found else None

    @property
    def halves(self) -> tuple[str, str]:
        """The argument on both sides of its `::`."""
        left, _, right = self.argument.partition("::")
        return left.strip(), right.strip()

    def __str__(self) -> str:
        return f"[[{self.verb} {self.argument}]]" if self.argument else f"[[{self.verb}]]"


def steps(prompt: str) -> tuple[Step, ...]:
    """The directives of a prompt in their order."""
    found = DIRECTIVE.findall(prompt)
    return tuple(
        Step(place, verb, argument.strip()) for place, (verb, argument) in enumerate(found)
    )


def prose(prompt: str) -> str:
    """A prompt without its directives."""
    return DIRECTIVE.sub("", prompt).strip()


def words(text: str) -> tuple[str, ...]:
    """Text in the chunks a model would stream it in: each word with the space after it."""
    return tuple(re.findall(r"\S+\s*", text)) or ("",)
