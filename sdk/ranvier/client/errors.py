"""What can go wrong with a call, as typed errors that say what to do next. Pure.

Every error is a `RanvierError`; its text is a sentence about what happened and one about the next
step. Answers of the server become `StatusError`s, one class a status that callers tell apart.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

BODY_CHARACTERS_SHOWN: Final = 300
"""How much of an answer that is not ours (a proxy's page) stands in an error."""


class RanvierError(Exception):
    """Base of all errors of this client. `next_step` is what its reader can do about it."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(f"{message} {next_step}".strip())
        self.message = message
        self.next_step = next_step


class NotConfigured(RanvierError):
    """No key or no usable address was given."""


class ConnectionFailed(RanvierError):
    """The server could not be reached, or the connection broke before the answer came."""


class TimedOut(ConnectionFailed):
    """The server took longer than the client waits."""


class AnswerNotUnderstood(RanvierError):
    """The answer is not what this version of the client knows."""


class SequenceGap(RanvierError):
    """A stream passed over events: `expected` is the first missing, `found` came instead."""

    def __init__(self, axon_id: str, expected: int, found: int) -> None:
        message = f"Axon {axon_id}: event {found} came where {expected} was due."
        super().__init__(message, f"Check the whole axon with `ranvier verify {axon_id}`.")
        self.expected = expected
        self.found = found


class StatusError(RanvierError):
    """The server refused. `status` is HTTP's; `code` is Ranvier's word for the reason, or ""."""

    def __init__(self, status: int, code: str, message: str, next_step: str) -> None:
        super().__init__(message, next_step)
        self.status = status
        self.code = code


class BadRequest(StatusError):
    """400: the request can not be meant."""


class Unauthenticated(StatusError):
    """401: the key is missing or not known there."""


class Forbidden(StatusError):
    """403: the key is known and may not do this."""


class NotFound(StatusError):
    """404: there is no such thing, or it was deleted."""


class Conflict(StatusError):
    """409 and 412: the state is another than the caller assumed."""


class PayloadTooLarge(StatusError):
    """413: the payload is larger than an event may be."""


class InvalidField(StatusError):
    """422: a field's value is refused; the message names it."""


class RateLimited(StatusError):
    """429: too much at once, and waiting between the retries did not help."""


class ServerFailed(StatusError):
    """5xx: the server, or something on the way to it, is in trouble."""


_CLASSES: Final[Mapping[int, type[StatusError]]] = {
    400: BadRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: PayloadTooLarge,
    422: InvalidField,
    429: RateLimited,
}

_BY_CODE: Final[Mapping[str, str]] = {
    "axon_not_found": "Check the id; `ranvier axon list` shows all axons.",
    "axon_deleted": "Its events are gone; create a new axon.",
    "axon_full": "Create a new axon and go on there.",
    "devbox_not_found": "Check the id; `ranvier devbox list` shows all devboxes.",
    "journal_damaged": "Restore the journal from a backup; nothing was changed.",
    "no_cluster": "Use a server on a cluster, or the one that `ranvier dev` starts.",
    "not_found": "Check the id, and whether the base URL is that of a server new enough for this.",
    "not_served": "docs/devboxes.md says what this version has.",
    "wrong_state": "Read the present state (`ranvier devbox get`), then decide again.",
}

_BY_STATUS: Final[Mapping[int, str]] = {
    400: "Correct the request.",
    401: "Set RANVIER_API_KEY to a key of this server.",
    403: "Use a key with that scope.",
    404: "Check the id.",
    409: "Read the present state, then decide again.",
    412: "Read the present state, then decide again.",
    413: "Put the content elsewhere and publish a reference to it.",
    422: "Correct that field.",
    429: "Send less at once, or try again later.",
}

_ELSE: Final = "Try again later; the server's log says more."


def of_answer(status: int, body: bytes) -> StatusError:
    """The error in an answer; `{"code", "message"}` is read, anything else is shown in short."""
    code, message = "", body.decode(errors="replace")[:BODY_CHARACTERS_SHOWN].strip()
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        parsed = None
    if isinstance(parsed, dict):
        code = str(parsed.get("code") or "")
        message = str(parsed.get("message") or message)
    kind = _CLASSES.get(status, ServerFailed if status >= 500 else StatusError)
    next_step = _BY_CODE.get(code) or _BY_STATUS.get(status, _ELSE)
    if message and message[-1] not in ".!?":
        message += "."
    return kind(status, code, message or f"The server answered {status}.", next_step)
