"""When the journal counts as able to commit."""

from ranvier_apiserver.journal.pulse import STUCK_SECONDS, Pulse


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_failed_commit_counts_until_one_succeeds() -> None:
    pulse = Pulse(Clock())
    assert pulse.is_felt
    pulse.begin()
    pulse.end(committed=False)
    assert not pulse.is_felt
    pulse.begin()
    pulse.end(committed=None)
    assert not pulse.is_felt, "a batch of reads proves nothing"
    pulse.begin()
    pulse.end(committed=True)
    assert pulse.is_felt


def test_a_commit_that_hangs_counts_while_it_does() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    pulse.begin()
    clock.now += STUCK_SECONDS - 0.1
    assert pulse.is_felt
    clock.now += 0.2
    assert not pulse.is_felt
    pulse.end(committed=True)
    assert pulse.is_felt
