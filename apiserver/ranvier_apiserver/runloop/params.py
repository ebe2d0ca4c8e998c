"""What the published SDKs send to make a devbox, as they name it. Pure.

Fields that this version does not serve are read too, so that they can be refused by name
(`manifest.refuse_unserved`): a setting that is silently dropped is worse than an error.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

KEEP_ALIVE_SECONDS_MAX: Final = 172_800
"""48 hours, Runloop's limit."""
MOUNTS_MAX: Final = 64
"""Far beyond what the resource allows, which says so itself."""


class Params(BaseModel):
    """Base: null counts as left out, unknown fields are ignored, as the SDKs expect."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Text = Annotated[str, StringConstraints(max_length=1024)]
Metadata = Annotated[dict[Annotated[str, Field(min_length=1, max_length=256)], Text], Field()]
Command = Annotated[str, StringConstraints(min_length=1, max_length=32_768)]


RepositoryPart = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class AfterIdle(Params):
    idle_time_seconds: int = Field(ge=1)
    on_idle: Literal["suspend", "shutdown"] = "suspend"


class ResumeTriggers(Params):
    axon_event: bool | None = None
    http: bool | None = None


class LifecycleHooks(Params):
    suspend_commands: list[str] | None = None
    suspend_deadline_ms: int | None = None


class LifecycleParams(Params):
    after_idle: AfterIdle | None = None
    resume_triggers: ResumeTriggers | None = None
    lifecycle_hooks: LifecycleHooks | None = None


class UserParams(Params):
    username: str = Field(pattern=r"^[a-z_][-a-z0-9_]{0,31}$")
    uid: int = Field(ge=0, le=2_147_483_647)


Size = Literal["X_SMALL", "SMALL", "MEDIUM", "LARGE", "X_LARGE", "XX_LARGE", "CUSTOM_SIZE"]


class LaunchParams(Params):
    """`launch_parameters` of devboxes and blueprints."""

    after_idle: AfterIdle | None = None
    lifecycle: LifecycleParams | None = None
    keep_alive_time_seconds: int | None = Field(default=None, ge=1, le=KEEP_ALIVE_SECONDS_MAX)
    launch_commands: list[Command] | None = None
    resource_size_request: Size | None = None
    custom_cpu_cores: float | None = None
    custom_gb_memory: int | None = None
    custom_disk_size: int | None = None
    architecture: Literal["x86_64", "arm64"] | None = None
    user_parameters: UserParams | None = None
    network_policy_id: str | None = None
    required_services: list[str] | None = None


class CodeParams(Params):
    """A repository of GitHub. `git_ref`: branch, tag or commit."""

    repo_owner: RepositoryPart
    repo_name: RepositoryPart
    token: Annotated[str, Field(max_length=4096)] | None = None
    git_ref: str | None = None
    install_command: str | None = None


class MountParams(Params):
    """One mount, whatever its type: the fields of `broker_mount`, `file_mount`, `code_mount`."""

    type: str
    target: str | None = None
    content: str | None = None
    repo_owner: RepositoryPart | None = None
    repo_name: RepositoryPart | None = None
    token: Annotated[str, Field(max_length=4096)] | None = None
    git_ref: str | None = None
    install_command: str | None = None
    axon_id: str | None = None
    protocol: str | None = None
    agent_binary: str | None = None
    launch_args: list[str] | None = None
    working_directory: str | None = None


class CreateDevbox(Params):
    """POST /v1/devboxes; every field may be left out."""

    name: Text | None = None
    metadata: Metadata | None = None
    environment_variables: dict[str, str] | None = None
    secrets: dict[str, str] | None = None
    entrypoint: Annotated[str, Field(min_length=1, max_length=65_536)] | None = None
    mounts: Annotated[list[MountParams], Field(max_length=MOUNTS_MAX)] | None = None
    launch_parameters: LaunchParams | None = None
    blueprint_id: str | None = None
    blueprint_name: str | None = None
    snapshot_id: str | None = None
    file_mounts: dict[str, str] | None = None
    code_mounts: Annotated[list[CodeParams], Field(max_length=MOUNTS_MAX)] | None = None
    gateways: dict[str, Any] | None = None
    mcp: dict[str, Any] | None = None
    tunnel: dict[str, Any] | None = None


class UpdateDevbox(Params):
    """POST /v1/devboxes/{id}; what is left out stays, `metadata: {}` clears it."""

    name: Text | None = None
    metadata: Metadata | None = None


class WaitForStatus(Params):
    """POST …/wait_for_status. The Python SDK sends a fraction of seconds, TypeScript none."""

    statuses: list[str] = Field(min_length=1, max_length=16)
    timeout_seconds: float | None = Field(default=None, ge=0)


class CreateBlueprint(Params):
    """POST /v1/blueprints; fields that would need a build are read to be refused."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    dockerfile: str | None = None
    launch_parameters: LaunchParams | None = None
    metadata: Metadata | None = None
    base_blueprint_id: str | None = None
    base_blueprint_name: str | None = None
    system_setup_commands: list[str] | None = None
    build_context: dict[str, Any] | None = None
    build_args: dict[str, str] | None = None
    code_mounts: list[Any] | None = None
    file_mounts: dict[str, Any] | None = None
    secrets: dict[str, str] | None = None
    services: list[Any] | None = None
    network_policy_id: str | None = None


class CreateSecret(Params):
    """POST /v1/secrets."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    value: Annotated[str, StringConstraints(max_length=512 * 1024)]


class UpdateSecret(Params):
    """POST /v1/secrets/{name}."""

    value: Annotated[str, StringConstraints(max_length=512 * 1024)]
