"""What a Devbox's declaration does, and when it is wanted (W1, W5)."""

from dataclasses import replace

import pytest
from ranvier.internal import DevboxBinding, MountBinding
from ranvier_apiserver import devboxes
from ranvier_apiserver.devboxes import Dropped
from ranvier_apiserver.state import Devbox, Head, Turn

NOW = 7_000


def binding(*axons: str, held: bool = False, wake: bool = True) -> DevboxBinding:
    mounts = [MountBinding(index=i, axon_id=a, protocol="acp") for i, a in enumerate(axons)]
    return DevboxBinding(namespace="ns", name="box", mounts=mounts, wake_on_event=wake, held=held)


def register(
    known: Devbox | None, wanted: DevboxBinding, start: int = 0, now: int = NOW
) -> tuple[Devbox, list[Dropped]]:
    return devboxes.register("uid", known, wanted, lambda _: start, now)


def known(*axons: str, **changes: object) -> Devbox:
    box, _ = register(None, binding(*axons))
    return replace(box, **changes)  # type: ignore[arg-type]


def test_a_new_devbox_is_awake_in_its_first_generation() -> None:
    box, dropped = register(None, binding("a", "b"), start=9)
    assert (box.generation, box.asleep, box.held, box.last_activity_ms) == (1, False, False, NOW)
    assert [(m.index, m.axon_id, m.cursor, m.control_cursor) for m in box.mounts] == [
        (0, "a", 9, 9),
        (1, "b", 9, 9),
    ]
    assert not dropped


def test_registering_again_changes_nothing() -> None:
    box = known("a")
    assert register(box, binding("a"), start=99, now=NOW + 1) == (box, [])


def test_a_mount_that_moves_to_another_axon_starts_anew_but_keeps_its_epochs() -> None:
    turn = Turn("t", 1, 2)
    box = known("a")
    box = replace(box, mounts=(replace(box.mounts[0], epoch=4, cursor=6, open_turn=turn),))
    moved, dropped = register(box, binding("b"), start=3)
    assert dropped == [Dropped("a", 6, turn)]
    assert [(m.axon_id, m.cursor, m.epoch, m.attached) for m in moved.mounts] == [
        ("b", 3, 4, False)
    ]


def test_a_mount_that_is_gone_leaves_its_cursor() -> None:
    _, dropped = register(known("a", "b"), binding("a"))
    assert [d.axon_id for d in dropped] == ["b"]


def test_releasing_a_sleeping_devbox_asks_for_a_resume() -> None:
    box = known("a", asleep=True, held=True)
    released, _ = register(box, binding("a"))
    assert released.resume_requested
    assert devboxes.is_wanted(released, has_unread=False)
    held_again, _ = register(released, binding("a", held=True))
    assert not held_again.resume_requested


def test_releasing_a_devbox_that_runs_asks_for_nothing() -> None:
    released, _ = register(known("a", held=True), binding("a"))
    assert (released.held, released.resume_requested) == (False, False)


def test_a_resume_wakes_what_sleeps_and_is_not_held() -> None:
    asleep = known("a", asleep=True)
    assert devboxes.is_wanted(devboxes.resume(asleep, NOW), has_unread=False)
    for other in (known("a"), replace(asleep, held=True)):
        assert devboxes.resume(other, NOW) == other
    assert not devboxes.resume(known(asleep=True), NOW).asleep


def test_keeping_alive_begins_the_idle_time_anew() -> None:
    assert devboxes.keep_alive(known("a"), NOW + 5).last_activity_ms == NOW + 5
    assert devboxes.keep_alive(known("a"), NOW - 5).last_activity_ms == NOW


def test_without_mounts_released_is_running() -> None:
    box = known(asleep=True, held=True)
    released, _ = register(box, binding(), now=NOW + 5)
    assert (released.asleep, released.last_activity_ms) == (False, NOW + 5)


@pytest.mark.parametrize(
    ("changes", "unread", "wanted"),
    [
        ({}, True, False),
        ({"asleep": True}, False, False),
        ({"asleep": True}, True, True),
        ({"asleep": True, "held": True}, True, False),
        ({"asleep": True, "wake_on_event": False}, True, False),
        ({"asleep": True, "wake_on_event": False, "resume_requested": True}, False, True),
        ({"asleep": True, "held": True, "resume_requested": True}, True, False),
    ],
)
def test_wanted_follows_from_the_states_alone(
    changes: dict[str, bool], unread: bool, wanted: bool
) -> None:
    assert devboxes.is_wanted(known("a", **changes), unread) is wanted


def test_a_broker_of_the_current_generation_wakes_the_devbox_once() -> None:
    box = known("a", asleep=True, resume_requested=True, generation=3)
    awake = devboxes.wake_up(box, 3, NOW + 9)
    assert (awake.asleep, awake.resume_requested, awake.last_activity_ms) == (
        False,
        False,
        NOW + 9,
    )
    assert devboxes.wake_up(awake, 3, NOW + 99) is awake


@pytest.mark.parametrize(
    ("head", "unread"), [(Head(9, 0, 4, 0), False), (Head(9, 0, 6, 0), True), (None, False)]
)
def test_unread_is_an_inbound_event_after_the_cursor(head: Head | None, unread: bool) -> None:
    mount = replace(known("a").mounts[0], cursor=5)
    assert devboxes.is_unread(mount, head) is unread
