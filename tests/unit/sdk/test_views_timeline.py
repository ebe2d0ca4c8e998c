"""The timeline of seed 001: every event has a kind, whatever it is."""

import pytest
from axon_story import Story
from ranvier.views import AgentProtocol, timeline_event

CASES = [
    ("session/prompt", AgentProtocol.ACP, "acp_protocol"),
    ("_vendor/extension", AgentProtocol.ACP, "acp_protocol"),
    ("query", AgentProtocol.CLAUDE_JSON, "claude_protocol"),
    ("item/started", AgentProtocol.CODEX_APP_SERVER, "codex_protocol"),
    ("item/started", AgentProtocol.CODEX_JSON, "codex_protocol"),
    ("item/started", AgentProtocol.ACP, "unknown"),
    ("user.message", AgentProtocol.ACP, "unknown"),
    ("session/update", AgentProtocol.PI_JSON, "unknown"),
    ("agent_settled", AgentProtocol.PI_JSON, "pi_protocol"),
    ("response", AgentProtocol.PI_JSON, "pi_protocol"),
    ("agent_settled", None, "pi_protocol"),
    ("response", None, "codex_protocol"),
    ("session/update", None, "acp_protocol"),
    ("stream_event", None, "claude_protocol"),
]


@pytest.mark.parametrize(("event_type", "protocol", "kind"), CASES)
def test_an_event_is_of_the_protocol_that_knows_its_type(
    event_type: str, protocol: AgentProtocol | None, kind: str
) -> None:
    for event in (Story().user(event_type), Story().agent(event_type)):
        assert timeline_event(event, protocol).kind == kind


def test_names_that_two_protocols_share_are_told_apart_by_their_payloads() -> None:
    of_codex = {"id": "1", "method": "turn/start", "params": {}}
    of_pi = {"id": "1", "type": "prompt", "message": "hi"}
    assert timeline_event(Story().user("turn/start", of_codex)).kind == "codex_protocol"
    assert timeline_event(Story().user("turn/start", of_pi)).kind == "pi_protocol"


def test_the_platforms_events_are_system_events() -> None:
    story = Story()
    assert timeline_event(story.system("turn.started", turn_id="t")).kind == "system"
    assert timeline_event(story.system("turn.invented")).kind == "unknown"
    assert timeline_event(story.agent("turn.started")).kind == "unknown"


def test_a_payload_that_is_no_json_has_no_data() -> None:
    event = Story().agent("session/update", "not json")
    shown = timeline_event(event)
    assert (shown.kind, shown.data, shown.axon_event) == ("acp_protocol", None, event)
    assert timeline_event(Story().agent("session/update", {"a": 1})).data == {"a": 1}
