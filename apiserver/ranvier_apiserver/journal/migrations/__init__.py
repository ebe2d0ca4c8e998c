"""Schema scripts of each engine, `NNNN_words.sql`, without gaps from 0001 on.

Script n brings version n - 1 to n, in one transaction, and is never changed once it was released.
Before one is added, `tests/support/journal_story.py` keeps what the version before it stored.
"""

import re
from dataclasses import dataclass
from importlib import resources
from typing import Final

GRAMMAR: Final = re.compile(r"(?P<number>\d{4})_[a-z0-9]+(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Script:
    number: int
    name: str
    text: str


def scripts(engine: str) -> list[Script]:
    """All scripts of an engine ("sqlite" or "postgresql"), in order."""
    folder = resources.files(__name__) / engine
    files = {file.name.removesuffix(".sql"): file for file in folder.iterdir()}
    ordered = [(number_of(name), name) for name in sorted(files)]
    if [number for number, _ in ordered] != list(range(1, len(ordered) + 1)):
        raise ValueError(f"Numbers of the {engine} migrations have a gap: {sorted(files)}.")
    return [Script(number, name, files[name].read_text()) for number, name in ordered]


def number_of(name: str) -> int:
    """The number in a migration's name; ValueError when that is none."""
    found = GRAMMAR.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no name for a migration; NNNN_words is.")
    return int(found["number"])
