"""POST /v1/axons/{id}/publish: the hot route, so a plain ASGI endpoint.

It lets pydantic's core read the body's bytes directly, and waits for nothing but the disk. A body
is one event, as Runloop's clients send it, or our extension: an array of events, all or none.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints
from ranvier.events import PAYLOAD_BYTES_MAX, NewEvent, Origin, payload_bytes
from starlette.types import Scope

from ranvier_apiserver import audit, auth, bodies, hot_path
from ranvier_apiserver.auth import ApiKey, Principal
from ranvier_apiserver.errors import BadInput, PayloadTooLarge
from ranvier_apiserver.hot_path import Reply
from ranvier_apiserver.journal.store import Published
from ranvier_apiserver.routes import wire
from ranvier_apiserver.routes.context import REQUEST_ID_CHARACTERS_MAX, once_of
from ranvier_apiserver.routes.described import Operation, Parameter, Refusal, described
from ranvier_apiserver.routes.hot import HotRoute, refuse

WORD_CHARACTERS_MAX: Final = 512
"""`source` and `event_type` are names, not content."""

BATCH_EVENTS_MAX: Final = 1000
"""Events of one published array; its payloads together fit into the limit of one payload."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=WORD_CHARACTERS_MAX)]

_EXPECTED: Final = re.compile(r'"?([0-9]{1,18})"?')
_ARRAY: Final = re.compile(rb"\s*\[")


class PublishBody(BaseModel):
    model_config = ConfigDict(extra="ignore")

    event_type: Word
    origin: Origin
    payload: str
    source: Word


class PublishBatch(RootModel[list[PublishBody]]):
    root: Annotated[list[PublishBody], Field(min_length=1, max_length=BATCH_EVENTS_MAX)]


@described(
    Operation(
        answers=(wire.PublishResultView, wire.PublishBatchResultView),
        bodies=(PublishBody, PublishBatch),
        parameters=(
            Parameter(
                "x-request-id",
                {"type": "string", "maxLength": REQUEST_ID_CHARACTERS_MAX},
                "A retry with the same id gets the first answer and appends nothing",
                "header",
            ),
            Parameter(
                "If-Match",
                {"type": "string", "pattern": f"^{_EXPECTED.pattern}$"},
                "The axon's last sequence, as the publisher saw it",
                "header",
            ),
        ),
        refusals={
            412: Refusal("The axon has another head, which the answer names"),
            413: Refusal("The body or a payload is too large"),
            429: Refusal("The queue before the disk is full; see `retry-after-ms`"),
        },
    )
)
class Publish(HotRoute[ApiKey]):
    """Publish an event, or an array of events of which all are appended or none"""

    body_bytes_max = bodies.PUBLISH_BODY_BYTES_MAX

    def allow(self, scope: Scope, caller: Principal) -> ApiKey:
        return auth.require(caller, auth.Scope.AXONS_PUBLISH)

    def begin(self, scope: Scope, caller: ApiKey, body: bytes, reply: Reply) -> None:
        expected = expected_head(scope["headers"])
        events, text = _read(body)

        def then(done: Published, error: Exception | None) -> None:
            if error is not None:
                refuse(reply, error)
                return
            audit.note(scope, sequence=done.sequence, events=done.count)
            reply(200, text(done), hot_path.JSON)

        axon_id, once = scope["path_params"]["axon_id"], once_of(scope, caller)
        self._context.store.publish_then(axon_id, events, once, expected, then)


def _read(body: bytes) -> tuple[Sequence[NewEvent], Callable[[Published], bytes]]:
    """The events of a body, and how they are answered."""
    if _ARRAY.match(body):
        return events_from(body), _each
    return (event_from(body),), _one


def expected_head(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The sequence in `If-Match: "<sequence>"`, quoted as HTTP has it or bare; None without."""
    value = next((v.decode("latin-1").strip() for k, v in headers if k == b"if-match"), None)
    if value is None:
        return None
    if (found := _EXPECTED.fullmatch(value)) is None:
        raise BadInput('If-Match: must be the axon\'s last sequence, as in If-Match: "17".')
    return int(found[1])


def event_from(body: bytes) -> NewEvent:
    """The event in a request's body, if clients may publish it."""
    event = _checked(bodies.parse(PublishBody, body))
    _expect_to_fit([event])
    return event


def events_from(body: bytes) -> list[NewEvent]:
    """The events of an array, if clients may publish them all."""
    events = [_checked(parsed) for parsed in bodies.parse(PublishBatch, body).root]
    _expect_to_fit(events)
    return events


def _checked(parsed: PublishBody) -> NewEvent:
    if parsed.origin is Origin.SYSTEM:
        raise BadInput(
            "origin: SYSTEM_EVENT is received, never published. "
            "Use EXTERNAL_EVENT, AGENT_EVENT or USER_EVENT."
        )
    return NewEvent(parsed.origin, parsed.source, parsed.event_type, parsed.payload)


def _expect_to_fit(events: Sequence[NewEvent]) -> None:
    if sum(payload_bytes(event.payload) for event in events) > PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge(
            f"payload: larger than {PAYLOAD_BYTES_MAX} bytes, which a batch may hold in all. Put "
            "the content elsewhere and publish a reference to it."
        )


def _one(published: Published) -> bytes:
    """The answer to an event."""
    return _result(published.sequence, published.timestamp_ms)


def _each(published: Published) -> bytes:
    """The answer to a batch: one result an event, in its order."""
    first = published.sequence - published.count + 1
    sequences = range(first, published.sequence + 1)
    results = (_result(sequence, published.timestamp_ms) for sequence in sequences)
    return b'{"events":[' + b",".join(results) + b"]}"


def _result(sequence: int, timestamp_ms: int) -> bytes:
    return b'{"sequence":%d,"timestamp_ms":%d}' % (sequence, timestamp_ms)
