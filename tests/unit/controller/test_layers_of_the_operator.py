"""Who may import what: pure modules know no I/O and no clock, and each outside system has one
door."""

import ast
from pathlib import Path

import pytest
import ranvier_operator

ROOT = Path(ranvier_operator.__path__[0])
PURE = {
    "asleep",
    "awake",
    "case",
    "conditions",
    "failures",
    "idleness",
    "kinds",
    "lifecycle",
    "manifests/broker",
    "manifests/pod",
    "manifests/start",
    "manifests/supplies",
    "manifests/volume",
    "naming",
    "observed",
    "plans",
    "resolution",
    "status",
    "troubles",
}
IMPURE_IMPORTS = {
    "asyncio",
    "httpx",
    "kopf",
    "kubernetes",
    "logging",
    "os",
    "random",
    "socket",
    "subprocess",
    "threading",
    "time",
    "urllib3",
}
DOORS = {
    "kopf": {"handlers", "__main__"},
    "kubernetes": {"cluster"},
    "httpx": {"journal"},
    "time": {"clock"},
}


def imports_of(module: str) -> set[str]:
    """Top-level packages that a module imports."""
    tree = ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix()
    for path in ROOT.rglob("*.py")
    if path.name != "__init__.py"
)


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_module_imports_no_io_and_no_clock(module: str) -> None:
    assert imports_of(module) & IMPURE_IMPORTS == set()


@pytest.mark.parametrize("module", MODULES)
def test_each_outside_system_has_one_door(module: str) -> None:
    for package, doors in DOORS.items():
        assert module in doors or package not in imports_of(module)


@pytest.mark.parametrize("module", sorted(PURE))
def test_a_pure_module_stands_on_pure_modules_only(module: str) -> None:
    tree = ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))
    used = {
        node.module.removeprefix("ranvier_operator.").replace(".", "/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith("ranvier_operator.")
    }
    assert used <= PURE | {"settings"}
