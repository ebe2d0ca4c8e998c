"""The servers that `hack/bench/journal` measures: how each is brought, started and reached.

All of them acknowledge an append only when it is on disk. Each run has a folder of its own, listens
on loopback, and ends when it has been measured.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kind import debian
from kind.errors import Failure
from kind.go_programs import build_programs
from kind.places import Places
from kind.processes import run_logged
from kind.progress import Progress
from kind.recipe import GoProgram
from ranvier_dev.ports import free_port

from stage.shell import PYTHON

START_SECONDS_MAX: Final = 60.0
END_SECONDS_MAX: Final = 10.0
LOOK_SECONDS: Final = 0.05

RUST_VERSION: Final = "0.1.5"
NODE_PACKAGE: Final = "@durable-streams/server@0.3.7"
NATS: Final = GoProgram(
    name="nats-server",
    module="github.com/nats-io/nats-server/v2",
    version="v2.15.2",
)
KEY: Final = "rv_only_for_measuring"

NODE_SERVER: Final = """\
import { createRequire } from "node:module";
const { DurableStreamTestServer } = createRequire(process.argv[2] + "/")("@durable-streams/server");
const [port, dataDir] = process.argv.slice(3);
await new DurableStreamTestServer({ port: Number(port), host: "127.0.0.1", dataDir }).start();
"""


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that runs: what the load generator is told, and the process to look at."""

    target: str
    url: str
    process: subprocess.Popen[bytes]
    key: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where programs are brought to, and who is told."""

    places: Places
    progress: Progress

    @property
    def folder(self) -> Path:
        return self.places.cache / "bench"


Words = list[str | Path]
Argv = Sequence[str | Path]
Start = Callable[[Bench, Path, int, contextlib.ExitStack], Argv]


@dataclass(frozen=True, slots=True)
class Peer:
    """`argv` brings the program and returns the command for a data folder and a port, and leaves
    what it needs beside it to the stack; Failure when it can not be had here."""

    name: str
    target: str
    scheme: str
    argv: Start
    key: str = ""


def _ranvier(_: Bench, data: Path, port: int, __: contextlib.ExitStack) -> Argv:
    data.mkdir()
    (data / "keys").write_text(f"{KEY}\n")
    (data / "identities.json").write_text("{}")
    command: Words = [PYTHON, "-m", "ranvier_apiserver", "--data", data, "--host", "127.0.0.1"]
    command += ["--port", str(port), "--api-keys-file", data / "keys", "--identities", "static"]
    return [*command, "--static-identities-file", data / "identities.json"]


def _ranvier_postgresql(bench: Bench, data: Path, port: int, beside: contextlib.ExitStack) -> Argv:
    # Its client is needed for this row alone.
    from stage import postgresql

    url = beside.enter_context(postgresql.beside())
    return [*_ranvier(bench, data, port, beside), "--journal", url]


def _rust(bench: Bench, data: Path, port: int, _: contextlib.ExitStack) -> Argv:
    root = bench.folder / f"durable-streams-{RUST_VERSION}"
    program = root / "bin" / "durable-streams-server"
    if not program.exists():
        cargo = shutil.which("cargo")
        if cargo is None:
            raise Failure("there is no cargo here", "install Rust to measure its server too")
        wanted: Words = ["durable-streams", "--version", RUST_VERSION, "--locked", "--root", root]
        with bench.progress.step(f"building durable-streams {RUST_VERSION} (Rust)"):
            run_logged([cargo, "install", *wanted], bench.places.logs / "durable-streams.log")
    flags: Words = ["--durability", "wal", "--data-dir", data]
    return [program, "--host", "127.0.0.1", "--port", str(port), *flags]


def _node(bench: Bench, data: Path, port: int, _: contextlib.ExitStack) -> Argv:
    folder = bench.folder / NODE_PACKAGE.replace("@", "").replace("/", "-")
    if not (folder / "node_modules").exists():
        if not (debian.which("npm") and debian.which("node")):
            raise Failure("there is no Node here", "install Node.js to measure its server too")
        folder.mkdir(parents=True, exist_ok=True)
        with bench.progress.step(f"fetching {NODE_PACKAGE} (Node)"):
            command: Words = ["npm", "install", "--prefix", folder, "--no-save", NODE_PACKAGE]
            run_logged(command, bench.places.logs / "durable-streams-node.log")
    (folder / "server.mjs").write_text(NODE_SERVER)
    return ["node", folder / "server.mjs", folder, str(port), data]


def _redis(bench: Bench, data: Path, port: int, _: contextlib.ExitStack) -> Argv:
    if debian.which("redis-server") is None:
        debian.install(["redis-server"], "measuring Redis", bench.places, bench.progress)
    program = debian.which("redis-server")
    if program is None:
        raise Failure("there is no redis-server here", "install Redis to measure it too")
    data.mkdir()
    flags: Words = ["--bind", "127.0.0.1", "--port", str(port), "--dir", data, "--save", ""]
    return [program, *flags, "--appendonly", "yes", "--appendfsync", "always"]


def _nats(bench: Bench, data: Path, port: int, _: contextlib.ExitStack) -> Argv:
    program = build_programs([NATS], bench.places, bench.progress)[NATS.name]
    data.mkdir()
    settings = data / "nats.conf"
    settings.write_text(
        f'listen: "127.0.0.1:{port}"\n'
        f'jetstream {{ store_dir: "{data}", sync_interval: always }}\n'
        "max_payload: 8MB\n"
    )
    return [program, "--config", settings]


PEERS: Final = (
    Peer("ranvier (SQLite)", "ranvier", "http", _ranvier, KEY),
    Peer("ranvier (PostgreSQL)", "ranvier", "http", _ranvier_postgresql, KEY),
    Peer("durable-streams Rust, wal", "streams", "http", _rust),
    Peer("durable-streams Node, file", "streams", "http", _node),
    Peer("Redis Streams, always", "redis", "redis", _redis),
    Peer("NATS JetStream, always", "nats", "nats", _nats),
)


@contextlib.contextmanager
def serving(peer: Peer, bench: Bench, folder: Path) -> Iterator[Serving]:
    """The peer on an empty folder, ready to be asked. Raises Failure."""
    with contextlib.ExitStack() as beside:
        port = free_port()
        argv = [str(word) for word in peer.argv(bench, folder / "data", port, beside)]
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv, stdout=output, stderr=output, cwd=folder, env={**os.environ, "NO_COLOR": "1"}
            )
        beside.callback(_end, process)
        _until_listening(peer, process, port, log)
        yield Serving(peer.target, f"{peer.scheme}://127.0.0.1:{port}", process, peer.key)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _until_listening(peer: Peer, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            words = log.read_text(errors="replace")[-2000:]
            raise Failure(f"{peer.name} does not listen:\n{words}", "see whether it runs alone")
        time.sleep(LOOK_SECONDS)
