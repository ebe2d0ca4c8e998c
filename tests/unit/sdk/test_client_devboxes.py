"""What is sent for devboxes, and what is made of the answers; no server."""

import json

import httpx
import pytest
from ranvier import Ranvier, broker_mount
from ranvier.cli import output
from ranvier.cli.output import Format
from ranvier.client.errors import BadRequest, NotFound
from ranvier.client.models import Devbox

BOX = {
    "id": "dbx_1",
    "status": "suspended",
    "create_time_ms": 0,
    "launch_parameters": {"after_idle": {"idle_time_seconds": 5}},
    "ranvier": {"namespace": "default", "name": "one", "reason": "Idle", "message": "Quiet."},
    "of_a_newer_server": {},
}


def answering(status: int, body: object, seen: list[httpx.Request]) -> Ranvier:
    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, json=body)

    transport = httpx.MockTransport(answer)
    return Ranvier("http://server", "key", http_transport=transport)


def test_a_devbox_is_made_of_what_is_given_and_of_nothing_else() -> None:
    seen: list[httpx.Request] = []
    with answering(200, BOX, seen) as ranvier:
        mount = broker_mount("axn_1", agent_binary="opencode", launch_args=["acp"])
        made = ranvier.devboxes.create(name="one", mounts=[mount], request_id="once")
    assert (made.id, made.status, made.reason) == ("dbx_1", "suspended", "Idle")
    [request] = seen
    assert request.headers["x-request-id"] == "once"
    broker = {"axon_id": "axn_1", "protocol": "acp", "agent_binary": "opencode"}
    assert json.loads(request.content) == {
        "name": "one",
        "mounts": [{"type": "broker_mount", **broker, "launch_args": ["acp"]}],
    }


def test_lists_and_waits_say_what_they_want() -> None:
    seen: list[httpx.Request] = []
    with answering(200, {"devboxes": [BOX], "has_more": False}, seen) as ranvier:
        [box] = ranvier.devboxes.list(status="suspended", limit=5).items
        assert box.ranvier is not None
        assert box.ranvier.message == "Quiet."
    with answering(200, BOX, seen) as ranvier:
        ranvier.devboxes.wait_for_status("dbx/1", ["running"], timeout_seconds=3)
    listed, waited = seen
    assert dict(listed.url.params) == {"status": "suspended", "limit": "5"}
    assert waited.url.raw_path == b"/v1/devboxes/dbx%2F1/wait_for_status"
    assert json.loads(waited.content) == {"statuses": ["running"], "timeout_seconds": 3}


@pytest.mark.parametrize(
    ("status", "code", "kind", "step"),
    [
        (404, "devbox_not_found", NotFound, "ranvier devbox list"),
        (400, "wrong_state", BadRequest, "ranvier devbox get"),
    ],
)
def test_refusals_say_what_to_do(status: int, code: str, kind: type[Exception], step: str) -> None:
    with (
        answering(status, {"code": code, "message": "No."}, []) as ranvier,
        pytest.raises(kind, match=step),
    ):
        ranvier.devboxes.suspend("dbx_1")


def test_one_thing_is_shown_with_its_inner_fields_and_nothing_that_moves_the_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    box = Devbox.model_validate({**BOX, "metadata": {"a\x1b[2J_ms": "now"}})
    output.one(box, Format.TEXT)
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert shown["launch_parameters.after_idle.idle_time_seconds"] == "5"
    assert shown["ranvier.reason"] == "Idle"
    assert shown["create_time_ms"] == "1970-01-01 00:00:00Z"
    assert shown["metadata.a\ufffd[2J_ms"] == "now"
