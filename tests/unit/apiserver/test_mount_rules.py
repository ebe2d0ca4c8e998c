"""T1 to T5 as the journal holds them: what a broker may append, told as conversations."""

import pytest
from ranvier.events import Origin
from ranvier.internal import AppendEvent, AppendRequest, TurnEnded, TurnMark, TurnStarted
from ranvier_apiserver import mounts
from ranvier_apiserver.errors import Fenced, RuleBroken
from ranvier_apiserver.mounts import STATE_BYTES_MAX, Appending
from ranvier_apiserver.state import Mount, Turn

NOW = 5_000
AXON = {1: Origin.USER, 2: Origin.EXTERNAL, 3: Origin.AGENT, 4: Origin.SYSTEM, 5: Origin.USER}
AT = Appending(head=5, origin_of=AXON.get, now_ms=NOW)


def attached(**changes: object) -> Mount:
    fresh = Mount(0, "axn_1", "acp", cursor=0, control_cursor=0, last_activity_ms=100)
    mount, _ = mounts.attach(fresh, 200)
    for name, value in changes.items():
        object.__setattr__(mount, name, value)
    return mount


def system(event_type: str, payload: str = '{"turn_id": "t"}') -> AppendEvent:
    return AppendEvent(origin=Origin.SYSTEM, event_type=event_type, payload=payload)


def agent(payload: str = "{}") -> AppendEvent:
    return AppendEvent(origin=Origin.AGENT, event_type="session/update", payload=payload)


def batch(
    *events: AppendEvent,
    marks: list[TurnMark] | None = None,
    number: int = 1,
    epoch: int = 1,
    cursor: int | None = None,
    control_cursor: int | None = None,
) -> AppendRequest:
    return AppendRequest(
        epoch=epoch,
        batch=number,
        events=list(events),
        cursor=cursor,
        control_cursor=control_cursor,
        turn_marks=marks or [],
    )


def started(trigger: int, turn_id: str = "t", index: int = 0) -> TurnStarted:
    return TurnStarted(turn_id=turn_id, trigger=trigger, event_index=index)


def start_turn(trigger: int, turn_id: str = "t", number: int = 1) -> AppendRequest:
    mark = started(trigger, turn_id)
    return batch(system("turn.started"), marks=[mark], cursor=trigger, number=number)


def append(mount: Mount, request: AppendRequest) -> Mount:
    after = mounts.append(mount, request, None, AT)
    assert after is not None
    return after


def test_attaching_opens_the_next_epoch_and_hands_over_the_open_turn() -> None:
    turn = Turn("t", 1, 2)
    mount, closed = mounts.attach(attached(open_turn=turn, last_batch=9), NOW)
    assert closed == turn
    assert (mount.epoch, mount.attached, mount.open_turn, mount.last_batch) == (2, True, None, 0)
    assert mount.last_activity_ms == NOW


def test_an_older_epoch_is_fenced() -> None:
    with pytest.raises(Fenced, match="Epoch 1 of this mount is over"):
        append(attached(epoch=2), batch(agent()))


def test_a_closed_epoch_is_fenced() -> None:
    mount, _ = mounts.detach(attached())
    with pytest.raises(Fenced):
        append(mount, batch(agent()))


def test_a_turn_starts_and_ends_and_counts_as_activity() -> None:
    mount = append(attached(), start_turn(1))
    assert mount.open_turn == Turn("t", 1, started_sequence=6)
    assert (mount.cursor, mount.control_cursor, mount.last_trigger) == (1, 1, 1)
    assert (mount.last_first, mount.last_last, mount.last_activity_ms) == (6, 6, NOW)
    ended = TurnEnded(turn_id="t", event_index=1)
    mount = append(mount, batch(agent(), system("turn.completed"), marks=[ended], number=2))
    assert mount.open_turn is None


def test_output_between_turns_is_no_activity() -> None:
    """W7: only what a user or the outside did keeps a devbox awake."""
    assert append(attached(), batch(agent())).last_activity_ms == 200


def test_several_turns_fit_into_one_batch() -> None:
    marks: list[TurnMark] = [
        started(1, "a"),
        TurnEnded(turn_id="a", event_index=1),
        started(2, "b", index=2),
    ]
    events = [system("turn.started"), system("turn.failed"), system("turn.started")]
    mount = append(attached(), batch(*events, marks=marks, cursor=2))
    assert mount.open_turn == Turn("b", 2, started_sequence=8)


def test_a_repeated_batch_is_recognised() -> None:
    mount = append(attached(), batch(agent()))
    assert mounts.append(mount, batch(agent()), None, AT) is None


@pytest.mark.parametrize("number", [2, 3])
def test_batches_come_in_order(number: int) -> None:
    with pytest.raises(RuleBroken, match="does not follow"):
        append(attached(), batch(agent(), number=number))


