"""Runloop's mounts as those of a Devbox resource: agents, files and code. Pure.

Files and code have an older place beside `mounts` too, which means the same. A code mount's token
is no word for a resource that many may read: it goes into a Secret of the devbox's own.
"""

from collections.abc import Iterator
from typing import Any, Final

from ranvier.resources import AgentProtocol
from ranvier.resources.mounts import (
    BROKER_MOUNTS_MAX,
    FILE_CHARACTERS_MAX,
    FILES_BYTES_MAX,
    MOUNTS_MAX,
)

from ranvier_apiserver.errors import InvalidField
from ranvier_apiserver.runloop.params import CreateDevbox, MountParams

BROKER_MOUNT: Final = "broker_mount"
FILE_MOUNT: Final = "file_mount"
CODE_MOUNT: Final = "code_mount"
CODE_HOST: Final = "https://github.com"
"""Where `repo_owner` and `repo_name` are; `codeMount.url` of the resource names any other."""


def all_of(params: CreateDevbox) -> list[tuple[str, MountParams]]:
    """Every mount and the field where it stands, in the order of the resource's list."""
    found = [(f"mounts.{index}", mount) for index, mount in enumerate(params.mounts or ())]
    for target, content in (params.file_mounts or {}).items():
        mount = MountParams(type=FILE_MOUNT, target=target, content=content)
        found.append((f"file_mounts.{target}", mount))
    for index, code in enumerate(params.code_mounts or ()):
        mount = MountParams(type=CODE_MOUNT, **code.model_dump())
        found.append((f"code_mounts.{index}", mount))
    return found


def check(params: CreateDevbox) -> None:
    """Refuse what can not be carried out, by its field."""
    mounts = all_of(params)
    if len(mounts) > MOUNTS_MAX:
        raise InvalidField(f"mounts: a devbox has at most {MOUNTS_MAX}, files and code counted.")
    if len(axon_ids(params)) > BROKER_MOUNTS_MAX:
        raise InvalidField(f"mounts: a devbox has at most {BROKER_MOUNTS_MAX} broker mounts.")
    for where, mount in mounts:
        known = _CHECKS.get(mount.type)
        if known is None:
            raise InvalidField(
                f"{where}.type: {mount.type} is not served by this version, "
                f"{', '.join(_CHECKS)} are; put the rest into the image, or fetch it with "
                "launch_commands."
            )
        known(where, mount)
    if sum(len((mount.content or "").encode()) for _, mount in mounts) > FILES_BYTES_MAX:
        raise InvalidField(
            f"file mounts: together they hold at most {FILES_BYTES_MAX} bytes; upload larger files "
            "when the devbox runs."
        )


def axon_ids(params: CreateDevbox) -> list[str]:
    """The axons that it will serve; all must exist."""
    return [mount.axon_id or "" for _, mount in all_of(params) if mount.type == BROKER_MOUNT]


def tokens(params: CreateDevbox) -> dict[str, str]:
    """What the devbox's own Secret holds: the tokens of its code mounts, by entry."""
    return {
        _entry(index): mount.token
        for index, (_, mount) in enumerate(all_of(params))
        if mount.type == CODE_MOUNT and mount.token
    }


def resource(params: CreateDevbox, token_secret: str) -> list[dict[str, Any]]:
    """`spec.mounts`; `token_secret` is the name of the Secret that holds `tokens`."""
    return [
        _resource(mount, {"name": token_secret, "key": _entry(index)})
        for index, (_, mount) in enumerate(all_of(params))
    ]


def _entry(index: int) -> str:
    return f"token-{index}"


def _resource(mount: MountParams, token: dict[str, str]) -> dict[str, Any]:
    if mount.type == FILE_MOUNT:
        return {"fileMount": {"path": mount.target, "content": mount.content or ""}}
    if mount.type == CODE_MOUNT:
        return {"codeMount": dict(_code(mount, token))}
    found = {
        "axonId": mount.axon_id,
        "protocol": mount.protocol or AgentProtocol.ACP.value,
        "agentBinary": mount.agent_binary,
        "launchArgs": list(mount.launch_args or ()),
        "workingDirectory": mount.working_directory,
    }
    return {"brokerMount": {name: value for name, value in found.items() if value}}


def _code(mount: MountParams, token: dict[str, str]) -> Iterator[tuple[str, Any]]:
    yield "url", f"{CODE_HOST}/{mount.repo_owner}/{mount.repo_name}.git"
    yield "path", mount.repo_name
    if mount.git_ref:
        yield "ref", mount.git_ref
    if mount.install_command:
        yield "installCommand", mount.install_command
    if mount.token:
        yield "tokenSecret", token


def _check_agent(where: str, mount: MountParams) -> None:
    if not mount.axon_id:
        raise InvalidField(f"{where}.axon_id: name the axon; POST /v1/axons makes one.")
    protocol = mount.protocol or AgentProtocol.ACP.value
    if protocol not in {known.value for known in AgentProtocol}:
        raise InvalidField(f"{where}.protocol: must be of {', '.join(AgentProtocol)}.")
    if protocol == AgentProtocol.ACP and not mount.agent_binary:
        raise InvalidField(
            f"{where}.agent_binary: acp has no default agent; set it, for example opencode with "
            'launch_args ["acp"].'
        )


def _check_file(where: str, mount: MountParams) -> None:
    target, content = mount.target or "", mount.content or ""
    if not target or target.endswith("/") or "\0" in target:
        raise InvalidField(f"{where}.target: name the file that shall be written.")
    if "\0" in content:
        raise InvalidField(f"{where}.content: text has no NUL; upload binary files.")
    if len(content) > FILE_CHARACTERS_MAX:
        raise InvalidField(
            f"{where}.content: holds at most {FILE_CHARACTERS_MAX} characters; upload larger files "
            "when the devbox runs."
        )


def _check_code(where: str, mount: MountParams) -> None:
    if not mount.repo_owner or not mount.repo_name:
        raise InvalidField(f"{where}: set repo_owner and repo_name, a repository of {CODE_HOST}.")
    if (mount.git_ref or "").startswith("-"):
        raise InvalidField(f"{where}.git_ref: must be a branch, a tag or a commit.")


_CHECKS: Final = {
    BROKER_MOUNT: _check_agent,
    FILE_MOUNT: _check_file,
    CODE_MOUNT: _check_code,
}
