"""W3: when a devbox may sleep, and when to ask again. ARCHITECTURE.md, "Wake and sleep", 3."""

import pytest
from ranvier.internal import SleepReason, SleepRequest
from ranvier_apiserver.sleep import MountFacts, SleepFacts, closes_epochs, decide

NOW = 1_000_000
IDLE = SleepRequest(generation=3, idle_seconds=60)
LONG_AGO = NOW - 60_000


def mount(
    attached: bool = True,
    unread: bool = False,
    turn_open: bool = False,
    last_activity_ms: int = LONG_AGO,
) -> MountFacts:
    return MountFacts(attached, unread, turn_open, last_activity_ms)


def facts(
    *mounts: MountFacts,
    generation: int = 3,
    asleep: bool = False,
    wanted: bool = False,
    last_activity_ms: int = 0,
) -> SleepFacts:
    return SleepFacts(generation, asleep, wanted, last_activity_ms, mounts)


def test_an_idle_devbox_is_granted_the_next_generation() -> None:
    answer = decide(facts(mount()), IDLE, NOW)
    assert (answer.granted, answer.generation, answer.reason) == (True, 4, SleepReason.IDLE)
    assert answer.look_again_ms is None
    assert closes_epochs(answer)


@pytest.mark.parametrize(
    ("busy", "reason"),
    [
        (mount(unread=True), SleepReason.UNREAD_EVENT),
        (mount(turn_open=True), SleepReason.TURN_OPEN),
        (mount(attached=False), SleepReason.STARTING),
    ],
)
def test_what_runs_refuses_sleep_until_it_could_be_idle(
    busy: MountFacts, reason: SleepReason
) -> None:
    answer = decide(facts(mount(), busy), IDLE, NOW)
    assert (answer.granted, answer.generation, answer.reason) == (False, 3, reason)
    assert answer.look_again_ms == NOW + 60_000


def test_recent_activity_of_any_mount_says_exactly_when_the_idle_time_is_over() -> None:
    answer = decide(facts(mount(), mount(last_activity_ms=NOW - 1)), IDLE, NOW)
    assert (answer.granted, answer.reason) == (False, SleepReason.RECENT_ACTIVITY)
    assert answer.look_again_ms == NOW - 1 + 60_000


def test_asking_again_exactly_when_told_is_granted() -> None:
    busy = facts(mount(last_activity_ms=NOW))
    first = decide(busy, IDLE, NOW)
    assert first.look_again_ms is not None
    assert not decide(busy, IDLE, first.look_again_ms - 1).granted
    assert decide(busy, IDLE, first.look_again_ms).granted


def test_a_devbox_without_mounts_is_idle_since_it_was_registered_or_woken() -> None:
    assert not decide(facts(last_activity_ms=NOW - 59_999), IDLE, NOW).granted
    assert decide(facts(last_activity_ms=NOW - 60_000), IDLE, NOW).granted


def test_no_idle_time_at_all_still_leaves_a_second_between_questions() -> None:
    answer = decide(facts(mount(unread=True)), SleepRequest(generation=3, idle_seconds=0), NOW)
    assert answer.look_again_ms == NOW + 1000


def test_force_is_granted_whatever_runs() -> None:
    force = SleepRequest(generation=3, idle_seconds=60, force=True, cause="shutdown")
    for busy in (mount(unread=True), mount(turn_open=True), mount(attached=False)):
        answer = decide(facts(busy), force, NOW)
        assert (answer.granted, answer.generation) == (True, 4)
        assert answer.reason is SleepReason.FORCED
        assert closes_epochs(answer)


@pytest.mark.parametrize("wanted", [False, True])
def test_an_older_generation_was_put_to_sleep_before(wanted: bool) -> None:
    """The answer to a question whose first answer was lost, or about a pod that must go."""
    answer = decide(facts(generation=4, asleep=True, wanted=wanted), IDLE, NOW)
    assert (answer.granted, answer.generation) == (True, 4)
    assert answer.reason is SleepReason.ALREADY_ASLEEP
    assert not closes_epochs(answer)


def test_a_pod_that_is_still_starting_for_a_wake_is_not_called_asleep() -> None:
    """Else the pod that a wake just made would be deleted before its broker could attach."""
    answer = decide(facts(mount(), asleep=True, wanted=True), IDLE, NOW)
    assert (answer.granted, answer.reason) == (False, SleepReason.STARTING)


def test_a_devbox_that_sleeps_and_is_not_wanted_may_lose_its_pod() -> None:
    answer = decide(facts(mount(), asleep=True), IDLE, NOW)
    assert (answer.granted, answer.reason) == (True, SleepReason.ALREADY_ASLEEP)


def test_a_journal_behind_its_pods_never_gives_a_generation_twice() -> None:
    answer = decide(facts(generation=1), SleepRequest(generation=7, idle_seconds=60), NOW)
    assert answer.generation == 8
