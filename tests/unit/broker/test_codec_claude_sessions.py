"""Sessions of Claude Code over processes: the command line, what is said again or forgotten."""

from typing import Any

import pytest
from broker_playbook import Talk, sent
from claude_words import SESSION, answer, control, fresh_talk, out, result
from ranvier_broker.codecs.base import Complaint, Ready, Remember
from ranvier_broker.codecs.claude import ClaudeCodec

FLAGS = (
    *("--print", "--input-format", "stream-json", "--output-format", "stream-json"),
    *("--verbose", "--include-partial-messages", "--permission-prompt-tool", "stdio"),
)


@pytest.fixture
def talk() -> Talk:
    return fresh_talk()


def test_the_protocols_flags_are_added_to_the_mounts_command(talk: Talk) -> None:
    assert tuple(talk.codec.command(("claude",))) == ("claude", *FLAGS)


def test_a_flag_of_the_owner_is_left_as_it_is(talk: Talk) -> None:
    argv = ("claude", "-p", "--output-format=stream-json", "--permission-prompt-tool", "mine")
    made = list(talk.codec.command(argv))
    assert made[:5] == list(argv)
    assert made[5:] == ["--input-format", "stream-json", "--verbose", "--include-partial-messages"]


def test_the_next_process_resumes_the_session_that_the_agent_named(talk: Talk) -> None:
    [_, memory] = talk.agent(out("system", subtype="init", session_id=SESSION))
    assert isinstance(memory, Remember)
    other = Talk(ClaudeCodec("/"))
    [hello] = sent(other.begin(dict(memory.state)))
    assert hello["request"]["subtype"] == "initialize"
    assert list(other.codec.command(("claude",)))[-2:] == ["--resume", SESSION]


def test_a_session_of_the_owners_choice_counts_until_there_is_one(talk: Talk) -> None:
    argv = ("claude", "--session-id", "mine", "--continue", "--model", "x", "--resume")
    assert list(talk.codec.command(argv))[: len(argv)] == list(argv)
    talk.agent(out("system", subtype="init", session_id=SESSION))
    assert list(talk.codec.command(argv)) == [
        *("claude", "--model", "x"),
        *FLAGS,
        *("--resume", SESSION),
    ]


def test_an_agent_without_a_past_is_ready_at_once_and_hears_nothing(talk: Talk) -> None:
    assert talk.codec.wake_at_ms is None


def test_a_lost_session_is_forgotten_and_never_on_the_axon() -> None:
    talk = Talk(ClaudeCodec("/"))
    talk.begin({"session": SESSION})
    lost = result(is_error=True, subtype="error_during_execution", errors=["No conversation"])
    [complaint, memory] = talk.agent(lost)
    assert complaint == Complaint("session_lost", "No conversation")
    assert isinstance(memory, Remember)
    assert memory.state["session"] is None
    talk.codec.end("the agent exited with status 1")
    assert "--resume" not in talk.codec.command(("claude",))


def test_what_a_client_said_to_the_old_process_is_said_to_the_next() -> None:
    talk = Talk(ClaudeCodec("/"))
    talk.begin()
    talk.client("control_request", control("a", "initialize", appendSystemPrompt="Be brief."))
    talk.client("control_request", control("b", "set_permission_mode", mode="plan"))
    talk.client("control_request", control("c", "set_model", model="no-such-model"))
    told = talk.agent(answer("a") + answer("b") + answer("c", "error", error="no"))
    kept = [fact for fact in told if isinstance(fact, Remember)][-1]
    talk = Talk(ClaudeCodec("/"))
    [hello] = sent(talk.begin(dict(kept.state)))
    assert hello["request"]["appendSystemPrompt"] == "Be brief."
    told = talk.agent(answer(hello["request_id"]))
    [mode] = sent(told)
    assert mode["request"] == {"subtype": "set_permission_mode", "mode": "plan"}
    assert told[-1] == Ready()
    assert talk.agent(answer(mode["request_id"])) == []


def test_a_mode_that_the_agent_went_to_by_itself_is_kept(talk: Talk) -> None:
    told = talk.agent(out("system", subtype="status", permissionMode="acceptEdits"))
    assert isinstance(told[-1], Remember)
    assert told[-1].state["settings"]["set_permission_mode"]["mode"] == "acceptEdits"


@pytest.mark.parametrize("saved", [{"session": 7, "settings": []}, {"initialize": {}}, {}])
def test_memories_of_another_protocol_or_version_are_passed_over(saved: dict[str, Any]) -> None:
    assert Talk(ClaudeCodec("/")).begin(saved) == [Ready()]


def test_a_greeting_without_an_answer_is_not_waited_for_for_ever() -> None:
    talk = Talk(ClaudeCodec("/", answer_ms_max=1_000))
    talk.begin({"session": SESSION})
    told = talk.codec.tick(talk.now_ms + 1_000)
    assert [type(fact) for fact in told] == [Complaint, Ready]
