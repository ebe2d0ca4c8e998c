"""What the devbox container runs, with real shells and the real launcher."""

import asyncio
import base64
import contextlib
import functools
import http.server
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ranvier_operator.manifests.broker import BIN_DIR, IO_DIR
from ranvier_operator.manifests.start import start_command
from ranvier_operator.manifests.supplies import SAID_PATH, Supplies
from ranvier_operator.resolution import CodeWanted, FileWanted, SecretEntry

LAUNCHER = Path(__file__).parents[3] / "broker/ranvier_broker/launcher.sh"
BOUND = 20.0

Process = asyncio.subprocess.Process


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """The two folders that broker and container share, as the broker leaves them."""
    (tmp_path / "io").mkdir()
    (tmp_path / "bin").mkdir()
    for name in ("control", "events"):
        os.mkfifo(tmp_path / "io" / name)
    shutil.copy(LAUNCHER, tmp_path / "bin")
    return tmp_path


async def start(
    room: Path,
    commands: tuple[str, ...] = (),
    entrypoint: str | None = None,
    supplies: Supplies = (),
    **environment: str,
) -> Process:
    """The container's process; its paths are those of the room, `$$` is `$` as in Kubernetes."""
    words = [
        word.replace("$$", "$")
        .replace(BIN_DIR, str(room / "bin"))
        .replace(IO_DIR, str(room / "io"))
        .replace(SAID_PATH, str(room / "said"))
        for word in start_command(commands, entrypoint, supplies, str(room))
    ]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *words,
        cwd=room,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,
        env={**os.environ, **environment},
    )


async def end(room: Path, process: Process) -> None:
    process.send_signal(signal.SIGTERM)
    # A signal that comes just before a shell's `read` blocks is heard with the next line.
    control = os.open(room / "io" / "control", os.O_RDWR | os.O_NONBLOCK)
    os.write(control, b"\n")
    assert await asyncio.wait_for(process.wait(), BOUND) == 0
    os.close(control)


async def launcher_answers(room: Path) -> None:
    """The launcher says `ready` as soon as it serves."""
    read = os.open(room / "io" / "events", os.O_RDWR | os.O_NONBLOCK)
    said = b""
    try:
        async with asyncio.timeout(BOUND):
            while b"ready" not in said:
                await asyncio.sleep(0.01)
                try:
                    said += os.read(read, 100)
                except BlockingIOError:
                    continue
    finally:
        os.close(read)


async def test_launch_commands_run_in_order_before_the_launcher(room: Path) -> None:
    commands = ("echo 'it is' > order", 'echo "$HOME $(cat order)" > order; export NOT_KEPT=1')
    process = await start(room, commands, None)
    await launcher_answers(room)
    assert (room / "order").read_text() == f"{os.environ['HOME']} it is\n"
    await end(room, process)


async def test_a_failing_launch_command_names_itself_and_ends_the_container(room: Path) -> None:
    process = await start(room, ("exit 7", "touch never"), None)
    _, said = await process.communicate()
    assert process.returncode == 7
    assert said.decode() == "ranvier: This launch command failed with exit code 7: exit 7\n"
    assert (room / "said").read_text() == "This launch command failed with exit code 7: exit 7\n"
    assert not (room / "never").exists()


async def test_the_container_ends_with_the_entrypoint_and_its_exit_code(room: Path) -> None:
    entrypoint = "until [ -f go ]; do sleep 0.05; done; exit 5"
    process = await start(room, ("echo ready > launched",), entrypoint)
    await launcher_answers(room)
    assert process.returncode is None
    assert (room / "launched").exists()
    (room / "go").touch()
    assert await asyncio.wait_for(process.wait(), BOUND) == 5


async def test_a_stop_gives_the_entrypoint_time_to_end(room: Path) -> None:
    entrypoint = "trap 'sleep 0.3; touch ended; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    process = await start(room, (), entrypoint)
    await launcher_answers(room)
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), BOUND) == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), BOUND) == 0
    assert (room / "ended").exists()


AWKWARD = "a\n$HOME $(id) `id` 100% \\0057 \\n 'q' \"q\" /home/user/x äöü 🦊" * 900 + "\n\n"


@pytest.mark.parametrize("content", ["", "one line", AWKWARD])
async def test_files_are_there_before_the_launch_commands_byte_for_byte(
    room: Path, content: str
) -> None:
    file = FileWanted(f"{room}/a b/c's", content)
    process = await start(room, ("cp 'a b'/* seen",), supplies=(file,))
    await launcher_answers(room)
    assert (room / "seen").read_bytes() == content.encode()
    await end(room, process)


