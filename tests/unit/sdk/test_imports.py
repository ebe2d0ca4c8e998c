"""What importing the SDK brings in: a broker pays for it at every wake, a user at every start."""

import subprocess
import sys
import time

import pytest

PROGRAM = "import sys; {}; print(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"


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


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    import ranvier

    with pytest.raises(AttributeError, match="no attribute 'Runloop'"):
        _ = ranvier.Runloop
