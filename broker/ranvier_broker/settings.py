"""What the operator tells the broker: environment variables, read once at the start."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ranvier_broker.deadlines import Patience


class BadSetting(Exception):
    """A variable is missing or makes no sense; the message names it."""


@dataclass(frozen=True, slots=True)
class MountSettings:
    """One brokerMount: its axon, and how its agent is started and spoken to."""

    index: int
    axon_id: str
    protocol: str
    agent_binary: str
    launch_args: tuple[str, ...]
    working_directory: str
    patience: Patience


@dataclass(frozen=True, slots=True)
class Settings:
    """The broker of one pod."""

    api_url: str
    devbox_uid: str
    devbox_name: str
    namespace: str
    generation: int
    pod_uid: str
    token_file: Path
    io_dir: Path
    bin_dir: Path
    executions_dir: Path
    home: str
    home_dir: Path | None
    ready_port: int
    mounts: tuple[MountSettings, ...]

    def authorization(self) -> str:
        """The header's value: a bearer token from a file that is replaced from time to time."""
        return f"Bearer {self.token_file.read_text().strip()}"


VARIABLES: Final = {
    "RANVIER_API_URL": "address of the API server",
    "RANVIER_DEVBOX_UID": "uid of the Devbox resource",
    "RANVIER_DEVBOX_NAME": "its name, for the log",
    "RANVIER_NAMESPACE": "its namespace, for the log",
    "RANVIER_GENERATION": "generation of the devbox that this pod was created for",
    "RANVIER_POD_UID": "uid of this pod",
    "RANVIER_TOKEN_FILE": "file with the bearer token; read again for every request",
    "RANVIER_IO_DIR": "folder for named pipes, shared with the devbox container (/ranvier/io)",
    "RANVIER_BIN_DIR": "folder for launcher.sh, read by the devbox container (/ranvier/bin)",
    "RANVIER_EXECUTIONS_DIR": "folder for executions and their output, the broker's alone "
    "(/ranvier/executions)",
    "RANVIER_HOME": "home directory in the devbox container (/home/user)",
    "RANVIER_HOME_DIR": "where the home volume is mounted here; it is not looked at when left out",
    "RANVIER_READY_PORT": "port that answers 200 once every agent is ready (8089)",
    "RANVIER_MOUNTS": "JSON list of {index, axon_id, protocol, agent_binary, launch_args, "
    "working_directory, silence_deadline_seconds, turn_deadline_seconds, cancel_grace_seconds}",
}
"""Every variable with its meaning and, in parentheses, its default."""


def read(environment: Mapping[str, str]) -> Settings:
    """Settings from the environment. Raises BadSetting."""

    def get(name: str, default: str | None = None) -> str:
        value = environment.get(name) or default
        if value is None:
            raise BadSetting(f"{name} is not set: {VARIABLES[name]}")
        return value

    home = get("RANVIER_HOME", "/home/user")
    return Settings(
        api_url=get("RANVIER_API_URL").rstrip("/"),
        devbox_uid=get("RANVIER_DEVBOX_UID"),
        devbox_name=get("RANVIER_DEVBOX_NAME", ""),
        namespace=get("RANVIER_NAMESPACE", ""),
        generation=_number("RANVIER_GENERATION", get("RANVIER_GENERATION")),
        pod_uid=get("RANVIER_POD_UID", ""),
        token_file=Path(get("RANVIER_TOKEN_FILE")),
        io_dir=Path(get("RANVIER_IO_DIR", "/ranvier/io")),
        bin_dir=Path(get("RANVIER_BIN_DIR", "/ranvier/bin")),
        executions_dir=Path(get("RANVIER_EXECUTIONS_DIR", "/ranvier/executions")),
        home=home,
        home_dir=Path(folder) if (folder := environment.get("RANVIER_HOME_DIR")) else None,
        ready_port=_number("RANVIER_READY_PORT", get("RANVIER_READY_PORT", "8089")),
        mounts=_mounts(get("RANVIER_MOUNTS"), home),
    )


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise BadSetting(f"{name} is no number: {text!r}") from error


def _mounts(text: str, home: str) -> tuple[MountSettings, ...]:
    try:
        return tuple(_mount(entry, home) for entry in json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadSetting(f"RANVIER_MOUNTS can not be read: {error!r}") from error


def _mount(entry: Mapping[str, Any], home: str) -> MountSettings:
    # A relative directory is meant from home, as a shell's is after login.
    directory = Path(home) / (entry.get("working_directory") or "")
    return MountSettings(
        index=int(entry["index"]),
        axon_id=str(entry["axon_id"]),
        protocol=str(entry["protocol"]),
        agent_binary=str(entry["agent_binary"]),
        launch_args=tuple(str(argument) for argument in entry.get("launch_args") or ()),
        working_directory=str(directory),
        patience=_patience(entry),
    )


def _patience(entry: Mapping[str, Any]) -> Patience:
    """The limits that are given; the others are as `Patience` has them."""
    names = {
        "silence_ms": "silence_deadline_seconds",
        "turn_ms": "turn_deadline_seconds",
        "grace_ms": "cancel_grace_seconds",
    }
    given = {ms: entry.get(name) for ms, name in names.items()}
    return Patience(**{ms: int(s * 1000) for ms, s in given.items() if s is not None})
