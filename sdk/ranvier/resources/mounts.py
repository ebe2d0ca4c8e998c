"""What a devbox is given: a union by key, as `volumes` is in a Pod.

`brokerMount` ties the devbox to an axon, `fileMount` writes a file, `codeMount` clones code.
A mount's place in the list is its name for life (`<devbox uid>/<index>` in the journal), so the
list's axons and their order are fixed.
"""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from ranvier.resources.base import ABSOLUTE_PATH, Model, Name, cel
from ranvier.resources.settings import SecretKey

MOUNTS_MAX: Final = 32
"""Mounts of one devbox, of all kinds."""
BROKER_MOUNTS_MAX: Final = 8
"""Broker mounts of one devbox: each is an agent process with hundreds of megabytes."""
FILE_CHARACTERS_MAX: Final = 262_144
"""Content of one file mount. Larger files belong into the image, or are uploaded."""
FILES_BYTES_MAX: Final = 512 * 1024
"""All file mounts of a devbox together: they stand in its resource, and Kubernetes takes no object
of more than 1.5 MiB."""

SECONDS_MAX: Final = 30 * 24 * 3600
"""Longest deadline of a turn: a month. More is a slip of the unit."""


class AgentProtocol(StrEnum):
    """What the agent speaks on its stdin and stdout. Runloop's words, `codex_json` its alias of
    `codex_app_server`."""

    ACP = "acp"
    CLAUDE_JSON = "claude_json"
    CODEX_APP_SERVER = "codex_app_server"
    CODEX_JSON = "codex_json"
    PI_JSON = "pi_json"


AxonId = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[-_A-Za-z0-9]+$")]


Seconds = Annotated[int, Field(ge=1, le=SECONDS_MAX, json_schema_extra={"format": "int32"})]


class AxonRef(Model):
    """An Axon in the same namespace."""

    name: Name
    """The Axon's name."""


class BrokerMount(Model):
    """An agent on an axon: the broker feeds it the axon's events, one turn at a time, and appends
    what it says."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.axonRef) != has(self.axonId)",
                    "message": "set exactly one of axonRef (an Axon resource of this namespace) "
                    "and axonId (an axon made through the REST API)",
                },
                {
                    "rule": "self.protocol != 'acp' || has(self.agentBinary)",
                    "message": "acp has no default agent: set agentBinary, for example opencode "
                    "with launchArgs [acp]",
                },
            ]
        }
    )

    axon_ref: AxonRef | None = None
    """The Axon resource to serve. Either this or `axonId`; fixed for the devbox's life."""
    axon_id: AxonId | None = None
    """Id of an axon made through the REST API, `axn_…`. Either this or `axonRef`; fixed for the
    devbox's life."""
    protocol: AgentProtocol = AgentProtocol.ACP
    """What the agent speaks: `acp` (Agent Client Protocol), `claude_json` (Claude Code's streaming
    JSON), `codex_app_server` (Codex, also under the name `codex_json`) or `pi_json`."""
    agent_binary: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """The agent's program, looked up in the image's PATH. The protocol's own where not set:
    `claude`, `codex app-server`, `pi`, with `launchArgs` after it; `acp` has none and needs
    this."""
    launch_args: Annotated[
        tuple[Annotated[str, Field(max_length=8192)], ...], Field(max_length=64)
    ] = ()
    """Arguments of the agent, passed as they are: no shell reads them. What the protocol itself
    needs and these do not hold is added (`claude_json`: its stream-json flags, `--resume`)."""
    working_directory: Annotated[str, Field(max_length=1024, pattern=ABSOLUTE_PATH)] | None = None
    """Where the agent starts; the home directory where not set. Only what lies in the home
    directory outlives a sleep."""
    silence_deadline_seconds: Seconds = 1800
    """How long a turn may go on without a word of the agent, while it asks nobody anything. Then
    the broker cancels the turn; see `cancelGraceSeconds`. The turn ends as `turn.failed` with the
    reason `silence`."""
    turn_deadline_seconds: Seconds | None = None
    """How long a turn may last, whatever happens in it; no limit where not set. Then as with
    silence, with the reason `deadline`."""
    cancel_grace_seconds: Seconds = 10
    """How long an agent has to end a turn that was cancelled at one of these limits before its
    process group gets SIGTERM, and after that again before it gets SIGKILL."""


MountPath = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00]*[^/\x00]$")]


class FileMount(Model):
    """A file that is written before the launch commands run."""

    path: MountPath
    """Where it lies: an absolute path, or one relative to the home directory (`~/` too). The
    container's user must be able to write there."""
    content: Annotated[str, Field(max_length=FILE_CHARACTERS_MAX, pattern=r"^[^\x00]*$")] = ""
    """What it holds, as text. All file mounts of a devbox hold 512 KiB at most. Not a place for
    secrets: everybody who may read the resource reads it."""


class CodeMount(Model):
    """A Git repository that is cloned at the first start, before the launch commands run. It is not
    touched at later starts: what lies in it is the agent's work. The image needs `git`."""

    url: Annotated[
        str, Field(min_length=1, max_length=1024, pattern=r"^[a-z][a-z0-9+]*://[^\s\x00]+$")
    ]
    """Where it is cloned from, `https://github.com/OWNER/REPOSITORY.git` for example."""
    ref: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^-\s][^\s]*$")] | None = (
        None
    )
    """Branch, tag or commit to check out; the repository's default branch where not set."""
    path: MountPath | None = None
    """Where it is cloned to, absolute or relative to the home directory; the repository's name in
    the home directory where not set."""
    token_secret: SecretKey | None = None
    """A Secret with a token for HTTP. It serves the clone alone: neither the agent nor the clone's
    configuration gets it."""
    install_command: Annotated[str, Field(min_length=1, max_length=32768)] | None = None
    """A shell command that runs once in the clone. When it fails, the next start runs it again."""


class Mount(Model):
    """One thing that the devbox is given. Exactly one key is set."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            "[has(self.brokerMount), has(self.fileMount), has(self.codeMount)]"
            ".exists_one(set, set)",
            "each mount has exactly one key; set brokerMount, fileMount or codeMount",
        )
    )

    broker_mount: BrokerMount | None = None
    """Runs an agent that works on the events of an axon."""
    file_mount: FileMount | None = None
    """Writes a file: in the home directory at the first start and whenever its content here has
    changed, elsewhere at every start, for only the home directory outlives a sleep."""
    code_mount: CodeMount | None = None
    """Clones a Git repository at the first start."""


_AXON_OF = (
    "has(m.brokerMount) ? (has(m.brokerMount.axonRef) ? 'axonRef ' + m.brokerMount.axonRef.name"
    " : has(m.brokerMount.axonId) ? 'axonId ' + m.brokerMount.axonId : '') : ''"
)

Mounts = Annotated[
    tuple[Mount, ...],
    Field(
        max_length=MOUNTS_MAX,
        json_schema_extra={
            "x-kubernetes-list-type": "atomic",
            "x-kubernetes-validations": [
                {
                    "rule": f"self.map(m, {_AXON_OF}) == oldSelf.map(m, {_AXON_OF})",
                    "message": "the axons of a devbox and their order are fixed when it is made; "
                    "make a new devbox to serve another axon, and delete this one",
                },
                {
                    "rule": f"self.filter(m, has(m.brokerMount)).size() <= {BROKER_MOUNTS_MAX}",
                    "message": f"a devbox has at most {BROKER_MOUNTS_MAX} broker mounts; make a "
                    "second devbox for the others",
                },
            ],
        },
    ),
]
"""The list `spec.mounts`."""
