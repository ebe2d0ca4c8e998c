"""When the event loop may wait for the disk."""

from ranvier_apiserver.journal.pace import QUICK_SECONDS, REST_COMMITS, REST_COMMITS_MAX, Pace

QUICK, SLOW = QUICK_SECONDS / 2, 2 * QUICK_SECONDS


def rests(pace: Pace) -> int:
    """How many commits are the thread's until the loop may try."""
    count = 0
    while not pace.is_quick:
        pace.rested()
        count += 1
    return count


def test_the_thread_begins_and_the_loop_goes_on() -> None:
    pace = Pace()
    assert rests(pace) == REST_COMMITS
    for _ in range(100):
        pace.waited(QUICK)
        assert pace.is_quick


def test_a_slow_disk_is_tried_ever_less_often() -> None:
    pace, seen = Pace(), []
    rests(pace)
    for _ in range(20):
        pace.waited(SLOW)
        seen.append(rests(pace))
    assert seen[:3] == [REST_COMMITS, 2 * REST_COMMITS, 4 * REST_COMMITS]
    assert seen[-1] == REST_COMMITS_MAX


def test_a_disk_that_is_quick_again_is_trusted_as_before() -> None:
    pace = Pace()
    rests(pace)
    for _ in range(20):
        pace.waited(SLOW)
        rests(pace)
    for _ in range(REST_COMMITS_MAX):
        pace.waited(QUICK)
    pace.waited(SLOW)
    assert rests(pace) == REST_COMMITS
