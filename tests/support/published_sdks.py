"""Runloop's published SDKs beside the one in our lock: fetched once, by hash, kept by content.

They come from the registries that pip and npm of this machine are set up for, into the cache that
`hack/` keeps its own downloads in.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kind.cache import content_key, published
from kind.places import Places

HERE = Path(__file__).resolve().parent
TYPESCRIPT = HERE / "typescript"
JOURNEY_SECONDS = 180
LOCKED_VERSION = "3.0.0"
PYTHON_VERSIONS = pytest.mark.parametrize("version", [LOCKED_VERSION, "1.32.0"])


def python_sdk(version: str) -> Path:
    """A folder that holds one version of the Python SDK alone; its dependencies are our own."""
    lock = HERE / f"runloop-api-client-{version}.lock"
    folder = _cache("python-sdk", lock.read_bytes())
    if not folder.exists():
        with published(folder) as building:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            command += ["--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"]
            subprocess.run([*command, "--target", building, "-r", lock], check=True)
    return folder


def typescript_folder(folder: Path) -> Path:
    """Make `folder` a place where the TypeScript SDK can be imported, with our journeys in it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed: the TypeScript SDK can not run")
    for script in TYPESCRIPT.glob("*.mjs"):
        shutil.copy(script, folder)
    (folder / "node_modules").symlink_to(_node_modules())
    return folder


async def run_python(script: str, version: str, journey: str, **environment: str) -> None:
    """Run a journey of a script of this folder with a version of the Python SDK."""
    path = "" if version == LOCKED_VERSION else str(python_sdk(version))
    command = (sys.executable, str(HERE / script), journey, version)
    await run_process(HERE, *command, PYTHONPATH=path, **environment)


async def run_node(folder: Path, *arguments: str, **environment: str) -> None:
    """Run a script there; what it says when it fails is the test's message."""
    await run_process(folder, "node", *arguments, **environment)


async def run_process(folder: Path, *command: str, **environment: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(JOURNEY_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, said.decode()


def _node_modules() -> Path:
    files = [TYPESCRIPT / name for name in ("package.json", "package-lock.json")]
    folder = _cache("node-sdk", *(file.read_bytes() for file in files))
    if not folder.exists():
        with published(folder) as building:
            building.mkdir()
            for file in files:
                shutil.copy(file, building)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
            subprocess.run(command, cwd=building, check=True)
    return folder / "node_modules"


def _cache(kind: str, *parts: bytes) -> Path:
    return Places.from_environment().cache / kind / content_key(*parts)
