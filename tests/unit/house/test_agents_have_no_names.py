"""An agent that nobody named works by configuration alone, so no code may know one by its name.

Three protocols are one product's own, and are called after it: their codecs may say its name. Words
in comments and docstrings do not count; what a program compares, imports or prints does.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

BROKER = Path(__file__).resolve().parents[3] / "broker" / "ranvier_broker"
AGENTS = re.compile(
    r"opencode|claude|anthropic|codex|openai|gemini|goose|copilot|cursor-?agent|qwen|kimi|aider"
    r"|mistral|vibe|cline|amp-?acp|auggie|junie|openhands|stakpak|hermes",
    re.IGNORECASE,
)
PROTOCOLS = re.compile(r"^(claude_json|codex_app_server|codex_json|pi_json)$")
"""Runloop's names of protocols, which a mount chooses by."""

OWN_CODECS = {
    path.relative_to(BROKER)
    for product in ("claude", "codex", "pi")
    for path in (BROKER / "codecs").glob(f"{product}*.py")
}
MODULES = sorted(
    path
    for path in BROKER.rglob("*.py")
    if path.relative_to(BROKER) not in OWN_CODECS and path != BROKER / "codecs" / "__init__.py"
)
"""All but the codecs of those protocols and the register that names them."""


def words(source: str) -> Iterator[str]:
    """Every name and every text of a program, without comments and docstrings."""
    tree = ast.parse(source)
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as text) if id(node) not in told:
                yield text
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.alias(name=name):
                yield name
            case ast.ImportFrom(module=str() as name):
                yield name


def named(source: str) -> list[str]:
    return [word for word in words(source) if AGENTS.search(word) and not PROTOCOLS.match(word)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(BROKER).as_posix())
def test_the_broker_knows_no_agent_by_name(path: Path) -> None:
    assert named(path.read_text(encoding="utf-8")) == []


def test_the_shell_scripts_of_the_broker_know_none_either() -> None:
    for path in BROKER.rglob("*.sh"):
        assert not AGENTS.search(path.read_text(encoding="utf-8")), path


def test_the_register_holds_names_of_protocols_alone() -> None:
    tree = ast.parse((BROKER / "codecs" / "__init__.py").read_text(encoding="utf-8"))
    keys = {
        key.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    assert keys == {"acp", "claude_json", "codex_app_server", "codex_json", "pi_json"}


@pytest.mark.parametrize(
    "planted",
    [
        'if binary == "opencode":\n    retry()',
        "from quirks import gemini",
        'assert info["name"] in ("x", "claude-agent-acp")',
    ],
)
def test_a_name_that_slipped_in_is_found(planted: str) -> None:
    assert named(planted)
