"""The turn machine as a conversation: event, command, event, command (DESIGN.md, T1 to T6)."""

from typing import Any

import pytest
from broker_playbook import Play, axon_event, line, make_play, prompt_of, to_agent, update
from ranvier.events import PAYLOAD_BYTES_MAX, Origin
from ranvier_broker import commands, events, telling
from ranvier_broker.codecs.unsupported import UnsupportedCodec
from ranvier_broker.commands import EndMark, StartMark
from ranvier_broker.deadlines import Patience
from ranvier_broker.intake import EVENTS_HELD_MAX

PERMISSION = "session/request_permission"
TURN = "trn_01234567_0_{}"


def prompt(play: Play, session: str = "s1") -> int:
    """A client publishes a prompt; return its sequence."""
    play.arrive("session/prompt", prompt_of(session))
    return play.head


def delivered(play: Play, session: str = "s1") -> tuple[int, int]:
    """A turn whose prompt the agent has; return the trigger and the prompt's id."""
    trigger = prompt(play, session)
    [message] = to_agent(play.settle())
    assert message["method"] == "session/prompt"
    return trigger, message["id"]


def answered(play: Play, number: int, stop_reason: str = "end_turn") -> list[Any]:
    play.agent(line(id=number, result={"stopReason": stop_reason}))
    return play.settle()


class TestStart:
    def test_the_agent_starts_beside_the_attach(self, play: Play) -> None:
        followed = play.after(events.Begun(play.now_ms))
        assert followed == [commands.Attach(), commands.StartAgent(1, ())]

    def test_nothing_is_said_to_the_agent_before_the_attach(self, play: Play) -> None:
        play.after(events.Begun(play.now_ms))
        assert play.after(events.AgentStarted(1)) == []
        saved = {"initialize": {"protocolVersion": 1}, "sessions": {}}
        followed = play.attached(cursor=7, state=saved)
        assert followed[0] == commands.Subscribe(1, 7)
        assert to_agent(followed)[0]["method"] == "initialize"
        assert not play.machine.is_ready

    def test_the_phases_of_the_wake_are_told_once(self, play: Play) -> None:
        play.after(events.Begun(9_000))
        play.now_ms += 100
        play.attached()
        play.now_ms += 50
        play.after(events.AgentStarted(1))
        play.settle()
        assert play.machine.is_ready
        [running] = play.payloads("devbox.running")
        assert running == {
            "devbox_id": "dbx_0123456789-uid",
            "generation": 4,
            "wake": {
                "broker_started_ms": 9_000,
                "attached_ms": 10_100,
                "agent_started_ms": 10_150,
                "agent_ready_ms": 10_150,
            },
        }

    def test_fenced_at_the_attach_ends_everything(self, play: Play) -> None:
        play.after(events.Begun(play.now_ms))
        [stop] = play.after(events.Fenced())
        assert isinstance(stop, commands.Stop)
        assert play.after(events.AgentStarted(1)) == []
        assert play.machine.wake_at_ms is None


