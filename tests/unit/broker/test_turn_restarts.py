"""The turn machine when its agent dies (T7): the open turn ends, the session is restored."""

from broker_playbook import OFFERS_RESUME, Play, line, prompt_of, to_agent, update
from ranvier_broker import commands, events
from ranvier_broker.restarts import PAUSE_MS, RESTARTS_MAX


def with_session(play: Play) -> None:
    play.ready()
    for event_type, params, result in (
        ("initialize", {"protocolVersion": 1}, OFFERS_RESUME),
        ("session/new", {"cwd": "/w"}, {"sessionId": "s1"}),
    ):
        [call] = to_agent(play.arrive(event_type, params))
        play.agent(line(id=call["id"], result=result))
        play.settle()


def in_turn(play: Play) -> int:
    play.arrive("session/prompt", prompt_of("s1"))
    trigger = play.head
    play.settle()
    return trigger


def restart(play: Play) -> list[commands.Command]:
    """Time passes until the next start."""
    at_ms = play.machine.wake_at_ms
    assert at_ms is not None
    play.now_ms = at_ms
    [start] = play.after(events.TimeCame())
    assert isinstance(start, commands.StartAgent)
    return play.after(events.AgentStarted(start.run))


def test_an_exit_in_a_turn_fails_it_after_all_that_was_said(play: Play) -> None:
    with_session(play)
    trigger = in_turn(play)
    play.agent(update("s1", content={}))
    play.after(events.AgentExited(1, 3))
    play.settle()
    assert play.kinds[-2:] == ["session/update", "turn.failed"]
    [failed] = play.payloads("turn.failed")
    assert failed == {
        "turn_id": f"trn_01234567_0_{trigger}",
        "error": "the agent exited with status 3",
        "reason": "agent_exited",
        "status": 3,
    }


def test_the_next_process_is_greeted_and_restored_before_the_queue_goes_on(play: Play) -> None:
    with_session(play)
    in_turn(play)
    play.arrive("session/prompt", prompt_of("s1", "second"))
    play.after(events.AgentExited(1, 3))
    play.settle()
    [greeting] = to_agent(restart(play))
    [resume] = to_agent(play.agent(line(id=greeting["id"], result=OFFERS_RESUME)))
    assert resume["method"] == "session/resume"
    assert play.kinds.count("turn.started") == 1
    play.agent(line(id=resume["id"], result={}))
    [message] = to_agent(play.settle())
    assert message["params"] == prompt_of("s1", "second")
    assert play.kinds.count("devbox.running") == 1


def test_a_turn_whose_prompt_was_not_delivered_waits_for_the_next_process(play: Play) -> None:
    play.ready()
    play.arrive("session/prompt", prompt_of("s1"))
    play.after(events.AgentExited(1, 3))
    assert to_agent(play.settle()) == []
    [message] = to_agent(restart(play))
    assert message["method"] == "session/prompt"
    assert "turn.failed" not in play.kinds


def test_words_of_a_dead_process_are_not_heard(play: Play) -> None:
    play.ready()
    play.after(events.AgentExited(1, 3))
    restart(play)
    assert play.after(events.AgentSaid(1, update("s1"))) == []
    assert play.after(events.AgentExited(1, 3)) == []
    assert play.machine.is_ready


def test_requests_that_wait_for_a_dead_agent_fail(play: Play) -> None:
    play.ready()
    play.arrive("session/list", {})
    play.after(events.AgentExited(1, 3))
    play.settle()
    [failed] = play.payloads("turn.failed")
    assert failed == {
        "error": "the agent exited with status 3, so session/list has no answer",
        "method": "session/list",
        "reason": "request_failed",
    }


def test_stderr_is_logged_and_its_last_line_too(play: Play) -> None:
    play.ready()
    play.after(events.AgentLogged(1, b"one\ntw"))
    play.after(events.AgentLogged(1, b"o\nthree"))
    play.after(events.AgentExited(1, 3))
    play.settle()
    logs = [log["message"] for log in play.payloads("agent.log")]
    assert logs == ["one", "two", "three"]


def given_up(play: Play) -> None:
    play.ready()
    for _ in range(RESTARTS_MAX):
        play.after(events.AgentExited(play.run, 9))
        restart(play)
    play.after(events.AgentExited(play.run, 9))
    play.settle()


def test_an_agent_that_keeps_dying_is_given_up_and_turns_fail(play: Play) -> None:
    given_up(play)
    [error] = play.payloads("broker.error")
    assert "exited 6 times within 5 minutes" in error["message"]
    assert play.machine.wake_at_ms is None
    play.arrive("session/prompt", prompt_of("s1"))
    play.arrive("session/list", {})
    play.settle()
    reasons = [failed["reason"] for failed in play.payloads("turn.failed")]
    assert sorted(reasons) == ["agent_unavailable", "request_failed"]


def test_after_a_pause_new_work_tries_it_again(play: Play) -> None:
    given_up(play)
    play.now_ms += PAUSE_MS
    followed = play.arrive("session/prompt", prompt_of("s1"))
    assert commands.StartAgent(play.run, ()) in followed
    [message] = to_agent(play.after(events.AgentStarted(play.run)) + play.settle())
    assert message["method"] == "session/prompt"


def test_a_turn_that_ends_well_clears_the_account(play: Play) -> None:
    play.ready()
    for _ in range(2 * RESTARTS_MAX):
        play.after(events.AgentExited(play.run, 9))
        play.settle()
        restart(play)
        play.arrive("session/prompt", prompt_of("s1"))
        [message] = to_agent(play.settle())
        play.agent(line(id=message["id"], result={"stopReason": "end_turn"}))
        play.settle()
    assert "broker.error" not in play.kinds


def test_a_missing_agent_is_not_tried_again_and_again(play: Play) -> None:
    play.ready()
    play.after(events.AgentExited(1, 127))
    play.arrive("user.message", {"content": "x"})
    play.settle()
    [error] = play.payloads("agent.error")
    assert error["type"] == "agent_missing"
    assert "broker.error" not in play.kinds
    assert play.payloads("turn.failed")[0]["reason"] == "agent_unavailable"


def test_a_missing_agent_is_named_as_such_though_its_turn_was_on_the_way(play: Play) -> None:
    """The launcher says "started" of a command it then can not find; a turn may come in between."""
    play.ready()
    play.arrive("user.message", {"content": "x"})
    play.settle()
    play.after(events.AgentExited(1, 127))
    play.settle()
    [failed] = play.payloads("turn.failed")
    assert failed["reason"] == "agent_unavailable"
    assert "not found" in failed["error"]


def test_a_fence_ends_everything_at_once(play: Play) -> None:
    with_session(play)
    in_turn(play)
    [stop] = play.after(events.Fenced())
    assert isinstance(stop, commands.Stop)
    assert play.agent(update("s1")) == []
    assert play.machine.is_written
