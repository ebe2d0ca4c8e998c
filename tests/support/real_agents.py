"""Real agents for the conformance suite: brought by npm once, a scripted model behind them.

They run outside any cluster, in a home of the test's own, and talk to loopback alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dialects import Acp, Cast, Claude, Environment, Words
from kind.agents import bring
from kind.places import Places
from kind.progress import Progress
from model.record_acp import opencode_environment
from model.record_claude import claude_environment
from model.recording import scripted_model

FACT_SECONDS_MAX = 60.0
"""On a loaded machine an agent took 4.2 s to start, and a test starts some."""


def program(name: str, *arguments: str) -> Callable[[], Sequence[str]]:
    """An agent of `kind.agents`."""
    return lambda: (str(bring(name, Places.from_environment(), Progress())), *arguments)


@contextmanager
def claude(home: Path) -> Iterator[Environment]:
    with scripted_model() as port:
        yield claude_environment(home, port)


@contextmanager
def opencode(home: Path) -> Iterator[Environment]:
    with scripted_model() as port:
        yield opencode_environment(home, port)


REAL_WORDS = Words(say="[[text {}]]", ask="[[bash touch asked.txt]]", tool="[[bash ls]]")
REAL = (
    Cast(
        *("acp-opencode", Acp(), program("opencode", "acp"), opencode),
        Words(**{**vars(REAL_WORDS), "tool_asks": True}),
        FACT_SECONDS_MAX,
    ),
    Cast("claude-real", Claude(), program("claude"), claude, REAL_WORDS, FACT_SECONDS_MAX),
)
"""One for each agent that an image of ours carries."""
