"""A pod's containers become processes with this machine's paths."""

from typing import Any

import pytest
from ranvier.resources import Devbox
from ranvier_dev.pods import (
    Folders,
    PodState,
    Program,
    ProgramState,
    Unrunnable,
    programs,
    status,
    token_folders,
)
from ranvier_operator.manifests.pod import devbox_pod
from ranvier_operator.observed import pod_seen
from ranvier_operator.resolution import resolve
from ranvier_operator.settings import Settings

FOLDERS = Folders("/state/pods/p1", "/state/volumes/ns")
COMMANDS = {"ranvier-broker": ("python", "-m", "ranvier_broker")}


def pod(**spec: Any) -> dict[str, Any]:
    """The very pod that the operator makes."""
    metadata = {"name": "box", "namespace": "ns", "uid": "u-1"}
    devbox = Devbox.read({"metadata": metadata, "spec": {"image": "any", **spec}})
    resolved = resolve(devbox, None, {})
    assert resolved.pod is not None, resolved.problem
    made = devbox_pod(devbox, resolved.pod, 1, Settings())
    made["metadata"]["uid"] = "p1"
    return made


def plans(body: dict[str, Any], secrets: Any = None) -> dict[str, Program]:
    return {p.name: p for p in programs(body, FOLDERS, COMMANDS, secrets or {}, 4711)}


def test_the_operators_pod_becomes_a_broker_and_a_launcher() -> None:
    made = plans(pod())
    broker, devbox = made["broker"], made["devbox"]
    assert list(made) == ["broker", "devbox"]
    assert (broker.argv, broker.is_sidecar) == (COMMANDS["ranvier-broker"], True)
    assert broker.ready_port == 4711
    assert broker.environment["RANVIER_READY_PORT"] == "4711"
    assert broker.environment["RANVIER_IO_DIR"] == "/state/pods/p1/io"
    assert broker.environment["RANVIER_HOME"] == "/state/volumes/ns/box-home"
    assert broker.environment["RANVIER_POD_UID"] == "p1"
    assert devbox.argv[-1].endswith("/bin/sh /state/pods/p1/bin/launcher.sh /state/pods/p1/io")
    assert devbox.directory == devbox.environment["HOME"] == "/state/volumes/ns/box-home"


def test_the_token_lies_where_the_broker_reads_it() -> None:
    [path] = token_folders(pod(), FOLDERS)
    assert plans(pod())["broker"].environment["RANVIER_TOKEN_FILE"] == path


def test_variables_arrive_as_they_were_written() -> None:
    price = {"name": "PRICE", "value": "5$"}
    where = {"name": "WHERE", "value": "/home/user/x"}
    made = plans(pod(env=[price, where], launchCommands=["echo $HOME $$"]))
    assert made["devbox"].argv[-1] == "echo $HOME $$"
    assert made["devbox"].environment["PRICE"] == "5$"
    assert made["devbox"].environment["WHERE"] == "/state/volumes/ns/box-home/x"


def test_a_secret_that_is_not_there_is_named() -> None:
    body = pod()
    reference = {"name": "keys", "key": "token"}
    body["spec"]["containers"][0]["env"].append(
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": reference}}
    )
    assert plans(body, {"keys": {"token": "s3"}})["devbox"].environment["TOKEN"] == "s3"
    with pytest.raises(Unrunnable, match="variable TOKEN: Secret 'keys' with the key 'token'"):
        plans(body)


def seen(state: PodState) -> Any:
    body = pod()
    body["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return pod_seen({**body, "status": status(state)})


def test_the_operator_reads_the_status_as_it_is_meant() -> None:
    both = [ProgramState(program) for program in plans(pod()).values()]
    state = PodState("2026-01-01T00:00:00Z", both)
    assert (seen(state).phase, seen(state).ready) == ("Pending", False)
    for one in both:
        one.is_running = True
    assert (seen(state).phase, seen(state).ready, seen(state).scheduled) == ("Running", False, True)
    for one in both:
        one.is_ready = True
    assert seen(state).ready


def test_a_program_that_ended_is_told_with_its_exit() -> None:
    [_, devbox] = both = [ProgramState(program) for program in plans(pod()).values()]
    devbox.restarts, devbox.last_exit = 2, 3
    container = seen(PodState("2026-01-01T00:00:00Z", both)).containers[1]
    assert (container.restarts, container.last_end) == (2, "Error, exit code 3")
    assert container.waiting == ("CrashLoopBackOff", "")


def test_a_pod_that_can_not_run_says_why() -> None:
    trouble = PodState("2026-01-01T00:00:00Z", trouble="Secret 'keys' is not there")
    [container] = seen(trouble).containers
    assert container.waiting == ("CreateContainerConfigError", "Secret 'keys' is not there")
