"""The environment that the operator gives, read."""

import json
from pathlib import Path
from typing import Any

import pytest
from ranvier_broker import settings
from ranvier_broker.codecs import codec_for
from ranvier_broker.codecs.acp import AcpCodec
from ranvier_broker.deadlines import Patience

MOUNT: dict[str, Any] = {
    "index": 2,
    "axon_id": "axn_1",
    "protocol": "acp",
    "agent_binary": "opencode",
    "launch_args": ["acp"],
    "working_directory": "",
}
GIVEN = {
    "RANVIER_API_URL": "http://apiserver:8080/",
    "RANVIER_DEVBOX_UID": "uid",
    "RANVIER_GENERATION": "3",
    "RANVIER_TOKEN_FILE": "/token",
    "RANVIER_MOUNTS": json.dumps([MOUNT]),
}


def test_what_is_given_and_what_is_assumed() -> None:
    read = settings.read(GIVEN)
    assert read.api_url == "http://apiserver:8080"
    assert read.generation == 3
    assert (read.io_dir, read.bin_dir) == (Path("/ranvier/io"), Path("/ranvier/bin"))
    assert (read.home, read.ready_port) == ("/home/user", 8089)
    [mount] = read.mounts
    assert mount.launch_args == ("acp",)
    assert mount.working_directory == "/home/user"


@pytest.mark.parametrize(
    ("given", "meant"), [("work", "/home/user/work"), ("/srv", "/srv"), (None, "/home/user")]
)
def test_a_working_directory_is_meant_from_home(given: str | None, meant: str) -> None:
    mounts = json.dumps([{**MOUNT, "working_directory": given, "launch_args": None}])
    [mount] = settings.read({**GIVEN, "RANVIER_MOUNTS": mounts}).mounts
    assert mount.working_directory == meant
    assert mount.launch_args == ()


def test_deadlines_are_taken_in_seconds_and_are_the_brokers_own_where_not_given() -> None:
    [mount] = settings.read(GIVEN).mounts
    assert mount.patience == Patience()
    given = {"silence_deadline_seconds": 2, "turn_deadline_seconds": 60, "cancel_grace_seconds": 1}
    mounts = json.dumps([{**MOUNT, **given}])
    [mount] = settings.read({**GIVEN, "RANVIER_MOUNTS": mounts}).mounts
    assert mount.patience == Patience(silence_ms=2_000, turn_ms=60_000, grace_ms=1_000)
    mounts = json.dumps([{**MOUNT, "turn_deadline_seconds": None}])
    [mount] = settings.read({**GIVEN, "RANVIER_MOUNTS": mounts}).mounts
    assert mount.patience.turn_ms is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RANVIER_API_URL", ""),
        ("RANVIER_GENERATION", "three"),
        ("RANVIER_MOUNTS", "{"),
        ("RANVIER_MOUNTS", '[{"index": 0}]'),
        ("RANVIER_MOUNTS", "[5]"),
    ],
)
def test_a_bad_variable_is_named(name: str, value: str) -> None:
    with pytest.raises(settings.BadSetting, match=name):
        settings.read({**GIVEN, name: value})


def test_every_variable_is_described() -> None:
    assert GIVEN.keys() <= settings.VARIABLES.keys()


def test_a_protocol_without_a_codec_is_refused_by_its_name() -> None:
    codec, refusal = codec_for("acp", "/")
    assert isinstance(codec, AcpCodec)
    assert refusal is None
    _, refusal = codec_for("semaphore", "/")
    assert refusal is not None
    assert refusal.startswith(
        "protocol semaphore is not supported by this version; it speaks: acp,"
    )
