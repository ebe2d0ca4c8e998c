"""When a disk counts as quick."""

from ranvier_apiserver.journal.pace import QUICK_COMMITS, QUICK_SECONDS, Pace


def test_a_disk_is_quick_after_a_row_of_quick_commits() -> None:
    pace = Pace()
    for _ in range(QUICK_COMMITS):
        assert not pace.is_quick
        pace.took(QUICK_SECONDS / 2)
    assert pace.is_quick


def test_one_slow_commit_ends_that() -> None:
    pace = Pace()
    for _ in range(2 * QUICK_COMMITS):
        pace.took(0.0)
    pace.took(QUICK_SECONDS)
    assert not pace.is_quick
    for _ in range(QUICK_COMMITS):
        pace.took(0.0)
    assert pace.is_quick
