"""Codex frames: JSON-RPC messages without a `jsonrpc` member, whole on the axon and on the pipe.

Unlike ACP's, the payload of an axon event is the frame itself, with the id that its author gave it.
Ids of several clients and of the broker meet in one agent, so a client's frame goes to the agent
with an id of the broker's, and the answer comes back to the axon with the client's own. Nothing
else of a frame is ever changed.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from ranvier.events import AxonEvent

from ranvier_broker.codecs import jsonrpc

RESPONSE: Final = "response"
"""The event type of every answer, whoever gives it."""

FAILED: Final = -32000
"""The error code of the broker's own answers, from JSON-RPC's range for servers."""


@dataclass(frozen=True, slots=True)
class ClientFrame:
    """A request or notification of a client; `id` is raw text, None makes it a notification."""

    method: str
    id: str | None
    params: dict[str, Any]
    text: str

    def named(self, member: str) -> str | None:
        """A parameter that names something, as `threadId` does."""
        return text_in(self.params, member)


@dataclass(frozen=True, slots=True)
class ClientAnswer:
    """A client's answer to a request of the agent. `id` is compact JSON, to be compared."""

    id: str
    text: str


def frame_of(event: AxonEvent) -> ClientFrame | ClientAnswer | None:
    """What a client published, or None if its payload is no frame."""
    try:
        payload = jsonrpc.one_line(event.payload)
    except ValueError:
        return None
    if not isinstance(payload.value, dict):
        return None
    members = jsonrpc.members(payload.text)
    given = members.get("id")
    has_id = given is not None and given.value is not None
    method = members["method"].value if "method" in members else None
    if isinstance(method, str):
        params = members["params"].value if "params" in members else None
        return ClientFrame(
            method,
            given.text if given is not None and has_id else None,
            params if isinstance(params, dict) else {},
            payload.text,
        )
    if method is None and given is not None and has_id and members.keys() & {"result", "error"}:
        return ClientAnswer(jsonrpc.dump(given.value), payload.text)
    return None


def request(number: int, method: str, params: dict[str, Any]) -> bytes:
    """A request of the broker's own."""
    frame = {"id": number, "method": method, "params": params}
    return jsonrpc.dump(frame).encode() + b"\n"


def relabelled(frame: str, number: int) -> bytes:
    """A client's frame as the agent gets it: under an id of ours."""
    return jsonrpc.with_member(frame, "id", str(number)).encode() + b"\n"


def answer(frame: str, client_id: str) -> str:
    """An agent's answer as the client gets it: under the id of its request."""
    return jsonrpc.with_member(frame, "id", client_id)


def result(client_id: str, value: str) -> str:
    """An answer with a result, given as raw text."""
    return f'{{"id":{client_id},"result":{value}}}'


def error(request_id: str, message: str) -> str:
    """An answer of the broker's own, where the agent has none to give."""
    return f'{{"id":{request_id},"error":{{"code":{FAILED},"message":{json.dumps(message)}}}}}'


def text_in(value: Any, *path: str) -> str | None:
    """The text at the end of a path of members, if it is there."""
    for member in path:
        value = value.get(member) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None
