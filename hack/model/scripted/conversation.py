"""What a model is asked and what it answers, free of any wire format.

Readers make a Request of the JSON an agent sent, `decide` makes a Reply of the Request, writers
make JSON of the Reply. Nothing here knows HTTP, a format or a directive.
"""

import re
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
"""A JSON object as it came or as it goes out."""

# What agents add to a prompt by themselves; it is neither a prompt nor part of a script.
NOISE = re.compile(r"<(system-reminder|session_context)>.*?</\1>", re.S)


@dataclass(frozen=True)
class Tool:
    """A tool the agent offers: its parameters as a JSON schema, or free-form text."""

    parameters: Json = field(default_factory=dict)
    is_freeform: bool = False


@dataclass(frozen=True)
class ToolCall:
    """A call the model makes; the arguments of a free-form tool are one string."""

    name: str
    arguments: Json | str


@dataclass(frozen=True)
class Request:
    """One model request: the user's prompts so far and the replies since the newest of them."""

    prompts: tuple[str, ...]
    replies: int
    tools: dict[str, Tool]
    model: str
    is_streamed: bool
    schema: Json | None = None

    @property
    def newest(self) -> str:
        """The prompt whose script is being played."""
        return self.prompts[-1] if self.prompts else ""


@dataclass(frozen=True)
class Say:
    """A proper reply: thoughts, then text, then perhaps a tool call."""

    chunks: tuple[str, ...] = ()
    thoughts: tuple[str, ...] = ()
    pause_seconds: float = 0.0
    tool: ToolCall | None = None

    @property
    def text(self) -> str:
        """All of the text at once."""
        return "".join(self.chunks)


@dataclass(frozen=True)
class Refuse:
    """An HTTP error in place of a reply."""

    status: int


@dataclass(frozen=True)
class Cut:
    """The first half of a reply, then the connection is closed, perhaps after garbage."""

    half: Say
    is_garbled: bool


@dataclass(frozen=True)
class Hang:
    """Headers, then silence."""

    seconds: float


Reply = Say | Refuse | Cut | Hang


@dataclass
class Transcript:
    """Counts prompts and replies while a reader walks through the messages of a request."""

    prompts: list[str] = field(default_factory=list)
    replies: int = 0

    def heard(self, text: str) -> None:
        """The user said this; what is nothing but an agent's own additions was not the user."""
        prompt = NOISE.sub("", text).strip()
        if prompt:
            self.prompts.append(prompt)
            self.replies = 0

    def called(self) -> None:
        """The model answered with tool calls, so the script of the newest prompt moves on."""
        self.replies += 1


def text_of(content: Any) -> str:
    """The text of a message's content, be it a string or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or [])
