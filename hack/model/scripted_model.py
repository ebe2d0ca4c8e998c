#!/usr/bin/env python3
"""Serves the scripted model over HTTP: OpenAI Chat Completions and Responses, Anthropic Messages.

  python3 scripted_model.py --host 127.0.0.1 --port 0 [--log FILE]

prints one JSON line ``{"port": N}`` once it listens and runs until SIGTERM. It needs nothing but
this folder and the standard library. What the model says stands in the prompt, see
``scripted/script.py``. This file only performs: it owns the sockets, the clock, the random ids, the
log and the count of faults played.

  POST …/chat/completions, …/responses, …/messages   a reply, streamed if asked so
  POST …/count_tokens                                 always the same number
  GET  …/models                                       the one model
  GET  /healthz                                       200 while serving
  GET  /__log                                         what was asked, newest last
"""

import argparse
import json
import signal
import sys
import threading
import time
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TextIO, cast

from scripted import answers, chat, messages, responses
from scripted.conversation import Cut, Hang, Json, Refuse, Reply, Request, Say
from scripted.decide import Fault, decide
from scripted.wire import INPUT_TOKENS, Format, Frame, Stamp, broken

FORMATS: dict[str, Format] = {
    "/chat/completions": chat,
    "/responses": responses,
    "/messages": messages,
}
# Real agents send up to 2 MB a prompt and their whole history with it.
REQUEST_BYTES_MAX = 64 * 1024 * 1024
# The log is for a test to look at; a server that runs for weeks must not grow with it.
LOG_ENTRIES_MAX = 10_000


class Server(ThreadingHTTPServer):
    """A thread a connection, around what the model remembers."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host: str, port: int, log_file: TextIO | None = None) -> None:
        super().__init__((host, port), Handler)
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._log: deque[Json] = deque(maxlen=LOG_ENTRIES_MAX)
        self._log_file = log_file
        self._played: defaultdict[str, Counter[Fault]] = defaultdict(Counter)

    def decide(self, path: str, request: Request) -> Reply:
        """What the model answers; a counted fault is counted apart for each path."""
        with self._lock:
            decision = decide(request, self._played[path])
            if decision.played:
                self._played[path][decision.played] += 1
        return decision.reply

    def note(self, **entry: Any) -> None:
        """Add a line to the log."""
        entry["t"] = round(time.time(), 3)
        with self._lock:
            self._log.append(entry)
            if self._log_file:
                print(json.dumps(entry), file=self._log_file, flush=True)

    def log(self) -> list[Json]:
        """What was asked so far."""
        with self._lock:
            return list(self._log)

    def stop(self) -> None:
        """Cut waits short and stop serving; must not be called by the serving thread."""
        self.stopping.set()
        self.shutdown()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection: reads requests, performs replies."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def model(self) -> Server:
        return cast(Server, self.server)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Nothing: what is worth knowing goes to /__log."""

    def do_HEAD(self) -> None:
        self._answer(200)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            return self._answer(200, {"status": "ok"})
        if path == "/__log":
            return self._answer(200, self.model.log())
        self.model.note(get=self.path)
        if path.endswith("/models"):
            return self._answer(200, answers.models())
        return self._answer(404, answers.error(404, f"no {path}"))

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        raw = self._body()
        if raw is None:
            self.close_connection = True
            return self._answer(413, answers.error(413, f"over {REQUEST_BYTES_MAX} bytes"))
        if path.endswith("/count_tokens"):
            return self._answer(200, {"input_tokens": INPUT_TOKENS})
        wire = next((wire for end, wire in FORMATS.items() if path.endswith(end)), None)
        if wire is None:
            self.model.note(post=self.path, unknown=True)
            return self._answer(404, answers.error(404, f"no {path}"))
        try:
            request = wire.read(json.loads(raw))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.model.note(post=self.path, bad=len(raw))
            return self._answer(400, answers.error(400, f"cannot read this request: {error!r}"))
        reply = self.model.decide(path, request)
        auth = any(name in self.headers for name in ("authorization", "x-api-key"))
        told = answers.logged(request, reply)
        self.model.note(post=self.path, bytes=len(raw), auth=auth, **told)
        return self._perform(reply, wire, request)

    def _body(self) -> bytes | None:
        """The body of a request, or None where it is too large."""
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            length = int(self.headers.get("content-length") or 0)
            return None if length > REQUEST_BYTES_MAX else self.rfile.read(length)
        body = bytearray()
        while length := int(self.rfile.readline().partition(b";")[0], 16):
            if len(body) + length > REQUEST_BYTES_MAX:
                return None
            body += self.rfile.read(length)
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers, up to the empty line
            pass
        return bytes(body)

    def _perform(self, reply: Reply, wire: Format, request: Request) -> None:
        stamp = Stamp(request.model, uuid.uuid4().hex[:20], int(time.time()))
        match reply:
            case Refuse(status):
                return self._answer(status, answers.error(status))
            case Say() if not request.is_streamed:
                return self._answer(200, wire.whole(reply, stamp))
            case Say():
                return self._stream(wire.stream(reply, stamp), ending=b"0\r\n\r\n")
            case Cut(half, is_garbled):
                frames = broken(wire.stream(half, stamp), is_garbled=is_garbled)
                return self._stream(frames, ending=b"")
            case Hang(seconds):
                return self._stream([], ending=b"0\r\n\r\n", delay_seconds=seconds)

    def _stream(self, frames: Iterable[Frame], ending: bytes, delay_seconds: float = 0.0) -> None:
        """Send frames as they come; without an ending the connection breaks in mid-reply."""
        self.close_connection = not ending
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("cache-control", "no-cache")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.model.stopping.wait(delay_seconds)
        try:
            for frame in frames:
                data = frame.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                if frame.pause_seconds and self.model.stopping.wait(frame.pause_seconds):
                    self.close_connection = True
                    return
            self.wfile.write(ending)
        except ConnectionError as error:
            self.model.note(client_gone=type(error).__name__, path=self.path)
            self.close_connection = True

    def _answer(self, status: int, body: Any = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if status in answers.RETRIABLE:
            self.send_header("retry-after", "1")
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    parser = argparse.ArgumentParser(description="A language model that plays the prompt's script.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--log", type=argparse.FileType("a"), help="append what is asked, as JSON")
    options = parser.parse_args()
    server = Server(options.host, options.port, options.log)

    def stop(_signal: int, _frame: object) -> None:
        threading.Thread(target=server.stop).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(json.dumps({"port": server.server_address[1]}), flush=True)
    with server:
        server.serve_forever()


if __name__ == "__main__":
    main()
