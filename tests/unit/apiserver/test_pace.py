"""When the event loop may wait for the disk."""

from ranvier_apiserver.journal.pace import (
    COMMITS_AVERAGED,
    QUICK_SECONDS,
    REST_COMMITS,
    REST_COMMITS_MAX,
    Pace,
)

QUICK, SLOW, STUCK = QUICK_SECONDS / 4, 4 * QUICK_SECONDS, 100 * QUICK_SECONDS


def rests(pace: Pace) -> int:
    """How many commits are the thread's until the loop may try."""
    count = 0
    while not pace.is_quick:
        pace.rested()
        count += 1
    return count


def rested() -> Pace:
    pace = Pace()
    rests(pace)
    return pace


def test_the_thread_begins_and_the_loop_goes_on() -> None:
    pace = Pace()
    assert rests(pace) == REST_COMMITS
    for _ in range(100):
        pace.waited(QUICK)
        assert pace.is_quick


def test_a_slow_commit_now_and_then_is_put_up_with() -> None:
    pace = rested()
    for number in range(10 * COMMITS_AVERAGED):
        pace.waited(SLOW if number % COMMITS_AVERAGED == 0 else QUICK)
        assert pace.is_quick


def test_a_disk_that_hangs_once_is_left_to_the_thread() -> None:
    pace = rested()
    pace.waited(STUCK)
    assert not pace.is_quick


def test_a_disk_that_is_slow_is_left_to_the_thread_soon() -> None:
    pace = rested()
    for _ in range(COMMITS_AVERAGED // 2):
        pace.waited(SLOW)
        if not pace.is_quick:
            return
    raise AssertionError("the loop goes on waiting")


def test_a_slow_disk_is_tried_ever_less_often() -> None:
    pace, seen = rested(), []
    for _ in range(20):
        pace.waited(STUCK)
        seen.append(rests(pace))
    assert seen[:3] == [REST_COMMITS, 2 * REST_COMMITS, 4 * REST_COMMITS]
    assert seen[-1] == REST_COMMITS_MAX


def test_a_disk_that_is_quick_again_is_trusted_as_before() -> None:
    pace = rested()
    for _ in range(20):
        pace.waited(STUCK)
        rests(pace)
    for _ in range(REST_COMMITS_MAX):
        pace.waited(QUICK)
    pace.waited(STUCK)
    assert rests(pace) == REST_COMMITS
