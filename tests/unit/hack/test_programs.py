"""Programs that run for a `with` block, and what stands on them; kubectl is played by a script."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kind.errors import Failure
from stage.forward import ApiForward
from stage.kube_calls import CallFailed, KubeProxy
from stage.neighbour import SandboxController
from stage.program import Program

BOUND_SECONDS = 20.0
Played = Callable[[str], dict[str, str]]


def shell(script: str) -> Program:
    return Program(["sh", "-c", script], os.environ)


@pytest.fixture
def kubectl(tmp_path: Path) -> Played:
    """An environment whose kubectl is this script."""

    def play(script: str) -> dict[str, str]:
        path = tmp_path / "kubectl"
        path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
        path.chmod(0o755)
        return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    return play


def test_a_program_lives_as_long_as_its_block_and_its_words_are_kept() -> None:
    with shell("echo one; echo two >&2; exec sleep 60") as program:
        assert program.until("^tw", BOUND_SECONDS)
        assert not program.has_ended
    assert program.has_ended
    assert program.said == "one\ntwo\n"


def test_who_waits_for_a_word_hears_of_the_end_and_of_the_time() -> None:
    with shell("echo last words; exit 3") as program:
        assert program.until("never said", None) is None
        assert program.said == "last words\n"
    with shell("exec sleep 60") as program:
        assert program.until("never said", 0.05) is None


def test_a_controller_that_ends_by_itself_is_a_failure_with_its_words(tmp_path: Path) -> None:
    program = tmp_path / "controller"
    program.write_text("#!/bin/sh\necho no such flag: $1\n")
    program.chmod(0o755)
    controller = SandboxController(os.environ, program, 1)
    controller.__enter__()
    assert wait_for(lambda: controller.has_ended)
    with pytest.raises(Failure, match="no such flag: --leader-elect"):
        controller.end()


def test_a_proxy_is_where_kubectl_says_and_its_refusal_is_told(kubectl: Played) -> None:
    with KubeProxy(kubectl("echo Starting to serve on 127.0.0.1:1234; exec sleep 60")) as proxy:
        assert proxy.url == "http://127.0.0.1:1234"
    with (
        pytest.raises(CallFailed, match="did not start: no configuration"),
        KubeProxy(kubectl("echo no configuration >&2; exit 1")),
    ):
        pass


def test_a_forward_goes_on_when_its_pod_is_gone(kubectl: Played, tmp_path: Path) -> None:
    tries, gone = tmp_path / "tries", tmp_path / "gone"
    env = kubectl(
        "echo $$ >> tries\necho Forwarding from 127.0.0.1\n"
        "while [ ! -e gone ]; do sleep 0.02; done; rm gone\n"
        "echo error: lost connection to pod; exec sleep 60"
    )
    with ApiForward(env) as forward:
        url = forward.url
        gone.touch()
        assert wait_for(lambda: len(tries.read_text().split()) == 2)
        assert forward.url == url
    pids = tries.read_text().split()
    assert wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def wait_for(fact: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + BOUND_SECONDS
    while not fact() and time.monotonic() < deadline:
        time.sleep(0.01)
    return fact()
