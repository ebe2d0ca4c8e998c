"""What importing the SDK brings in: a broker pays for it at every wake, a user at every start."""

import subprocess
import sys
import time
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

PROGRAM = "import sys; {}; print(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
TALK = (
    "sys.argv = ['ranvier', '--base-url', 'http://127.0.0.1:9', '--api-key', 'k', 'axon', 'list']; "
    "exec('try: cli.main()\\nexcept SystemExit: pass')"
)


def modules_after(statement: str) -> set[str]:
    started = time.monotonic()
    command = [sys.executable, "-c", PROGRAM.format(statement)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    print(f"{statement}: {(time.monotonic() - started) * 1000:.0f} ms with the interpreter's start")
    return set(done.stdout.split())


def test_importing_ranvier_brings_nothing_but_itself() -> None:
    assert not {"httpx", "pydantic", "asyncio", "typer"} & modules_after("import ranvier")


@pytest.mark.parametrize("name", ["Ranvier", "AsyncRanvier"])
def test_the_client_brings_httpx_and_pydantic_and_no_server(name: str) -> None:
    loaded = modules_after(f"from ranvier import {name}")
    assert {"httpx", "pydantic"} <= loaded
    assert not {"kopf", "kubernetes", "fastapi", "starlette", "uvicorn", "typer"} & loaded


def test_help_and_completion_wait_for_no_client() -> None:
    loaded = modules_after("import ranvier.cli.app")
    assert "typer" in loaded
    assert not {"httpx", "pydantic", "rich", "pygments"} & loaded


def test_a_command_does_not_import_the_command_line_of_httpx() -> None:
    loaded = modules_after("from ranvier import cli; " + TALK)
    assert "httpx" in loaded
    assert not {"rich", "pygments"} & loaded


def test_installing_the_sdk_alone_installs_no_server() -> None:
    found, waiting = set(), {"ranvier"}
    while waiting:
        found.add(name := waiting.pop())
        needed = map(Requirement, requires(name) or ())
        without_extras = {
            each.name.lower()
            for each in needed
            if each.marker is None or each.marker.evaluate({"extra": ""})
        }
        waiting |= without_extras - found
    assert {"httpx", "pydantic"} <= found
    assert not {"kopf", "kubernetes", "fastapi", "starlette", "uvicorn", "typer"} & found
    print(f"{len(found)} distributions: {', '.join(sorted(found))}")


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    import ranvier

    with pytest.raises(AttributeError, match="no attribute 'Runloop'"):
        _ = ranvier.Runloop