class TestTurns:
    def test_turn_started_and_cursor_are_on_disk_before_the_agent_sees_the_prompt(
        self, play: Play
    ) -> None:
        play.ready()
        followed = play.arrive("session/prompt", prompt_of("s1"))
        trigger = play.head
        [append] = followed
        assert isinstance(append, commands.Append)
        assert append.cursor == append.control_cursor == trigger
        assert append.marks == (StartMark(TURN.format(trigger), trigger, 0),)
        [started] = append.events
        assert started.event_type == "turn.started"
        assert started.source == "broker"
        [message] = to_agent(play.confirm())
        assert message["params"] == prompt_of("s1")
        assert play.payloads("turn.started") == [
            {"turn_id": TURN.format(trigger), "trigger_sequence": trigger}
        ]

    def test_the_terminal_follows_all_other_events_of_the_turn(self, play: Play) -> None:
        play.ready()
        trigger, number = delivered(play)
        chunk = update("s1", content={"type": "text", "text": "hi"})
        usage = {"totalTokens": 7}
        followed = play.agent(
            chunk + chunk + line(id=number, result={"stopReason": "end_turn", "usage": usage})
        )
        assert isinstance(followed[0], commands.Append)
        assert followed[0].marks == (EndMark(TURN.format(trigger), 3),)
        play.settle()
        assert play.kinds[-4:] == ["session/update"] * 2 + ["session/prompt", "turn.completed"]
        assert play.payloads("turn.completed") == [
            {"turn_id": TURN.format(trigger), "stop_reason": "end_turn", "usage": usage}
        ]

    def test_one_turn_at_a_time_in_order(self, play: Play) -> None:
        play.ready()
        first, number = delivered(play)
        second = prompt(play)
        play.settle()
        assert play.kinds.count("turn.started") == 1
        [message] = to_agent(answered(play, number))
        assert message["method"] == "session/prompt"
        started = [p["trigger_sequence"] for p in play.payloads("turn.started")]
        assert started == [first, second]

    def test_agent_and_system_events_start_nothing(self, play: Play) -> None:
        play.ready()
        assert play.arrive("session/prompt", prompt_of("s1"), Origin.AGENT) == []
        assert play.arrive("turn.started", {}, Origin.SYSTEM) == []

    def test_a_repeated_event_changes_nothing(self, play: Play) -> None:
        play.ready()
        trigger, _ = delivered(play)
        again = axon_event(trigger, "session/prompt", prompt_of("s1"))
        assert play.after(events.Arrived(play.subscription, again)) == []

    def test_a_turn_waits_for_the_answers_to_requests_before_it(self, play: Play) -> None:
        play.ready()
        [new] = to_agent(play.arrive("session/new", {"cwd": "/w"}))
        waiting = play.head
        assert prompt(play) == waiting + 1
        play.settle()
        assert "turn.started" not in play.kinds
        play.agent(line(id=new["id"], result={"sessionId": "s1"}))
        play.settle()
        assert play.kinds[-2:] == ["session/new", "turn.started"]

    def test_a_request_after_the_prompt_does_not_wait(self, play: Play) -> None:
        play.ready()
        delivered(play)
        [message] = to_agent(play.arrive("session/list", {}))
        assert message["method"] == "session/list"


class TestCursors:
    def test_the_cursor_stays_before_a_request_until_its_answer_is_written(
        self, play: Play
    ) -> None:
        play.ready()
        [new] = to_agent(play.arrive("session/new", {"cwd": "/w"}))
        assert play.in_flight is None
        [append] = play.agent(line(id=new["id"], result={"sessionId": "s1"}))
        assert isinstance(append, commands.Append)
        assert append.cursor == append.control_cursor == play.head
        assert append.state is not None
        assert append.events[0].event_type == "session/new"

    def test_the_control_cursor_passes_a_waiting_turn(self, play: Play) -> None:
        play.ready()
        trigger, _ = delivered(play)
        waiting = prompt(play)
        followed = play.arrive("session/cancel", {"sessionId": "s1"})
        [append] = [c for c in followed if isinstance(c, commands.Append)]
        assert append.events == ()
        assert (append.cursor, append.control_cursor) == (waiting - 1, play.head)
        assert trigger < waiting

    def test_control_messages_up_to_the_control_cursor_are_passed_over(self, play: Play) -> None:
        play.ready(cursor=3, control_cursor=5)
        play.head = 3
        play.arrive("session/prompt", prompt_of("s1"))
        assert to_agent(play.arrive("session/list", {})) == []
        play.head = 5
        [message] = to_agent(play.arrive("session/list", {}))
        assert message["method"] == "session/list"

    def test_a_cursor_is_never_written_before_the_event_that_explains_it(self, play: Play) -> None:
        """T3 at the seam of two batches: what waits in front of `turn.started` fills one."""
        play.ready()
        _, number = delivered(play)
        play.agent(update("s1", content={}))
        chunks = update("s1", content={}) * 300
        play.agent(chunks + line(id=number, result={"stopReason": "end_turn"}))
        trigger = prompt(play)
        play.confirm()
        assert play.in_flight is not None
        assert len(play.in_flight.events) == 256
        assert play.in_flight.cursor is None
        play.confirm()
        assert play.in_flight is not None
        assert play.in_flight.cursor == trigger
        assert [type(mark) for mark in play.in_flight.marks] == [EndMark, StartMark]


