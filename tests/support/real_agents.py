"""Real agents for the conformance suite: brought by npm once, a scripted model behind them.

They run outside any cluster, in a home of the test's own, and talk to loopback alone.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from dialects import Acp, Cast, Claude, Codex, Pi, Words
from kind.agents import Program, bring
from kind.places import Places
from kind.progress import Progress
from model.record_acp import opencode_environment
from model.record_claude import claude_environment
from model.record_codex import codex_environment
from model.record_pi import pi_environment
from model.recording import scripted_model

REAL_SECONDS_MAX = 120.0
"""Two seconds suffice where two cores are free; with ten busy programs for each core an agent took
40 seconds to start and to answer."""

Settings = Callable[[Path, int], dict[str, str]]
"""What an agent needs in its environment: its home and the model's port in."""


def real(name: str, settings: Settings) -> Callable[[Path], AbstractContextManager[Program]]:
    """An agent of `kind.agents`, in front of a scripted model."""

    @contextmanager
    def program(home: Path) -> Iterator[Program]:
        found = bring(name, Places.from_environment(), Progress())
        with scripted_model() as port:
            yield replace(found, environment=found.environment | settings(home, port))

    return program


WORDS = Words(say="[[text {}]]", ask="[[bash touch asked.txt]]", tool="[[bash ls]]")
CODEX_WORDS = replace(WORDS, ask="[[ask touch asked.txt]]")  # to leave its sandbox
CASTS = (
    ("acp-opencode", Acp(), real("opencode", opencode_environment), replace(WORDS, tool_asks=True)),
    ("acp-claude", Acp(), real("claude-agent-acp", claude_environment), WORDS),
    ("claude-real", Claude(), real("claude", claude_environment), WORDS),
    ("codex-real", Codex(), real("codex", codex_environment), CODEX_WORDS),
    ("pi-real", Pi(), real("pi", pi_environment), WORDS),
)
REAL = tuple(Cast(*cast, REAL_SECONDS_MAX) for cast in CASTS)
"""One for each agent that an image of ours carries."""
