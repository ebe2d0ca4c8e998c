#!/usr/bin/env python3
"""Writes what the views make of recorded journals, for people to read and tests to compare.

  .venv/bin/python hack/model/golden_views.py tests/golden/views

For each NAME.journal.jsonl there it writes NAME.views.txt: each event with its kind on the
timeline, and under it its worker events and its run events. Raw events, which repeat the journal,
are left out. A change of these files is a change of what users see: read the difference before you
commit it.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ranvier.events import AxonEvent, Origin
from ranvier.views import RunEvents, WorkerEvents, timeline_event

JOURNAL = ".journal.jsonl"
VIEWS = ".views.txt"


def events_of(journal: Path) -> list[AxonEvent]:
    """The events of a recorded journal."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    return [AxonEvent(**{**line, "origin": Origin(line["origin"])}) for line in lines]


def lines_of(events: list[AxonEvent]) -> Iterator[str]:
    """Each event with its kind on the timeline; under it, indented, what the other views make."""
    worker, runs = WorkerEvents(), RunEvents()
    for event in events:
        yield f"{event.sequence} {event.event_type} · {timeline_event(event).kind}\n"
        for told in worker.read(event):
            payload = {k: v for k, v in told.payload.items() if k != "raw_event"}
            yield f"  worker {told.kind} [{told.session_id or '-'}] {_json(payload)}\n"
        for run in runs.read(event):
            about = f"{run.run_id} [{run.thread_id}] {run.state} {run.step}"
            more = [run.message] if run.message else []
            more += [_json(run.data)] if run.data is not None else []
            yield " ".join([f"  run {run.type} {about}", *more]) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def main() -> None:
    for journal in sorted(Path(sys.argv[1]).glob(f"*{JOURNAL}")):
        views = journal.with_name(journal.name.removesuffix(JOURNAL) + VIEWS)
        views.write_text("".join(lines_of(events_of(journal))))


if __name__ == "__main__":
    main()
