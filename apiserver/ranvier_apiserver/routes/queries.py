"""Query strings: what the published clients send, checked, with sentences for mistakes. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ranvier.events import Origin

from ranvier_apiserver.errors import InvalidField
from ranvier_apiserver.event_filter import EventFilter
from ranvier_apiserver.journal.store import AxonQuery
from ranvier_apiserver.routes.described import Parameter

LIMIT_DEFAULT: Final = 20
LIMIT_MAX: Final = 5000
SEQUENCE_MAX: Final = 2**63 - 1
WAIT_SECONDS_MAX: Final = 25
"""Below the 30 s after which the published clients give a request up."""

EVENT_TYPES_MAX: Final = 64
METADATA_VALUES_MAX: Final = 64
"""What a filter may name: each is looked for in every row that is read."""

_TEXT: Final = {"type": "string"}
_FLAG: Final = {"type": "boolean", "default": True}
_SEQUENCE: Final = {"type": "integer", "minimum": 0, "maximum": SEQUENCE_MAX}
_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}

PAGE: Final = (
    Parameter("limit", _LIMIT, "How many at most"),
    Parameter("include_total_count", _FLAG, "Whether to count them all"),
)
AXONS: Final = (
    *PAGE,
    Parameter("starting_after", _TEXT, "Id of the last axon seen: the page after it"),
    Parameter("id", _TEXT, "This axon alone"),
    Parameter("name", _TEXT, "Names that begin so"),
    Parameter("search", _TEXT, "Ids and names that hold this, whatever the case"),
    Parameter(
        "metadata",
        {"type": "object", "additionalProperties": _TEXT},
        "metadata[key]=value; several values: metadata[key][in]=a,b",
    ),
)
_LAST_SEEN: Final = Parameter("starting_after", _TEXT, "Id of the last one seen: the page after it")
DEVBOXES: Final = (*PAGE, _LAST_SEEN, Parameter("status", _TEXT, "Those in this state"))
BLUEPRINTS: Final = (
    *PAGE,
    _LAST_SEEN,
    Parameter("name", _TEXT, "Those of this name"),
    Parameter("status", _TEXT, "Those in this state"),
)
SECRETS: Final = (PAGE[0],)
LINES_MAX: Final = 1_000_000
LINES_DEFAULT: Final = 100
_LINES: Final = {"type": "integer", "minimum": 0, "maximum": LINES_MAX, "default": LINES_DEFAULT}
EXECUTION: Final = (Parameter("last_n", _LINES, "Lines of each output in the answer, its last"),)
LOGS: Final = (
    Parameter("execution_id", _TEXT, "Of this execution alone"),
    Parameter("shell_name", _TEXT, "Of a named shell; there are none, so nothing"),
)
STREAM: Final = (Parameter("offset", _SEQUENCE, "The byte to begin with"),)
AFTER: Final = Parameter("after_sequence", _SEQUENCE, "Events after this one, oldest first")
FILTER: Final = (
    Parameter("origin", _TEXT, f"Comma-separated: {', '.join(Origin)}"),
    Parameter("event_type", _TEXT, f"Comma-separated, up to {EVENT_TYPES_MAX}"),
)
EVENTS: Final = (
    *PAGE,
    *FILTER,
    AFTER,
    Parameter("starting_after", _SEQUENCE, "Events before this one, newest first"),
    Parameter(
        "wait",
        {"type": "number", "minimum": 0, "maximum": WAIT_SECONDS_MAX},
        "With after_sequence: seconds to wait for the first event",
    ),
)

_METADATA: Final = re.compile(r"metadata\[(?P<key>[^]]+)](?P<many>\[in])?")


def limit(params: Mapping[str, str]) -> int:
    value = _integer(params, "limit", LIMIT_DEFAULT)
    if not 1 <= value <= LIMIT_MAX:
        raise InvalidField(f"limit: must be from 1 to {LIMIT_MAX}.")
    return value


def sequence(params: Mapping[str, str], name: str) -> int | None:
    """A sequence number, or None when the parameter is left out."""
    if not params.get(name):
        return None
    value = _integer(params, name, 0)
    if not 0 <= value <= SEQUENCE_MAX:
        raise InvalidField(f"{name}: must be a sequence number, 0 or more.")
    return value


def last_n(params: Mapping[str, str]) -> int:
    """Lines of output in an answer."""
    value = _integer(params, "last_n", LINES_DEFAULT) if params.get("last_n") else LINES_DEFAULT
    if not 0 <= value <= LINES_MAX:
        raise InvalidField(f"last_n: must be 0 to {LINES_MAX}; a stream has all of the output.")
    return value


def offset(params: Mapping[str, str]) -> int:
    """A byte of an output; the beginning when it is left out."""
    value = _integer(params, "offset", 0) if params.get("offset") else 0
    if not 0 <= value <= SEQUENCE_MAX:
        raise InvalidField("offset: must be a number of bytes, 0 or more.")
    return value


def with_total(params: Mapping[str, str]) -> bool:
    value = params.get("include_total_count", "true").lower()
    if value not in ("true", "false"):
        raise InvalidField("include_total_count: must be true or false.")
    return value == "true"


def event_filter(params: Mapping[str, str]) -> EventFilter:
    """`origin=USER_EVENT,EXTERNAL_EVENT` and `event_type=a,b`; what is left out means all."""
    event_types = _words(params, "event_type")
    if len(event_types) > EVENT_TYPES_MAX:
        raise InvalidField(f"event_type: names at most {EVENT_TYPES_MAX} types.")
    try:
        origins = frozenset(Origin(word) for word in _words(params, "origin"))
    except ValueError:
        raise InvalidField(f"origin: must be of {', '.join(Origin)}.") from None
    return EventFilter(origins or None, event_types or None)


def wait_seconds(params: Mapping[str, str]) -> float:
    """How long a read may wait for its first event; 0 when left out."""
    try:
        value = float(params.get("wait") or 0)
    except ValueError:
        value = -1
    if not 0 <= value <= WAIT_SECONDS_MAX:
        raise InvalidField(f"wait: must be a number of seconds from 0 to {WAIT_SECONDS_MAX}.")
    return value


def axons(params: Mapping[str, str], pairs: Iterable[tuple[str, str]]) -> AxonQuery:
    """`pairs` are all parameters, repeated ones too: several values of a key are alternatives."""
    metadata: dict[str, list[str]] = {}
    for name, value in pairs:
        if found := _METADATA.fullmatch(name):
            values = value.split(",") if found["many"] else [value]
            metadata.setdefault(found["key"], []).extend(values)
    if sum(map(len, metadata.values())) > METADATA_VALUES_MAX:
        raise InvalidField(f"metadata: filters by at most {METADATA_VALUES_MAX} values.")
    return AxonQuery(
        limit=limit(params),
        starting_after=params.get("starting_after") or None,
        axon_id=params.get("id") or None,
        name_prefix=params.get("name") or None,
        search=params.get("search") or None,
        metadata=metadata,
        with_total=with_total(params),
    )


def _words(params: Mapping[str, str], name: str) -> frozenset[str]:
    return frozenset(word.strip() for word in params.get(name, "").split(",") if word.strip())


def _integer(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name)
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise InvalidField(f"{name}: must be a whole number.") from None
