"""The house's own rules, as far as a machine can hold them."""

import operator
import re
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [
    path
    for folder in ("operator", "broker", "apiserver", "sdk", "hack")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
LINES_MAX = 400
"""A module this long is looked at again; 80 to 250 lines is the rule."""


def test_the_operator_folder_does_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    assert Path(operator.__file__).parent == Path(sysconfig.get_paths()["stdlib"])


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_module_says_its_idea_first_and_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    body = text.split("\n", 1)[1] if text.startswith("#!") else text
    assert not text or body.startswith('"""'), "a module opens with its idea"
    assert len(text.splitlines()) <= LINES_MAX
    assert path.stem not in {"utils", "helpers", "common", "manager", "util", "misc"}


@pytest.mark.parametrize(
    "name",
    ["requirements.lock", "requirements-dev.lock", "hack/uv.lock", "images/ranvier/build.lock"],
)
def test_locks_hold_names_versions_and_hashes_but_no_addresses(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert not re.search(r"https?://|--index-url|--find-links", text)
    assert not (ROOT / "uv.lock").exists()


def test_every_test_named_in_the_guarantees_exists() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    cited = re.findall(r"`(tests/[\w/.-]+\.py)(?:::(\w+))?`", text)
    assert cited
    for path, name in cited:
        file = ROOT / path
        assert file.is_file(), f"{path} is cited and does not exist"
        assert not name or name in file.read_text(encoding="utf-8"), f"{path} has no {name}"
