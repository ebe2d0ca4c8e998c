"""Agent protocols by their names in Runloop's `protocol` of a broker mount."""

from collections.abc import Callable
from typing import Final

from ranvier_broker.codecs.acp import AcpCodec
from ranvier_broker.codecs.base import Codec
from ranvier_broker.codecs.claude import ClaudeCodec
from ranvier_broker.codecs.codex import CodexCodec
from ranvier_broker.codecs.pi import PiCodec
from ranvier_broker.codecs.unsupported import UnsupportedCodec

CODECS: Final[dict[str, Callable[[str], Codec]]] = {
    "acp": AcpCodec,
    "claude_json": ClaudeCodec,
    "codex_app_server": CodexCodec,
    "pi_json": PiCodec,
}
"""A new codec is added here; each is made with the agent's working directory."""

ALIASES: Final = {"codex_json": "codex_app_server"}
"""Other names of the same protocols."""


def codec_for(protocol: str, cwd: str) -> tuple[Codec, str | None]:
    """The codec of a mount, and why its agent can not be spoken to, if it can not."""
    make = CODECS.get(ALIASES.get(protocol, protocol))
    if make is not None:
        return make(cwd), None
    known = ", ".join(sorted(CODECS))
    why = f"protocol {protocol} is not supported by this version; it speaks: {known}"
    return UnsupportedCodec(), why
