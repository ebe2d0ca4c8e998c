"""The turn machine when taking up the session is what kills the agent: tried, told, never for ever.

Each process here dies before it is ready, or does not, as the test says; the journal's memory of
the mount is what a broker in another pod would begin with.
"""

import json

import pytest
from broker_playbook import OFFERS_RESUME, Play, line, make_play, prompt_of, sent, to_agent
from ranvier_broker import commands, events
from ranvier_broker.codecs.acp import AcpCodec
from ranvier_broker.codecs.base import Codec
from ranvier_broker.codecs.claude import ClaudeCodec
from ranvier_broker.codecs.codex import CodexCodec
from ranvier_broker.codecs.pi import PiCodec
from ranvier_broker.restarts import PAUSE_MS, RESTARTS_MAX
from ranvier_broker.resumption import FAILED_RESUMES_MAX

ACP_MEMORY = {"initialize": {"protocolVersion": 1}, "sessions": {"s1": {"cwd": "/w"}}}


@pytest.fixture
def asleep() -> Play:
    """A devbox that wakes with a session, its agent not started yet."""
    play = make_play()
    play.after(events.Begun(play.now_ms))
    play.attached(state=ACP_MEMORY)
    return play


def dies_at_resume(play: Play) -> None:
    """The process at hand is greeted, is asked to take up its session, and ends."""
    [greeting] = to_agent(play.after(events.AgentStarted(play.run)))
    [resume] = to_agent(play.agent(line(id=greeting["id"], result=OFFERS_RESUME)))
    assert resume["method"] == "session/resume"
    dies(play)


def dies(play: Play) -> None:
    play.after(events.AgentExited(play.run, 9))
    play.settle()


def next_process(play: Play) -> None:
    """Time passes until the next start."""
    at_ms = play.machine.wake_at_ms
    assert at_ms is not None
    assert at_ms > play.now_ms, "no hot loop"
    play.now_ms = at_ms
    assert any(isinstance(c, commands.StartAgent) for c in play.after(events.TimeCame()))


def without_session(play: Play) -> list[str]:
    """After so many deaths a process is started and asked to take up nothing; what it is told."""
    for _ in range(FAILED_RESUMES_MAX):
        dies_at_resume(play)
        next_process(play)
    [greeting] = to_agent(play.after(events.AgentStarted(play.run)))
    followed = play.agent(line(id=greeting["id"], result=OFFERS_RESUME)) + play.settle()
    assert play.machine.is_ready
    return [message["method"] for message in to_agent(followed)]


def errors(play: Play) -> list[tuple[str, str]]:
    return [(error["type"], error["message"]) for error in play.payloads("agent.error")]


def remembered(appends: list[commands.Append]) -> list[str]:
    """The sessions in the last state that went to the journal."""
    return list([a.state for a in appends if a.state is not None][-1]["sessions"])


def test_after_some_deaths_one_process_is_started_without_the_session(asleep: Play) -> None:
    assert without_session(asleep) == []
    [(kind, message)] = errors(asleep)
    assert kind == "restore_failed"
    assert "3 times in a row, last with status 9" in message
    assert "the session s1" in message


def test_a_session_is_given_up_when_the_agent_works_without_it(asleep: Play) -> None:
    without_session(asleep)
    asleep.arrive("user.message", {"content": "hi"})
    [opening] = to_agent(asleep.settle())
    assert opening["method"] == "session/new"
    [*_, (kind, _)] = errors(asleep)
    assert kind == "restore_failed", "nothing is lost before it works"
    followed = asleep.agent(line(id=opening["id"], result={"sessionId": "s2"}))
    appends = [asleep.in_flight] if asleep.in_flight else []
    followed += asleep.settle()
    appends += [c for c in followed if isinstance(c, commands.Append)]
    assert remembered(appends) == ["s2"]
    assert [kind for kind, _ in errors(asleep)] == ["restore_failed", "session_lost"]
    assert "without that conversation's memory" in errors(asleep)[-1][1]


def test_a_session_is_kept_when_the_agent_dies_without_it_too(asleep: Play) -> None:
    without_session(asleep)
    dies(asleep)
    assert "the session is kept" in errors(asleep)[-1][1]
    next_process(asleep)
    dies_at_resume(asleep)  # it is asked to take it up again
    assert "session_lost" not in [kind for kind, _ in errors(asleep)]


def test_who_waits_is_told_why_and_the_session_is_tried_again_later(asleep: Play) -> None:
    asleep.arrive("session/prompt", prompt_of("s1"))
    for _ in range(FAILED_RESUMES_MAX):
        dies_at_resume(asleep)
        next_process(asleep)
    for _ in range(RESTARTS_MAX - FAILED_RESUMES_MAX):
        asleep.after(events.AgentStarted(asleep.run))
        dies(asleep)
        next_process(asleep)
    dies_at_resume(asleep)
    [error] = asleep.payloads("broker.error")
    assert "exited 6 times within 5 minutes" in error["message"]
    assert "starts it again" in error["message"], "and what to do"
    [failed] = asleep.payloads("turn.failed")
    assert (failed["reason"], failed["error"]) == ("agent_unavailable", error["message"])
    assert asleep.machine.wake_at_ms is None, "nothing happens by itself"
    asleep.now_ms += PAUSE_MS
    asleep.arrive("session/prompt", prompt_of("s1"))
    dies_at_resume(asleep)


def test_an_agent_that_was_ready_did_not_die_of_its_session(asleep: Play) -> None:
    for _ in range(FAILED_RESUMES_MAX + 1):
        [greeting] = to_agent(asleep.after(events.AgentStarted(asleep.run)))
        [resume] = to_agent(asleep.agent(line(id=greeting["id"], result=OFFERS_RESUME)))
        asleep.agent(line(id=resume["id"], result={}))
        assert asleep.machine.is_ready
        dies(asleep)
        next_process(asleep)
    assert errors(asleep) == []


MEMORIES = {
    "acp": (AcpCodec("/w"), ACP_MEMORY),
    "claude_json": (
        ClaudeCodec("/w"),
        {"session": "s1", "greeting": {"subtype": "initialize"}, "settings": {}},
    ),
    "codex_app_server": (
        CodexCodec("/w"),
        {"initialize": {"clientInfo": {"name": "c"}}, "sessions": {"s1": {"cwd": "/w"}}},
    ),
    "pi_json": (PiCodec("/w"), {"session_file": "s1"}),
}


@pytest.mark.parametrize("protocol", MEMORIES)
def test_every_codec_lays_a_session_aside_and_takes_it_back(protocol: str) -> None:
    codec, memory = MEMORIES[protocol]
    before = started(codec, memory)
    codec.recall(memory)
    aside = codec.lay_aside()
    assert aside is not None
    assert aside.session == "s1"
    assert "s1" not in json.dumps(aside.state)
    codec.end("gone")
    words, said = list(codec.command(("agent",))), sent(list(codec.begin(0)))
    assert "s1" not in json.dumps([words, said])
    codec.end("gone")
    assert started(codec, memory) == before
    codec.recall({})
    assert codec.lay_aside() is None


def started(codec: Codec, memory: dict[str, object]) -> tuple[list[str], list[str]]:
    """Command line and first words of a process that is to go on with the session."""
    codec.recall(memory)
    words, said = list(codec.command(("agent",))), sent(list(codec.begin(0)))
    return words, [message.get("method") or message["type"] for message in said]
