"""Query strings as the published clients send them, and what is said about wrong ones."""

import pytest
from ranvier.events import Origin
from ranvier_apiserver.errors import InvalidField
from ranvier_apiserver.event_filter import EventFilter
from ranvier_apiserver.journal.store import AxonQuery
from ranvier_apiserver.routes import queries


def test_nothing_given_is_a_page_of_twenty_with_its_total() -> None:
    assert queries.axons({}, []) == AxonQuery(limit=20)


def test_every_filter_of_a_list() -> None:
    params = {
        "limit": "5",
        "starting_after": "axn_9",
        "id": "axn_1",
        "name": "fix",
        "search": "er",
        "include_total_count": "false",
    }
    pairs = [*params.items(), ("metadata[a]", "1,2"), ("metadata[b][in]", "x,y")]
    assert queries.axons(params, pairs) == AxonQuery(
        limit=5,
        starting_after="axn_9",
        axon_id="axn_1",
        name_prefix="fix",
        search="er",
        metadata={"a": ["1,2"], "b": ["x", "y"]},
        with_total=False,
    )


@pytest.mark.parametrize("text", ["0", "5001", "-1", "many", "1.5"])
def test_a_limit_is_from_1_to_5000(text: str) -> None:
    with pytest.raises(InvalidField, match="limit: must be"):
        queries.limit({"limit": text})


def test_sequences_are_whole_numbers() -> None:
    assert queries.sequence({}, "after_sequence") is None
    assert queries.sequence({"after_sequence": "12"}, "after_sequence") == 12
    for text in ("-1", "x", str(2**63)):
        with pytest.raises(InvalidField, match="after_sequence"):
            queries.sequence({"after_sequence": text}, "after_sequence")


def test_filters_are_comma_separated_lists() -> None:
    assert queries.event_filter({}).is_everything
    assert queries.event_filter({"origin": "USER_EVENT, AGENT_EVENT"}) == EventFilter(
        origins=frozenset({Origin.USER, Origin.AGENT})
    )
    assert queries.event_filter({"event_type": "a, b,", "origin": ""}) == EventFilter(
        event_types=frozenset({"a", "b"})
    )
    with pytest.raises(InvalidField, match="SYSTEM_EVENT"):
        queries.event_filter({"origin": "NOBODY"})


def test_filters_are_bounded() -> None:
    many = ",".join(str(i) for i in range(queries.EVENT_TYPES_MAX + 1))
    with pytest.raises(InvalidField, match="event_type: names at most"):
        queries.event_filter({"event_type": many})
    with pytest.raises(InvalidField, match="metadata: filters by at most"):
        queries.axons({}, [("metadata[k][in]", many)])


def test_a_wait_is_bounded_in_seconds() -> None:
    assert queries.wait_seconds({}) == 0
    assert queries.wait_seconds({"wait": "2.5"}) == 2.5
    for text in ("-1", "26", "nan", "inf", "soon"):
        with pytest.raises(InvalidField, match="wait: must be"):
            queries.wait_seconds({"wait": text})


def test_include_total_count_is_true_or_false() -> None:
    with pytest.raises(InvalidField):
        queries.with_total({"include_total_count": "maybe"})
