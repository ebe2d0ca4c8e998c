"""What the devbox container runs, with real shells and the real launcher."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import pytest
from ranvier_operator.manifests.broker import BIN_DIR, IO_DIR
from ranvier_operator.manifests.start import start_command

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


async def start(room: Path, commands: tuple[str, ...], entrypoint: str | None) -> Process:
    """The container's process; its paths are those of the room, `$$` is `$` as in Kubernetes."""
    words = [
        word.replace("$$", "$")
        .replace(BIN_DIR, str(room / "bin"))
        .replace(IO_DIR, str(room / "io"))
        for word in start_command(commands, entrypoint)
    ]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *words, cwd=room, stdout=pipe, stderr=pipe, start_new_session=True
    )


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
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_a_failing_launch_command_names_itself_and_ends_the_container(room: Path) -> None:
    process = await start(room, ("exit 7", "touch never"), None)
    _, said = await process.communicate()
    assert process.returncode == 7
    assert said.decode() == "ranvier: this launch command failed with exit code 7: exit 7\n"
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
