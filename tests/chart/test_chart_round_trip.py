"""`helm test`: the round trip passes with an honest API server and fails with every other."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

SCRIPT = Path(__file__).parents[2] / "charts" / "ranvier" / "files" / "round_trip.py"
KEY = "rvk_test"


class Journal(BaseHTTPRequestHandler):
    """As much of the API as the script uses; `fault` names what it does wrong."""

    fault: ClassVar[str] = ""
    events: ClassVar[list[dict[str, Any]]] = []
    deleted: ClassVar[bool] = False

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Nothing."""

    def answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def allowed(self) -> bool:
        if self.headers["authorization"] == f"Bearer {KEY}" or self.fault == "lets anybody in":
            return True
        self.answer(401, {"code": "unauthenticated", "message": "no such key"})
        return False

    def do_GET(self) -> None:
        if self.path == "/readyz":
            self.answer(200, {})
        elif self.allowed():
            self.answer(200, {"axons": []} if self.path == "/v1/axons" else {"events": self.seen()})

    def seen(self) -> list[dict[str, Any]]:
        match self.fault:
            case "loses an event":
                return self.events[:2]
            case "changes a payload":
                return [e | {"payload": e["payload"].replace("\\u00fc", "?")} for e in self.events]
            case _:
                return self.events

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.allowed():
            return
        if self.path == "/v1/axons":
            self.answer(200, {"id": "axn_1"})
        elif self.fault == "refuses":
            self.answer(503, {"code": "storage_full", "message": "no space left"})
        else:
            number = len(self.events) + (2 if self.fault == "leaves a gap" else 1)
            self.events.append(body | {"sequence": number})
            self.answer(200, {"sequence": number, "timestamp_ms": 1})

    def do_DELETE(self) -> None:
        if self.allowed():
            type(self).deleted = True
            self.answer(200, {})


@contextmanager
def serving(fault: str) -> Iterator[tuple[str, type[Journal]]]:
    handler = type("Faulty", (Journal,), {"fault": fault, "events": [], "deleted": False})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", handler
        finally:
            server.shutdown()
            thread.join()


def run(url: str) -> subprocess.CompletedProcess[str]:
    variables = {"RANVIER_API_URL": url, "RANVIER_API_KEY": f"{KEY}\n", "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.read_text()],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_honest_api_server_passes() -> None:
    with serving("") as (url, handler):
        done = run(url)
        assert done.returncode == 0, done.stderr
        assert "ok: payloads read back" in done.stdout
        assert handler.deleted


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("lets anybody in", "FAILED: a wrong key is refused: expected 401, got 200"),
        ("leaves a gap", "FAILED: sequence of event 1: expected 1, got 2"),
        ("loses an event", "FAILED: sequences read back: expected [1, 2, 3], got [1, 2]"),
        ("changes a payload", "FAILED: payloads read back"),
        ("refuses", "FAILED: POST /v1/axons/axn_1/publish answered 503"),
    ],
)
def test_a_faulty_api_server_fails_with_a_sentence(fault: str, sentence: str) -> None:
    with serving(fault) as (url, handler):
        done = run(url)
        assert done.returncode != 0
        assert sentence in done.stderr
        assert handler.deleted or fault == "lets anybody in", "the axon is taken away again"
