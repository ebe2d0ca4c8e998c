"""Documents as programs: the code blocks under a heading, run as they stand.

A Python block may `await` at its top level, as pages about asyncio have it.
"""

import ast
import inspect
import io
import re
from pathlib import Path
from typing import Any

SEEDS = Path(__file__).with_name("seeds")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def blocks(page: Path, heading: str, language: str = "python") -> list[str]:
    """The code blocks of one language under one heading."""
    found = [text for kind, text in BLOCK.findall(_section(page, heading)) if kind == language]
    assert found, f"{page.name} has no {language} under {heading!r}"
    return found


def table(page: Path, heading: str) -> dict[str, list[str]]:
    """The rows of the table under a heading: first cell → the words of the second."""
    lines = [line for line in _section(page, heading).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {name: ", ".join(rest).replace(",", " ").split() for name, *rest in rows}


def _section(page: Path, heading: str) -> str:
    text = page.read_text(encoding="utf-8")
    after = re.split(rf"^## {re.escape(heading)}$", text, maxsplit=1, flags=re.MULTILINE)
    assert len(after) == 2, f"{page.name} has no heading {heading!r}"
    return HEADING.split(after[1])[0]


class Program:
    """Blocks that share their names; `shown` is what they have printed."""

    def __init__(self, *parts: str, **names: Any) -> None:
        self._parts = parts
        self._paper = io.StringIO()
        self.names: dict[str, Any] = {**names, "print": self._print}

    @property
    def shown(self) -> str:
        return self._paper.getvalue()

    async def run(self) -> None:
        """Run every block, one after the other."""
        for part in self._parts:
            code = compile(part, "<snippet>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            left: Any = eval(code, self.names)  # None, or a coroutine where the block awaits
            if inspect.iscoroutine(left):
                await left

    def _print(self, *values: Any, **options: Any) -> None:
        print(*values, file=self._paper, **options)