class TestCancel:
    def test_a_cancel_passes_at_once_and_makes_the_end_a_cancel(self, play: Play) -> None:
        play.ready()
        trigger, number = delivered(play)
        prompt(play)
        [message] = to_agent(play.arrive("session/cancel", {"sessionId": "s1"}))
        assert message["method"] == "session/cancel"
        play.settle()
        answered(play, number, "end_turn")
        assert play.payloads("turn.cancelled") == [
            {"turn_id": TURN.format(trigger), "stop_reason": "end_turn"}
        ]

    def test_a_cancel_from_before_the_turn_is_not_the_turns(self, play: Play) -> None:
        play.ready()
        prompt(play)
        assert to_agent(play.arrive("session/cancel", {"sessionId": "s1"})) == []
        followed = play.settle()
        assert [m["method"] for m in to_agent(followed)] == ["session/prompt"]
        answered(play, to_agent(followed)[0]["id"])
        assert play.kinds[-1] == "turn.completed"

    def test_a_cancel_that_may_come_after_the_start_waits_until_that_is_known(
        self, play: Play
    ) -> None:
        play.ready()
        prompt(play)
        assert play.in_flight is not None
        play.head += 1  # turn.started, of which we hear later
        cancel = axon_event(play.head + 1, "session/cancel", {"sessionId": "s1"})
        assert to_agent(play.after(events.Arrived(1, cancel))) == []
        append, play.in_flight = play.in_flight, None
        followed = play.after(events.Appended(append.batch, play.head))
        methods = [m["method"] for m in to_agent(followed)]
        assert methods == ["session/prompt", "session/cancel"]

    def test_a_cancel_with_no_turn_open_is_passed_on(self, play: Play) -> None:
        play.ready()
        [message] = to_agent(play.arrive("session/cancel", {"sessionId": "s1"}))
        assert message["method"] == "session/cancel"

    def test_an_error_after_a_cancel_is_a_failure(self, play: Play) -> None:
        play.ready()
        _, number = delivered(play)
        play.arrive("session/cancel", {"sessionId": "s1"})
        play.agent(line(id=number, error={"code": 1, "message": "broken"}))
        play.settle()
        assert play.kinds[-1] == "turn.failed"


class TestQuestions:
    def ask(self, play: Play) -> None:
        play.agent(line(id="q", method=PERMISSION, params={"sessionId": "s1"}))

    def test_an_answer_passes_at_once(self, play: Play) -> None:
        play.ready()
        delivered(play)
        self.ask(play)
        play.settle()
        assert play.kinds[-1] == PERMISSION
        [message] = to_agent(play.arrive(PERMISSION, {"outcome": {}}))
        assert message == {"jsonrpc": "2.0", "id": "q", "result": {"outcome": {}}}

    def test_an_answer_that_is_older_than_the_question_is_none(self, play: Play) -> None:
        play.ready()
        delivered(play)
        self.ask(play)
        play.in_flight, held = None, play.in_flight
        stale = axon_event(play.head + 1, PERMISSION, {"outcome": {}})
        assert to_agent(play.after(events.Arrived(1, stale))) == []
        assert held is not None
        play.head += 1
        assert to_agent(play.after(events.Appended(held.batch, play.head + 1))) == []
        play.head += 1
        play.settle()
        [message] = to_agent(play.arrive(PERMISSION, {"outcome": {"fresh": 1}}))
        assert message["result"] == {"outcome": {"fresh": 1}}

    def test_an_answer_to_nothing_is_dropped_and_settled(self, play: Play) -> None:
        play.ready()
        followed = play.arrive(PERMISSION, {"outcome": {}})
        assert to_agent(followed) == []
        [append] = followed
        assert isinstance(append, commands.Append)
        assert append.cursor == play.head


