"""Sessions outlive processes: what is remembered, and how it is restored (agents.md, section 7)."""

from typing import Any

import pytest
from broker_playbook import (
    OFFERS_LOAD,
    OFFERS_NOTHING,
    OFFERS_RESUME,
    Talk,
    axon_event,
    line,
    prompt_of,
    sent,
    update,
)
from ranvier_broker.codecs.acp_sessions import Sessions
from ranvier_broker.codecs.base import Complaint, Ready, Remember, Said
from ranvier_broker.codecs.jsonrpc import dump
from ranvier_broker.codecs.remembered import REMEMBERED_CHARACTERS_MAX

SAVED: dict[str, Any] = {
    "initialize": {"protocolVersion": 1, "clientInfo": {"name": "client"}},
    "sessions": {
        "s0": {"cwd": "/old", "mcpServers": []},
        "s1": {"cwd": "/w", "mcpServers": [{"name": "m"}]},
    },
    "settings": {"s1": {"session/set_mode": {"sessionId": "s1", "modeId": "plan"}}},
}


def remembered(told: list[Any]) -> dict[str, Any]:
    [fact] = [fact for fact in told if isinstance(fact, Remember)]
    return dict(fact.state)


def test_greeting_sessions_and_settings_are_remembered(talk: Talk) -> None:
    talk.begin()
    talk.client("initialize", {"protocolVersion": 1})
    assert remembered(talk.agent(line(id=1, result=OFFERS_RESUME)))["initialize"] == {
        "protocolVersion": 1
    }
    talk.client("session/new", {"cwd": "/w", "mcpServers": [], "_meta": {"x": 1}})
    told = talk.agent(line(id=2, result={"sessionId": "s1"}))
    sessions = {"s1": {"cwd": "/w", "mcpServers": [], "_meta": {"x": 1}}}
    assert remembered(told)["sessions"] == sessions
    talk.client("session/set_mode", {"sessionId": "s1", "modeId": "plan"})
    told = talk.agent(line(id=3, result={}))
    assert remembered(told)["settings"] == SAVED["settings"]
    changed = talk.agent(update("s1", "current_mode_update", currentModeId="build"))
    assert remembered(changed)["settings"]["s1"]["session/set_mode"]["modeId"] == "build"


def test_a_failed_request_is_not_remembered(talk: Talk) -> None:
    talk.begin()
    talk.client("initialize", {"protocolVersion": 99})
    told = talk.agent(line(id=1, error={"code": 1, "message": "no"}))
    assert not any(isinstance(fact, Remember) for fact in told)


def test_resume_is_preferred_and_its_answers_stay_off_the_axon(talk: Talk) -> None:
    [greeting] = sent(talk.begin(SAVED))
    assert greeting["params"] == SAVED["initialize"]
    told = talk.agent(line(id=greeting["id"], result=OFFERS_RESUME))
    [resume] = sent(told)
    assert resume["method"] == "session/resume"
    assert resume["params"] == {"sessionId": "s1", "cwd": "/w", "mcpServers": [{"name": "m"}]}
    told = talk.agent(line(id=resume["id"], result={}))
    [mode] = sent(told)
    assert mode["params"] == {"sessionId": "s1", "modeId": "plan"}
    assert told[-1] == Ready()
    assert talk.agent(line(id=mode["id"], error={"code": 1, "message": "no"})) == []


def test_a_broken_capability_means_load_and_its_replay_is_swallowed(talk: Talk) -> None:
    [greeting] = sent(talk.begin(SAVED))
    [load] = sent(talk.agent(line(id=greeting["id"], result=OFFERS_LOAD)))
    assert load["method"] == "session/load"
    replay = update("s1", "user_message_chunk", content={}) + update("s1", "tool_call")
    assert talk.agent(replay) == []
    told = talk.agent(update("s1", "available_commands_update") + update("s2", "tool_call"))
    assert len([fact for fact in told if isinstance(fact, Said)]) == 2
    assert Ready() in talk.agent(line(id=load["id"], result={}))
    assert talk.agent(update("s1", "user_message_chunk", content={})) != []


