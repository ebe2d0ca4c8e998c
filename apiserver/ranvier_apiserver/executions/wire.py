"""Bodies and answers of executions and files, as the published SDKs name them. Pure."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

COMMAND_CHARACTERS_MAX: Final = 128 * 1024
"""Longest command; Linux takes no longer argument."""

PATH_CHARACTERS_MAX: Final = 4096


class Params(BaseModel):
    """Base: unknown fields are ignored, as the SDKs expect."""

    model_config = ConfigDict(extra="ignore", frozen=True)


CommandText = Annotated[str, Field(max_length=COMMAND_CHARACTERS_MAX, pattern=r"^[^\x00]*$")]
Path = Annotated[str, Field(min_length=1, max_length=PATH_CHARACTERS_MAX, pattern=r"^[^\x00]*$")]


class ExecuteParams(Params):
    """`optimistic_timeout`: seconds to wait for the end; the command runs on after that."""

    command: CommandText
    command_id: str = Field(min_length=1, max_length=256)
    optimistic_timeout: float | None = None
    shell_name: str | None = None


class ExecuteAsyncParams(Params):
    command: CommandText
    attach_stdin: bool | None = None
    shell_name: str | None = None


class WaitParams(Params):
    """`timeout_seconds`: at most 25."""

    statuses: list[Literal["queued", "running", "completed"]] = Field(min_length=1)
    timeout_seconds: float | None = None


class KillParams(Params):
    """The whole process group is killed, whatever `kill_process_group` says."""

    kill_process_group: bool | None = None


class StdinParams(Params):
    """Text, or a signal in its place."""

    text: str | None = None
    signal: Literal["EOF", "INTERRUPT"] | None = None


class ReadFileParams(Params):
    file_path: Path


class WriteFileParams(Params):
    file_path: Path
    contents: str


class DownloadParams(Params):
    path: Path


class UploadForm(Params):
    """A multipart form; `file` is the content."""

    path: Path
    file: bytes


class ExecutionView(BaseModel):
    """`stdout`, `stderr`: their last lines; `*_truncated`: there is more than these."""

    devbox_id: str
    execution_id: str
    status: Literal["queued", "running", "completed"]
    exit_status: int | None = None
    stdout: str | None = None
    stderr: str | None = None
    stdout_truncated: bool | None = None
    stderr_truncated: bool | None = None


class ExecutionList(BaseModel):
    """What the devbox knows of, oldest first."""

    executions: list[ExecutionView]


class SyncExecutionView(BaseModel):
    """A command that has ended, with all its output."""

    devbox_id: str
    exit_status: int
    stdout: str
    stderr: str


class StdinView(BaseModel):
    devbox_id: str
    execution_id: str
    success: bool
