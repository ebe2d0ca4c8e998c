"""Recorded conversations with real agents, seen through the three views."""

from pathlib import Path

import pytest
from model.golden_views import JOURNAL, VIEWS, events_of, lines_of
from model.journals import journal_of
from ranvier.views import RUN_TERMINALS, RunEvents, WorkerEvents

GOLDEN = Path(__file__).parents[2] / "golden"
JOURNALS = sorted((GOLDEN / "views").glob(f"*{JOURNAL}"))
TERMINALS = ("turn.completed", "turn.failed", "turn.cancelled")


def name_of(path: Path) -> str:
    return path.name.removesuffix(JOURNAL)


def test_every_protocol_is_recorded() -> None:
    names = {name_of(path).partition(".")[0] for path in JOURNALS}
    acp = {"acp-opencode", "acp-claude-agent-acp"}
    assert names == acp | {"claude_json", "codex_app_server", "pi_json"}


@pytest.mark.parametrize("journal", JOURNALS, ids=name_of)
def test_a_recorded_journal_looks_as_it_did(journal: Path) -> None:
    golden = journal.with_name(name_of(journal) + VIEWS).read_text()
    assert "".join(lines_of(events_of(journal))) == golden, "see tests/golden/views/README.md"


@pytest.mark.parametrize("journal", JOURNALS, ids=name_of)
def test_the_text_of_a_run_is_the_text_of_its_terminal(journal: Path) -> None:
    """Two views of one journal tell the same story."""
    worker, runs, said = WorkerEvents(), RunEvents(), ""
    for event in events_of(journal):
        for run in runs.read(event):
            said = "" if run.type == "run_started" else said
            said += (run.data or {}).get("delta", "") if run.type == "text_delta" else ""
        for told in worker.read(event):
            if told.kind == "turn.completed":
                assert told.payload["response_text"] == said
                assert runs.read(event) == []  # it has ended: its terminal came once
            elif told.kind in TERMINALS:
                assert told.payload["partial_response"] == said


@pytest.mark.parametrize("journal", JOURNALS, ids=name_of)
def test_every_recorded_turn_has_one_beginning_and_one_end(journal: Path) -> None:
    worker, runs = WorkerEvents(), RunEvents()
    events = events_of(journal)
    kinds = [told.kind for event in events for told in worker.read(event)]
    types = [told.type for event in events for told in runs.read(event)]
    turns = sum(event.event_type == "turn.started" for event in events)
    assert kinds.count("turn.accepted") == kinds.count("turn.started") == turns
    assert sum(kind in TERMINALS for kind in kinds) == turns
    assert types.count("run_started") == turns == sum(t in RUN_TERMINALS for t in types)


@pytest.mark.parametrize(
    ("name", "protocol", "trace"),
    [("acp-opencode", "acp", "acp-opencode"), ("pi_json", "pi_json", "pi")],
)
def test_the_recipe_of_the_journals_is_the_one_they_were_made_by(
    name: str, protocol: str, trace: str
) -> None:
    journal = GOLDEN / "views" / f"{name}.trace{JOURNAL}"
    made = journal_of(protocol, GOLDEN / trace / "trace.jsonl")
    assert [event["payload"] for event in made] == [e.payload for e in events_of(journal)]
