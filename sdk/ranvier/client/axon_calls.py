"""The calls on axons (Runloop's routes; `docs/sdk.md` shows them). Pure: no call is made here."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from pydantic import TypeAdapter

from ranvier.client.calls import Call, as_page, as_query, given, reader
from ranvier.client.models import Axon, EventPage, Nothing, Page, Published, SqlBatch, SqlResult
from ranvier.events import AxonEvent, NewEvent, Origin

SOURCE: Final = "ranvier-sdk"
"""What `source` says when the caller names none."""

AXONS: Final = "/v1/axons"

Statement = str | tuple[str, Sequence[Any]]
"""SQL alone, or SQL with the values of its `?`."""

_axon: Final = reader(Axon)
_published: Final = reader(Published)
_nothing: Final = reader(Nothing)
_sql_result: Final = reader(SqlResult)
_sql_batch: Final = reader(SqlBatch)
_axon_page: Final = TypeAdapter(Page[Axon])
_event_page: Final = TypeAdapter(EventPage)
_published_list: Final = TypeAdapter(list[Published])


def create(
    name: str | None = None,
    *,
    metadata: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> Call[Axon]:
    """Make an axon. Two calls with one `request_id` make one axon."""
    return Call(
        "POST", AXONS, _axon, body=given(name=name, metadata=metadata), request_id=request_id
    )


def retrieve(axon_id: str) -> Call[Axon]:
    """The axon, also when it is deleted (`deleted_at_ms`)."""
    return Call("GET", path_of(axon_id), _axon)


def list_axons(
    *,
    name: str | None = None,
    search: str | None = None,
    metadata: Mapping[str, str] | None = None,
    limit: int | None = None,
    starting_after: str | None = None,
    include_total_count: bool | None = None,
) -> Call[Page[Axon]]:
    """A page of axons, newest first. `name` is a prefix; `starting_after` the last id seen."""
    query = as_query(
        name=name,
        search=search,
        limit=limit,
        starting_after=starting_after,
        include_total_count=include_total_count,
    )
    query.update({f"metadata[{key}]": value for key, value in (metadata or {}).items()})
    return Call("GET", AXONS, _read_axons, query=query)


def update(axon_id: str, *, metadata: Mapping[str, str]) -> Call[Axon]:
    """Replace the metadata; `{}` clears it."""
    return Call("POST", path_of(axon_id), _axon, body={"metadata": dict(metadata)})


def delete(axon_id: str) -> Call[Nothing]:
    """Delete the axon's events for good; streams of it end."""
    return Call("DELETE", path_of(axon_id), _nothing)


def publish(
    axon_id: str,
    event_type: str,
    payload: str | Mapping[str, Any] | Sequence[Any],
    *,
    origin: Origin = Origin.USER,
    source: str = SOURCE,
    expected_sequence: int | None = None,
    request_id: str | None = None,
) -> Call[Published]:
    """Append an event; when this returns it is on disk (J2).

    A string is stored byte for byte; anything else is written as JSON. Retries keep the request's
    id, so they append nothing twice (J4). Give your own `request_id` to be safe over restarts too.
    With `expected_sequence` it is appended only if that is still the axon's last: else Conflict.
    """
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    body = _event_body(NewEvent(origin, source, event_type, text))
    headers = _expecting(expected_sequence)
    path = path_of(axon_id, "publish")
    return Call("POST", path, _published, body=body, request_id=request_id, headers=headers)


def publish_many(
    axon_id: str,
    events: Sequence[NewEvent],
    *,
    expected_sequence: int | None = None,
    request_id: str | None = None,
) -> Call[list[Published]]:
    """Append events in one transaction: all of them or none, next to each other, in this order."""
    body = [_event_body(event) for event in events]
    headers = _expecting(expected_sequence)
    path = path_of(axon_id, "publish")
    return Call("POST", path, _read_batch, body=body, request_id=request_id, headers=headers)


def events(
    axon_id: str,
    *,
    limit: int | None = None,
    before_sequence: int | None = None,
    include_total_count: bool | None = None,
) -> Call[EventPage]:
    """A page of events, newest first; `before_sequence` goes on where the last page ended."""
    query = as_query(
        limit=limit, starting_after=before_sequence, include_total_count=include_total_count
    )
    return Call("GET", path_of(axon_id, "events"), _read_events, query=query)


def sql_query(axon_id: str, sql: str, params: Sequence[Any] = ()) -> Call[SqlResult]:
    """One statement on the axon's own SQL database; `?` takes the params in order."""
    return Call(
        "POST",
        path_of(axon_id, "sql/query"),
        _sql_result,
        body={"sql": sql, "params": list(params)},
    )


def sql_batch(axon_id: str, statements: Sequence[Statement]) -> Call[SqlBatch]:
    """Several statements in one transaction: all of them or none."""
    split = [(s, ()) if isinstance(s, str) else s for s in statements]
    body = {"statements": [{"sql": sql, "params": list(params)} for sql, params in split]}
    path = path_of(axon_id, "sql/batch")
    return Call("POST", path, _sql_batch, body=body)


def path_of(axon_id: str, tail: str = "") -> str:
    """The path of an axon or of something of it."""
    return f"{AXONS}/{quote(axon_id, safe='')}" + (f"/{tail}" if tail else "")


def _event_body(event: NewEvent) -> dict[str, Any]:
    return {
        "event_type": event.event_type,
        "origin": event.origin,
        "payload": event.payload,
        "source": event.source,
    }


def _expecting(sequence: int | None) -> dict[str, str]:
    return {} if sequence is None else {"if-match": f'"{sequence}"'}


def event_of(data: str) -> AxonEvent:
    """One event as a stream carries it; raises ValueError."""
    return _EVENT.validate_json(data)


def _read_axons(body: bytes) -> Page[Axon]:
    return _axon_page.validate_python(as_page(body, "axons"))


def _read_batch(body: bytes) -> list[Published]:
    answer = as_page(body, "events")
    return _published_list.validate_python(answer["items"])


def _read_events(body: bytes) -> EventPage:
    return _event_page.validate_python(as_page(body, "events"))


_EVENT: Final = TypeAdapter(AxonEvent)