def test_no_trigger_gets_two_turns() -> None:
    mount = append(attached(), start_turn(2))
    ended = TurnEnded(turn_id="t", event_index=0)
    mount = append(mount, batch(system("turn.cancelled"), marks=[ended], number=2))
    for trigger in (1, 2):
        again = batch(system("turn.started"), marks=[started(trigger, "u")], cursor=2, number=3)
        with pytest.raises(RuleBroken, match="T3"):
            append(mount, again)


def test_one_turn_at_a_time() -> None:
    mount = append(attached(), start_turn(1))
    with pytest.raises(RuleBroken, match="T2"):
        append(mount, start_turn(2, "u", number=2))


@pytest.mark.parametrize("trigger", [3, 4])
def test_agent_and_system_events_start_no_turn(trigger: int) -> None:
    with pytest.raises(RuleBroken, match="T1"):
        append(attached(), start_turn(trigger))


def test_the_cursor_moves_with_the_turn() -> None:
    late = batch(system("turn.started"), marks=[started(2)], cursor=1)
    with pytest.raises(RuleBroken, match="cursor must reach"):
        append(attached(), late)


@pytest.mark.parametrize("turn_id", ["other", "t"])
def test_a_terminal_needs_its_open_turn(turn_id: str) -> None:
    mount = append(attached(), start_turn(1)) if turn_id == "other" else attached()
    ended = TurnEnded(turn_id=turn_id, event_index=0)
    number = mount.last_batch + 1
    with pytest.raises(RuleBroken, match="T4"):
        append(mount, batch(system("turn.completed"), marks=[ended], number=number))


@pytest.mark.parametrize(
    "request_",
    [
        batch(system("turn.started"), cursor=1),
        batch(system("turn.completed")),
        batch(agent(), marks=[started(1)], cursor=1),
        batch(system("turn.completed"), marks=[started(1)], cursor=1),
        batch(system("turn.started"), marks=[started(1, index=1)], cursor=1),
        batch(system("turn.started"), marks=[started(1), started(2)], cursor=2),
    ],
    ids=["unmarked start", "unmarked end", "no turn event", "wrong kind", "index", "twice"],
)
def test_marks_and_turn_events_match_one_to_one(request_: AppendRequest) -> None:
    with pytest.raises(RuleBroken):
        append(attached(), request_)


def test_an_agents_own_event_of_that_name_is_no_turn_event() -> None:
    event = AppendEvent(origin=Origin.AGENT, event_type="turn.completed", payload="{}")
    assert append(attached(), batch(event)).last_last == 6


def test_a_failed_request_outside_any_turn_is_told_without_a_turn() -> None:
    """`turn.failed {turn_id?, error}`: the only way to fail a client's pending call (ACP)."""
    outside = system("turn.failed", '{"error": "no such session"}')
    mount = append(attached(), start_turn(1))
    assert append(mount, batch(outside, number=2)).open_turn == mount.open_turn
    ended = TurnEnded(turn_id="t", event_index=0)
    with pytest.raises(RuleBroken):
        append(mount, batch(outside, marks=[ended], number=2))


@pytest.mark.parametrize("payload", ["{}", "not json", "[]"])
def test_no_other_turn_event_goes_unmarked(payload: str) -> None:
    with pytest.raises(RuleBroken):
        append(attached(), batch(system("turn.completed", payload)))


def test_cursors_never_go_back_nor_past_the_head() -> None:
    mount = append(attached(), batch(cursor=3, control_cursor=5))
    assert (mount.cursor, mount.control_cursor) == (3, 5)
    with pytest.raises(RuleBroken, match="never go back"):
        append(mount, batch(cursor=2, number=2))
    with pytest.raises(RuleBroken, match="head"):
        append(mount, batch(control_cursor=6, number=2))
    assert append(mount, batch(control_cursor=1, number=2)).control_cursor == 5


def test_an_empty_batch_answers_the_head() -> None:
    mount = append(attached(), batch(cursor=1))
    assert (mount.last_first, mount.last_last) == (6, 5)


def test_the_brokers_state_is_bounded() -> None:
    with pytest.raises(RuleBroken, match="state"):
        mounts.append(attached(), batch(), "x" * (STATE_BYTES_MAX + 1), AT)


def test_a_request_that_failed_outside_any_turn_ends_none() -> None:
    """Clients wait for `turn.failed` when a request fails; without a turn_id it is no terminal."""
    failed = AppendEvent(
        origin=Origin.SYSTEM, event_type="turn.failed", payload='{"error": "no such method"}'
    )
    turning = append(attached(), start_turn(1))
    assert append(turning, batch(failed, number=2)).open_turn == turning.open_turn
