"""Programs that stand in the documentation: written to files and run as processes of their own."""

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from axon_client import FACT_SECONDS_MAX
from broker_box import API_KEY, Server

DOCS = Path(__file__).resolve().parents[2] / "docs"
NAMED = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELL = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Page:
    """One page of the documentation, its programs unpacked into a folder."""

    def __init__(self, name: str, folder: Path, server: Server, **environment: str) -> None:
        self.text = (DOCS / name).read_text(encoding="utf-8")
        self.folder = folder
        self.programs = {found[1]: found[2] for found in NAMED.finditer(self.text)}
        for program, text in self.programs.items():
            (folder / program).write_text(text, encoding="utf-8")
        self._running: list[subprocess.Popen[str]] = []
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RANVIER_BASE_URL": server.url,
            "RANVIER_API_KEY": API_KEY,
            "XDG_STATE_HOME": str(folder / "state"),
            "PORT": "0",
            **environment,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for process in self._running:
            self.kill(process)

    def start(self, program: str, **environment: str) -> "subprocess.Popen[str]":
        """A program that goes on; its first line of output can be read."""
        process = subprocess.Popen(
            [sys.executable, program],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        return process

    def kill(self, process: "subprocess.Popen[str]") -> None:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    async def said(self, process: "subprocess.Popen[str]") -> str:
        """The next line that it prints."""
        assert process.stdout is not None
        reading = asyncio.to_thread(process.stdout.readline)
        return (await asyncio.wait_for(reading, FACT_SECONDS_MAX)).strip()

    async def run(self, *command: str, **environment: str) -> str:
        """A command that ends, well; returns what it prints."""
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FACT_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    async def run_program(self, program: str, *arguments: str, **environment: str) -> str:
        return await self.run(sys.executable, "-W", "error", program, *arguments, **environment)

    async def run_shell(self, number: int, **environment: str) -> str:
        """The page's shell block of this number, from 0."""
        script = "set -euo pipefail\n" + SHELL.findall(self.text)[number]
        return await self.run("bash", "-c", script, **environment)


class Receiver:
    """Something on the network that is sent JSON: a chat, a phone."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.keys.append(self.headers.get("idempotency-key"))
                receiver.bodies.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    async def until(self, holds: Callable[[list[dict[str, Any]]], Any]) -> None:
        deadline = time.monotonic() + FACT_SECONDS_MAX
        while not holds(self.bodies):
            assert time.monotonic() < deadline, self.bodies
            await asyncio.sleep(0.01)
