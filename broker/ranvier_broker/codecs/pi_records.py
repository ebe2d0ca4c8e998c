"""The records of Pi's RPC mode, read and written (`typed_lines`): commands, responses, events.

A command may carry an `id`, which its `response` repeats. Ids that begin with `broker-` are the
broker's own.
"""

from dataclasses import dataclass
from typing import Any, Final

from ranvier_broker.codecs.jsonrpc import dump
from ranvier_broker.codecs.typed_lines import TypedLine, object_of, written

RESPONSE: Final = "response"
PROMPT: Final = "prompt"
ABORT: Final = "abort"
STATE: Final = "get_state"
SWITCH: Final = "switch_session"
ASKED: Final = "extension_ui_request"
ANSWERED: Final = "extension_ui_response"

OWN_PREFIX: Final = "broker-"

_DIALOGS: Final = frozenset({"select", "confirm", "input", "editor"})
"""Methods with which an extension waits for an answer; the others only show something."""

_CHANGE_SESSION: Final = frozenset({"new_session", SWITCH, "fork", "clone"})
"""Commands after which the agent is in another session."""


@dataclass(frozen=True, slots=True)
class Record(TypedLine):
    """One record."""

    @property
    def id(self) -> str | None:
        """What a response, or an answer, refers to."""
        found = self.value.get("id")
        return found if isinstance(found, str) else None

    @property
    def is_dialog(self) -> bool:
        """Whether the agent waits for an answer to this."""
        is_asked = self.kind == ASKED and self.id is not None
        return is_asked and self.value.get("method") in _DIALOGS

    @property
    def timeout_ms(self) -> int | None:
        """After how long the agent answers its dialog itself."""
        timeout = self.value.get("timeout")
        return timeout if type(timeout) is int else None

    # --- of a response

    @property
    def command(self) -> str:
        """What it responds to."""
        return str(self.value.get("command"))

    @property
    def is_success(self) -> bool:
        return self.value.get("success") is True

    @property
    def error(self) -> str:
        """Why there was no success."""
        error = self.value.get("error")
        return error if isinstance(error, str) and error else f"{self.command} failed"

    @property
    def data(self) -> dict[str, Any]:
        return object_of(self.value.get("data"))

    @property
    def changed_session(self) -> bool:
        """Whether the agent may be in another session now."""
        return self.is_success and self.command in _CHANGE_SESSION


def command(kind: str, request_id: str | None, **members: Any) -> bytes:
    """A command of the broker's own making."""
    named = {"id": request_id} if request_id is not None else {}
    return written({**named, "type": kind, **members})


def dismissed(request_id: str) -> bytes:
    """The answer to a dialog that nobody will answer."""
    return written({"type": ANSWERED, "id": request_id, "cancelled": True})


def nothing_to_abort(request_id: str) -> str:
    """The answer to an abort that came too late; the agent's own words when it is idle."""
    return dump({"id": request_id, "type": RESPONSE, "command": ABORT, "success": True})