class TestMemory:
    def test_the_queue_is_read_again_from_the_axon_when_there_is_room(self, play: Play) -> None:
        play.ready()
        _, number = delivered(play)
        first = play.head + 1
        for _ in range(EVENTS_HELD_MAX + 10):
            assert prompt(play)
        play.settle()
        [control] = to_agent(play.arrive("session/list", {}))
        assert control["method"] == "session/list"
        followed: list[Any] = []
        for _ in range(EVENTS_HELD_MAX):
            followed = answered(play, number)
            [message] = to_agent(followed)
            number = message["id"]
        [_, again] = play.subscriptions
        assert again.after_sequence == first + EVENTS_HELD_MAX - 1
        stale = axon_event(first + EVENTS_HELD_MAX + 5, "session/prompt", prompt_of("s1"))
        assert play.after(events.Arrived(1, stale)) == []

    def test_an_agent_is_held_back_while_the_journal_does_not_keep_up(self, play: Play) -> None:
        play.ready()
        delivered(play)
        play.agent(update("s1", content={}))
        big = update("s1", content={"text": "x" * 3_000_000})
        followed = [play.agent(big) for _ in range(3)]
        assert followed[2] == [commands.HoldAgent(1)]
        held = play.settle()
        assert commands.ReleaseAgent(1) in held

    def test_logs_are_let_go_first(self, play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(telling, "OUTBOX_BYTES_HIGH", 0)
        play.ready()
        assert play.after(events.AgentLogged(1, b"a line\n")) == []


class TestDeadlines:
    def test_a_silent_turn_is_cancelled_then_ended(self) -> None:
        play = make_play(patience=Patience(silence_ms=1_000))
        play.ready()
        trigger, _ = delivered(play)
        play.now_ms += 900
        play.agent(update("s1", content={}))
        play.settle()
        play.now_ms += 900
        assert play.after(events.TimeCame()) == []
        assert play.machine.wake_at_ms == play.now_ms + 100
        play.now_ms += 100
        [message] = to_agent(play.after(events.TimeCame()))
        assert message["method"] == "session/cancel"
        play.now_ms += 10_000
        term = commands.SignalAgent(1, commands.Signal.TERM)
        assert play.after(events.TimeCame()) == [term]
        play.now_ms += 10_000
        kill = commands.SignalAgent(1, commands.Signal.KILL)
        assert play.after(events.TimeCame()) == [kill]
        play.after(events.AgentExited(1, 137))
        play.settle()
        [failed] = play.payloads("turn.failed")
        assert failed["turn_id"] == TURN.format(trigger)
        assert failed["reason"] == "silence"
        assert failed["error"] == "the agent said nothing for 1 s"

    def test_an_answer_to_our_cancel_is_still_a_failure(self) -> None:
        play = make_play(patience=Patience(silence_ms=1_000))
        play.ready()
        _, number = delivered(play)
        play.now_ms += 1_000
        play.after(events.TimeCame())
        answered(play, number, "cancelled")
        [failed] = play.payloads("turn.failed")
        assert (failed["reason"], failed["stop_reason"]) == ("silence", "cancelled")

    def test_an_open_question_is_no_silence(self) -> None:
        play = make_play(patience=Patience(silence_ms=1_000))
        play.ready()
        delivered(play)
        play.agent(line(id="q", method=PERMISSION, params={"sessionId": "s1"}))
        play.settle()
        assert play.machine.wake_at_ms is None
        play.now_ms += 86_400_000
        assert play.after(events.TimeCame()) == []
        play.arrive(PERMISSION, {})
        assert play.machine.wake_at_ms == play.now_ms + 1_000

    def test_a_turn_that_ignores_its_cancel_is_ended_sooner(self) -> None:
        play = make_play(patience=Patience(cancelled_ms=2_000))
        play.ready()
        delivered(play)
        play.arrive("session/cancel", {"sessionId": "s1"})
        play.now_ms += 2_000
        followed = play.after(events.TimeCame())
        assert commands.SignalAgent(1, commands.Signal.TERM) in followed

    def test_a_turn_over_its_deadline_is_ended_though_its_agent_talks_and_asks(self) -> None:
        """An agent that tells every minute that its model is away is not silent."""
        play = make_play(patience=Patience(turn_ms=5_000, grace_ms=1_000))
        play.ready()
        trigger, _ = delivered(play)
        play.now_ms += 4_000
        play.agent(update("s1", content={}))
        play.agent(line(id="q", method=PERMISSION, params={"sessionId": "s1"}))
        play.settle()
        assert play.machine.wake_at_ms == play.now_ms + 1_000
        play.now_ms += 1_000
        messages = to_agent(play.after(events.TimeCame()))
        assert "session/cancel" in [message.get("method") for message in messages]
        play.agent(update("s1", content={}), line(id="q2", method=PERMISSION, params={}))
        play.settle()
        for signal in (commands.Signal.TERM, commands.Signal.KILL):
            play.now_ms += 1_000
            assert play.after(events.TimeCame()) == [commands.SignalAgent(1, signal)]
        play.after(events.AgentExited(1, 137))
        play.settle()
        [failed] = play.payloads("turn.failed")
        assert failed["turn_id"] == TURN.format(trigger)
        assert (failed["reason"], failed["status"]) == ("deadline", 137)
        assert failed["error"] == "the turn took longer than its 5 s"

    def test_a_deadline_gives_an_agent_that_a_client_cancelled_its_grace(self) -> None:
        play = make_play(patience=Patience(turn_ms=5_000, grace_ms=1_000))
        play.ready()
        delivered(play)
        play.now_ms += 4_999
        play.arrive("session/cancel", {"sessionId": "s1"})
        play.settle()
        play.now_ms += 1
        [message] = to_agent(play.after(events.TimeCame()))
        assert message["method"] == "session/cancel"
        assert play.machine.wake_at_ms == play.now_ms + 1_000

    def test_an_agent_that_never_answered_is_ended_with_its_turn(self) -> None:
        """It was never told the prompt, so its codec ends the turn alone; the agent is stuck."""
        play = make_play(patience=Patience(silence_ms=1_000, grace_ms=1_000))
        play.ready()
        play.arrive("user.message", {"content": "x"})
        [greeting] = to_agent(play.settle())
        assert greeting["method"] == "initialize"
        play.now_ms += 1_000
        assert commands.SignalAgent(1, commands.Signal.TERM) in play.after(events.TimeCame())
        play.settle()
        assert play.payloads("turn.failed")[0]["reason"] == "silence"
        play.arrive("user.message", {"content": "y"})
        assert to_agent(play.settle()) == [], "nothing is said to an agent that is to go"
        assert play.after(events.AgentBlocked(1)) == []
        play.now_ms += 1_000
        kill = commands.SignalAgent(1, commands.Signal.KILL)
        assert play.after(events.TimeCame()) == [kill]
        play.after(events.AgentExited(1, 137))
        play.settle()
        assert len(play.payloads("turn.failed")) == 1, "the turn that waits is not its victim"

    def test_an_agent_that_takes_nothing_from_its_stdin_is_ended_and_told_of(self) -> None:
        play = make_play(patience=Patience(silence_ms=60_000, grace_ms=1_000))
        play.ready()
        followed = play.after(events.AgentBlocked(1))
        assert commands.SignalAgent(1, commands.Signal.TERM) in followed
        play.settle()
        [error] = play.payloads("agent.error")
        assert error["type"] == "agent_blocked"
        assert "for 60 s" in error["message"]
        assert play.machine.wake_at_ms == play.now_ms + 1_000
        play.after(events.AgentExited(1, 143))
        play.settle()
        assert play.kinds[-1] == "agent.error", "a restart as after any exit"

    def test_the_next_turn_has_its_own_time(self) -> None:
        play = make_play(patience=Patience(turn_ms=5_000))
        play.ready()
        for _ in range(3):
            _, number = delivered(play)
            assert play.machine.wake_at_ms == play.now_ms + 5_000
            play.now_ms += 4_000
            answered(play, number)
        assert play.kinds.count("turn.completed") == 3


class TestLimits:
    """The journal refuses a whole append for one event that is too large; memory is small."""

    def test_requests_without_an_answer_are_counted_until_they_are_given_up(
        self, play: Play
    ) -> None:
        play.ready()
        assert play.machine.unanswered_bytes == 0
        [first] = to_agent(play.arrive("session/list", {"of": "x" * 1_000}))
        play.arrive("session/list", {"of": "y" * 500})
        play.arrive("some/notice", {})
        assert 1_500 < play.machine.unanswered_bytes < 1_600
        play.agent(line(id=first["id"], result={}))
        assert 500 < play.machine.unanswered_bytes < 550
        play.after(events.AgentExited(1, 0))
        assert play.machine.unanswered_bytes == 0

    def test_words_that_fit_no_event_are_complained_of(self, play: Play) -> None:
        play.ready()
        _, number = delivered(play)
        play.agent(line(method="x" * 5_000, params={}))
        answered(play, number)
        [error] = play.payloads("agent.error")
        assert error["type"] == "payload_too_large"
        assert play.kinds[-1] == "turn.completed"

    def test_an_error_and_usage_too_large_are_cut_for_the_turn_must_end(self, play: Play) -> None:
        play.ready()
        _, number = delivered(play)
        play.agent(line(id=number, error={"code": 1, "message": "why " * 2_000_000}))
        _, number = delivered(play)
        usage = {"note": "x" * PAYLOAD_BYTES_MAX}
        play.agent(line(id=number, result={"stopReason": "end_turn", "usage": usage}))
        play.settle()
        [failed] = play.payloads("turn.failed")
        assert failed["error"].startswith("why why")
        assert failed["error"].endswith("(cut from 8000000 characters)")
        [completed] = play.payloads("turn.completed")
        assert "usage" not in completed
        assert all(len(event.payload) <= PAYLOAD_BYTES_MAX for event in play.journal)


class TestUnsupported:
    def test_it_is_said_once_and_every_turn_fails(self) -> None:
        play = make_play(UnsupportedCodec(), refusal="protocol x is not supported")
        assert play.after(events.Begun(0)) == [commands.Attach()]
        play.attached()
        play.settle()
        assert play.payloads("broker.error") == [{"message": "protocol x is not supported"}]
        play.arrive("query", {})
        play.settle()
        play.arrive("control_request", {})
        play.settle()
        assert play.kinds[1:] == ["turn.started", "turn.failed", "turn.failed"]
        assert not play.machine.is_ready
