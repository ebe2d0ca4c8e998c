"""The server over real HTTP on loopback: in a thread, and as the copied folder an image holds."""

import http.client
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import scripted_model

BASH = {"type": "function", "function": {"name": "bash", "parameters": {}}}
LIMIT_SECONDS = 10


@pytest.fixture
def port() -> Iterator[int]:
    with scripted_model.Server("127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.stop()
        thread.join(LIMIT_SECONDS)


def call(port: int, method: str, path: str, body: Any = None) -> tuple[int, str, str]:
    """Status, content type and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_SECONDS)
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, data)
        response = connection.getresponse()
        kind = response.headers.get("content-type", "")
        return response.status, kind, response.read().decode()
    finally:
        connection.close()


def prompt(said: str, *, stream: bool = True) -> Any:
    messages = [{"role": "user", "content": said}]
    return {"model": "m", "stream": stream, "messages": messages, "tools": [BASH]}


def chat(port: int, said: str, *, stream: bool = True) -> tuple[int, str]:
    path = "/v1/chat/completions"
    status, _, body = call(port, "POST", path, prompt(said, stream=stream))
    return status, body


def text_of(stream: str) -> str:
    chunks = [json.loads(line[6:]) for line in stream.split("\n\n") if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return "".join(choice["delta"].get("content", "") for choice in choices)


def test_a_reply_is_streamed_or_whole_as_asked(port: int) -> None:
    status, kind, stream = call(
        port, "POST", "/v1/chat/completions", prompt("[[text Hello there.]]")
    )
    assert (status, kind) == (200, "text/event-stream")
    assert text_of(stream) == "Hello there."
    assert stream.endswith("data: [DONE]\n\n")
    _, whole = chat(port, "[[text Hello there.]]", stream=False)
    assert json.loads(whole)["choices"][0]["message"]["content"] == "Hello there."


@pytest.mark.parametrize(
    ("path", "body", "marks"),
    [
        ("/v1/responses", {"input": "[[text hi]]"}, "response.completed"),
        (
            "/v1/messages",
            {"messages": [{"role": "user", "content": "[[text hi]]"}]},
            "message_stop",
        ),
    ],
)
def test_the_other_formats_are_served_too(port: int, path: str, body: Any, marks: str) -> None:
    status, _, stream = call(port, "POST", path, body | {"stream": True})
    assert status == 200
    assert f"event: {marks}\n" in stream


def test_a_counted_fault_is_counted_over_requests(port: int) -> None:
    said = "[[http 429 x1]] [[text fine]]"
    assert [chat(port, said)[0] for _ in range(3)] == [429, 200, 200]


def test_a_dropped_reply_breaks_off_in_the_middle(port: int) -> None:
    with pytest.raises(http.client.IncompleteRead) as broken:
        chat(port, "[[drop]]")
    assert text_of(broken.value.partial.decode()) == "half of "


def test_a_garbled_reply_ends_in_what_is_not_json(port: int) -> None:
    with pytest.raises(http.client.IncompleteRead) as broken:
        chat(port, "[[badsse]]")
    assert broken.value.partial.endswith(b"data: {not json\n\n")


def test_a_hanging_reply_is_headers_and_then_nothing(port: int) -> None:
    assert chat(port, "[[hang 0.01]]") == (200, "")


def test_what_is_no_request_of_ours_is_refused_with_a_reason(port: int) -> None:
    assert call(port, "POST", "/v1/chat/completions", b"not json")[0] == 400
    assert call(port, "POST", "/v1/chat/completions", [1])[0] == 400
    assert call(port, "POST", "/v1/embeddings", {})[0] == 404
    assert call(port, "GET", "/nowhere")[0] == 404


def test_health_models_and_token_counts_are_answered(port: int) -> None:
    assert call(port, "GET", "/healthz") == (200, "application/json", '{"status": "ok"}')
    assert "scripted-1" in call(port, "GET", "/v1/models")[2]
    assert call(port, "POST", "/v1/messages/count_tokens", {})[2] == '{"input_tokens": 100}'
    assert call(port, "HEAD", "/")[0] == 200


def test_the_log_tells_what_was_asked(port: int) -> None:
    chat(port, "[[bash ls]]")
    entry = json.loads(call(port, "GET", "/__log")[2])[-1]
    assert (entry["post"], entry["kind"], entry["tool"]) == ("/v1/chat/completions", "tool", "bash")


def test_a_copy_of_the_folder_serves_and_ends_at_sigterm(tmp_path: Path) -> None:
    """An image holds nothing of this project but the folder, under another name."""
    folder = tmp_path / "app"
    shutil.copytree(Path(scripted_model.__file__).parent, folder)
    log = tmp_path / "log.jsonl"
    command = [sys.executable, str(folder / "scripted_model.py"), "--port", "0", "--log", str(log)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            port = json.loads(process.stdout.readline())["port"]
            assert text_of(chat(port, "[[text served]]")[1]) == "served"
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT_SECONDS) == 0
        finally:
            process.kill()
    assert json.loads(log.read_text())["last"] == "[[text served]]"
