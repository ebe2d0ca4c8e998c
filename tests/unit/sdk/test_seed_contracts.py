"""The tables of seeds 003 and 004: every event of the recorded conversations keeps to them."""

from dataclasses import fields
from pathlib import Path

import pytest
from model.golden_views import JOURNAL, events_of
from ranvier.views import AgentRunEvent, EventEnvelope, RunEvents, WorkerEvents, is_reserved
from snippets import SEEDS, table

KINDS = table(SEEDS / "003_workers.md", "Kinds")
TYPES = table(SEEDS / "004_runs.md", "Types")
JOURNALS = sorted((Path(__file__).parents[2] / "golden" / "views").glob(f"*{JOURNAL}"))


def worker_events() -> list[EventEnvelope]:
    told = []
    for journal in JOURNALS:
        view = WorkerEvents()
        told += [envelope for event in events_of(journal) for envelope in view.read(event)]
    return told


def run_events() -> list[AgentRunEvent]:
    told = []
    for journal in JOURNALS:
        view = RunEvents()
        told += [run for event in events_of(journal) for run in view.read(event)]
    return told


WORKER_EVENTS, RUN_EVENTS = worker_events(), run_events()
HERE = Path(__file__).parent


def test_there_are_thirteen_kinds_and_eighteen_types() -> None:
    assert (len(KINDS), len(TYPES)) == (13, 18)
    assert all(is_reserved(kind) for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_gets_the_fields_that_were_promised(kind: str) -> None:
    told = [event for event in WORKER_EVENTS if event.kind == kind]
    assert told or _is_played(kind, "test_views_worker.py")
    assert all(event.payload.keys() == set(KINDS[kind]) for event in told)


def test_a_worker_gets_nothing_else_from_a_reserved_namespace() -> None:
    assert {event.kind for event in WORKER_EVENTS if is_reserved(event.kind)} <= KINDS.keys()


@pytest.mark.parametrize("kind", TYPES)
def test_a_run_tells_the_fields_that_were_promised(kind: str) -> None:
    told = [event for event in RUN_EVENTS if event.type == kind]
    assert told or _is_played(kind, "test_views_runs.py")
    assert all((event.data or {}).keys() == set(TYPES[kind]) for event in told)


def test_a_run_tells_no_other_type() -> None:
    assert {event.type for event in RUN_EVENTS} <= TYPES.keys()


def test_a_run_event_has_the_fields_that_were_promised() -> None:
    assert [f.name for f in fields(AgentRunEvent)] == list(table(SEEDS / "004_runs.md", "Fields"))


def _is_played(kind: str, module: str) -> bool:
    """What no agent did while it was recorded, a test plays."""
    return f'"{kind}"' in (HERE / module).read_text()