async def test_a_file_in_the_home_directory_is_written_again_only_when_it_was_changed_here(
    room: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("etc") / "conf"
    files = (FileWanted(f"{room}/notes", "first"), FileWanted(str(outside), "conf"))
    for told, kept in ((files, "first"), (files, "mine"), (files, "mine")):
        await end(room, await started(room, told))
        assert (room / "notes").read_text() == kept
        assert outside.read_text() == "conf"
        (room / "notes").write_text("mine")
        outside.unlink()  # a container's own disk does not outlive a sleep
    await end(room, await started(room, (FileWanted(f"{room}/notes", "second"),)))
    assert (room / "notes").read_text() == "second"


async def started(room: Path, supplies: Supplies, **environment: str) -> Process:
    process = await start(room, supplies=supplies, **environment)
    await launcher_answers(room)
    return process


async def test_a_file_that_can_not_be_written_ends_the_start_with_a_sentence(room: Path) -> None:
    (room / "plain").touch()
    process = await start(room, ("touch never",), supplies=(FileWanted(f"{room}/plain/x", "1"),))
    await process.communicate()
    assert process.returncode == 1
    assert (room / "said").read_text() == f"The folder of {room}/plain/x can not be made.\n"
    assert not (room / "never").exists()


# --- code


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main")
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of two commits, as a web server hands it out."""
    work = tmp_path_factory.mktemp("work")
    git(work, "init", "--quiet")
    for word in ("one", "two"):
        (work / "word").write_text(word)
        git(work, "add", "word")
        git(work, "commit", "--quiet", "-m", word)
    git(work, "tag", "first", "HEAD~1")
    git(work, "branch", "other", "first")
    bare = tmp_path_factory.mktemp("served") / "tool.git"
    git(work, "clone", "--quiet", "--bare", str(work), str(bare))
    git(bare, "update-server-info")
    return bare


def code(room: Path, url: str, **more: Any) -> CodeWanted:
    fields = {"ref": "", "install_command": "", "token": None, **more}
    return CodeWanted(index=0, path=f"{room}/tool", url=url, **fields)


@pytest.mark.parametrize(
    ("ref", "word"), [("", "two"), ("other", "one"), ("first", "one"), ("main", "two")]
)
async def test_code_is_cloned_at_its_reference_and_left_alone_afterwards(
    room: Path, origin: Path, ref: str, word: str
) -> None:
    wanted = code(room, f"file://{origin}", ref=ref, install_command="echo ran >>../installed")
    process = await start(room, ("cp tool/word seen",), supplies=(wanted,))
    await launcher_answers(room)
    assert (room / "seen").read_text() == word
    (room / "tool" / "word").write_text("mine")
    await end(room, process)
    shutil.rmtree(origin)
    await end(room, await started(room, (wanted,)))
    assert (room / "tool" / "word").read_text() == "mine"
    assert (room / "installed").read_text() == "ran\n"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"url": "file:///none/tool.git"}, "Code mount file:///none/tool.git can not be cloned: "),
        ({"ref": "none"}, "has no branch, tag or commit none: "),
        ({"install_command": "exit 9"}, "The install command of code mount "),
    ],
)
async def test_code_that_can_not_be_had_ends_the_start_with_a_sentence(
    room: Path, origin: Path, change: dict[str, str], sentence: str
) -> None:
    wanted = replace(code(room, f"file://{origin}"), **change)
    for _ in range(2):
        process = await start(room, ("touch never",), supplies=(wanted,))
        await process.communicate()
        assert process.returncode == (9 if "install_command" in change else 1)
        assert sentence in (room / "said").read_text()
    assert not (room / "never").exists()
    mended = replace(wanted, url=f"file://{origin}", ref="", install_command="")
    await end(room, await started(room, (mended,)))
    assert (room / "tool" / "word").read_text() == "two"


async def test_a_token_serves_the_clone_and_nothing_after_it(room: Path, origin: Path) -> None:
    asked: list[str] = []
    with serving(origin.parent, asked) as url:
        secret = SecretEntry("s", "token-0")
        wanted = code(room, f"{url}/tool.git", token=secret)
        variable = {"RANVIER_CODE_TOKEN_0": "t0ken"}
        process = await start(room, ("env >seen",), supplies=(wanted,), **variable)
        await launcher_answers(room)
    assert (room / "tool" / "word").read_text() == "two"
    assert base64.b64encode(b"x-access-token:t0ken").decode() in asked
    kept = (room / "seen", room / "tool/.git/config", Path(f"/proc/{process.pid}/environ"))
    for path in kept:
        assert b"t0ken" not in path.read_bytes(), path
    await end(room, process)


@contextlib.contextmanager
def serving(folder: Path, asked: list[str]) -> Iterator[str]:
    """The folder over HTTP, for those who bring a password."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            word = self.headers.get("authorization", "").removeprefix("Basic ")
            if word:
                asked.append(word)
                super().do_GET()
                return
            self.send_response(401)
            self.send_header("www-authenticate", 'Basic realm="git"')
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