def test_a_clients_own_load_passes_its_replay_on(talk: Talk) -> None:
    talk.greeted()
    [load] = sent(talk.client("session/load", {"sessionId": "s7", "cwd": "/w"}))
    replay = talk.agent(update("s7", "user_message_chunk", content={}))
    assert [type(fact) for fact in replay] == [Said]
    told = talk.agent(line(id=load["id"], result={}))
    assert remembered(told)["sessions"].keys() == {"s1", "s7"}


@pytest.mark.parametrize("offered", [OFFERS_NOTHING, {}, {"agentCapabilities": "odd"}])
def test_an_agent_that_can_not_restore_is_complained_about_and_used(
    talk: Talk, offered: dict[str, Any]
) -> None:
    [greeting] = sent(talk.begin(SAVED))
    told = talk.agent(line(id=greeting["id"], result=offered))
    assert isinstance(told[0], Complaint)
    assert told[-1] == Ready()


def test_a_session_that_the_agent_lost_is_forgotten(talk: Talk) -> None:
    [greeting] = sent(talk.begin(SAVED))
    [resume] = sent(talk.agent(line(id=greeting["id"], result=OFFERS_RESUME)))
    told = talk.agent(line(id=resume["id"], error={"code": -32602, "message": "not found"}))
    assert remembered(told)["sessions"].keys() == {"s0"}
    assert any(isinstance(fact, Complaint) for fact in told)
    assert told[-1] == Ready()


def test_an_agent_that_does_not_answer_the_restore_is_used_all_the_same(talk: Talk) -> None:
    [greeting] = sent(talk.begin(SAVED))
    sent(talk.agent(line(id=greeting["id"], result=OFFERS_RESUME)))
    talk.now_ms += 120_000
    told = talk.codec.tick(talk.now_ms)
    assert not any(isinstance(fact, Remember) for fact in told)
    assert told[-1] == Ready()


def test_another_session_is_restored_before_its_first_message(talk: Talk) -> None:
    [greeting] = sent(talk.begin(SAVED))
    [resume] = sent(talk.agent(line(id=greeting["id"], result=OFFERS_RESUME)))
    talk.agent(line(id=resume["id"], result={}))
    [other] = sent(talk.prompt(session="s0"))
    assert other["method"] == "session/resume"
    assert other["params"]["cwd"] == "/old"
    cancel = axon_event(60, "session/cancel", {"sessionId": "s0"})
    assert talk.codec.cancel(cancel, talk.now_ms) == []
    told = sent(talk.agent(line(id=other["id"], result={})))
    assert [message["method"] for message in told] == ["session/prompt", "session/cancel"]
    assert told[0]["params"] == prompt_of("s0")


def test_the_session_prompted_last_is_the_current_one(talk: Talk) -> None:
    talk.greeted()
    [new] = sent(talk.client("session/new", {"cwd": "/2"}))
    talk.agent(line(id=new["id"], result={"sessionId": "s2"}))
    assert list(remembered(talk.prompt(session="s1"))["sessions"]) == ["s2", "s1"]


def test_closed_sessions_are_forgotten(talk: Talk) -> None:
    talk.greeted()
    [close] = sent(talk.client("session/close", {"sessionId": "s1"}))
    assert remembered(talk.agent(line(id=close["id"], result={})))["sessions"] == {}


def test_what_is_remembered_is_bounded_in_number_and_size() -> None:
    sessions = Sessions()
    for number in range(40):
        sessions.opened(f"s{number}", {"cwd": "/w"})
    assert list(sessions.snapshot()["sessions"])[-1] == "s39"
    assert len(sessions.snapshot()["sessions"]) == 16
    sessions.opened("large", {"mcpServers": ["x" * REMEMBERED_CHARACTERS_MAX]})
    sessions.greeting = {"x": "y" * REMEMBERED_CHARACTERS_MAX}
    assert len(dump(sessions.snapshot())) < REMEMBERED_CHARACTERS_MAX


def test_a_state_that_another_version_kept_is_no_trouble() -> None:
    sessions = Sessions()
    sessions.recall({"initialize": 5, "sessions": {"a": 1, "b": {}}, "settings": [], "more": 1})
    assert sessions.current == "b"
    assert sessions.greeting is None
