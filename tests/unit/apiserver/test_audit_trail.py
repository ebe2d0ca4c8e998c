"""The audit trail: what a line says, and that nobody waits for whoever reads the lines."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier_apiserver import audit, audit_log
from ranvier_apiserver.audit_log import AuditLog

NOW = 1_763_733_600_000


def clock() -> int:
    return NOW


def request(method: str = "POST", **more: Any) -> dict[str, Any]:
    return {"method": method, "headers": [(b"x-request-id", b"r-1")], "client": ("::1", 5), **more}


def entry(**facts: Any) -> audit.Entry:
    return audit.Entry(NOW, "POST", "/v1/axons", 200, 0.0123, "r-1", "::1", facts)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_who_did_what_to_which_axon() -> None:
    scope = request(path_params={"axon_id": "axn_1"})
    audit.note(scope, who="key 12ab")
    audit.note(scope, sequence=7, events=2)
    told = audit.entry(scope, "/v1/axons/{axon_id}/publish", 200, 0.0123, NOW)
    assert told is not None
    assert json.loads(audit.line(told)) == {
        "time": "2025-11-21T14:00:00.000+00:00",
        "level": "info",
        "logger": "ranvier_apiserver.audit",
        "message": "write",
        "who": "key 12ab",
        "what": "POST /v1/axons/{axon_id}/publish",
        "axon_id": "axn_1",
        "sequence": 7,
        "events": 2,
        "status": 200,
        "ms": 12.3,
        "request_id": "r-1",
        "client": "::1",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_reading_is_not_told(method: str) -> None:
    assert audit.entry(request(method), "/v1/axons", 200, 0.0, NOW) is None


@given(st.text(max_size=2_000), st.binary(max_size=2_000))
def test_whatever_a_caller_sends_is_one_short_line(word: str, request_id: bytes) -> None:
    scope = request(path_params={"axon_id": word}) | {"headers": [(b"x-request-id", request_id)]}
    told = audit.entry(scope, "/", 200, 0.0, NOW)
    assert told is not None
    line = audit.line(told)
    assert line.count(b"\n") == 1
    assert len(line) <= audit_log.WRITE_BYTES_MAX
    assert json.loads(line)["who"] is None


def test_a_stop_writes_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    trail = AuditLog(path, clock)
    for number in range(1000):
        trail.tell(entry(sequence=number))
    trail.close()
    assert [line["sequence"] for line in lines(path)] == list(range(1000))
    assert path.stat().st_mode & 0o077 == 0


def test_a_rotated_file_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    trail = AuditLog(path, clock)
    path.rename(tmp_path / "old")
    trail.tell(entry(sequence=1))
    trail.close()
    assert [line["sequence"] for line in lines(path)] == [1]


def test_a_reader_that_does_not_read_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is counted, and the trail says how many lines it lacks."""
    monkeypatch.setattr(audit_log, "LINES_MAX", 100)
    reading, writing = os.pipe()
    monkeypatch.setattr(audit_log, "_open", lambda _path: writing)
    trail = AuditLog(None, clock)
    told = 5_000
    for number in range(told):
        trail.tell(entry(sequence=number))
    assert trail.lost > 0
    with ThreadPoolExecutor() as pool, os.fdopen(reading, "rb") as pipe:
        all_lines = pool.submit(lambda: [json.loads(line) for line in pipe])
        trail.close()
        os.close(writing)
        seen = all_lines.result()
    missing = sum(line["lines"] for line in seen if line["message"] == "lost")
    sequences = [line["sequence"] for line in seen if line["message"] == "write"]
    assert sequences == sorted(sequences)
    assert len(sequences) + missing == told
    assert missing == trail.lost


def test_a_full_disk_leaves_a_gap_that_is_told_and_no_broken_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    really, asked = os.write, 0

    def full_once(descriptor: int, chunk: bytes) -> int:
        nonlocal asked
        asked += 1
        if asked == 1:
            return really(descriptor, bytes(chunk[:20]))
        if asked == 2:
            raise OSError(28, "No space left on device")
        return really(descriptor, chunk)

    monkeypatch.setattr(audit_log.os, "write", full_once)
    trail = AuditLog(path, clock)
    trail.tell(entry(sequence=1))
    while not trail.lost:
        pass
    trail.tell(entry(sequence=2))
    trail.close()
    torn, *whole = path.read_text().splitlines()
    assert len(torn) == 20
    gap, line = map(json.loads, whole)
    assert (gap["message"], gap["lines"]) == ("lost", 1)
    assert line["sequence"] == 2
