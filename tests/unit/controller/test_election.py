"""One replica acts at a time, and after its death another one within 15 s.

Clocks are the test's; two replicas share one (their readings need not, and never meet).
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier_operator.election import (
    LEASE_SECONDS,
    RENEW_DEADLINE_SECONDS,
    RETRY_SECONDS,
    STANDBY_SECONDS,
    TAKEOVER_SECONDS,
    WRITE_SECONDS_MAX,
    Election,
)
from ranvier_operator.errors import ClusterUnavailable, NotLeading
from ranvier_operator.kinds import LEASES
from ranvier_operator.testing import FakeCluster, ManualClock


class Replica:
    """An operator that does nothing but stand for election."""

    def __init__(self, name: str, cluster: FakeCluster, clock: ManualClock) -> None:
        self.log: list[str] = []
        self.ends_in_time = True
        self.election = Election(
            cluster,
            namespace="system",
            name="lease",
            identity=name,
            clock=clock,
            gained=lambda: self.log.append("gained"),
            lost=self._lost,
        )

    async def _lost(self) -> bool:
        self.log.append("lost")
        return self.ends_in_time

    @property
    def leads(self) -> bool:
        return self.election.leading

    async def step(self) -> float:
        return await self.election.step()


class Pair:
    """Two replicas and their world."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.cluster = FakeCluster(self.clock)
        self.a = Replica("a", self.cluster, self.clock)
        self.b = Replica("b", self.cluster, self.clock)

    @property
    def lease(self) -> dict[str, Any]:
        body = self.cluster.peek(LEASES, "system", "lease")
        assert body is not None
        spec: dict[str, Any] = body["spec"]
        return spec


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_the_arithmetic_leaves_no_moment_for_two() -> None:
    assert RENEW_DEADLINE_SECONDS + WRITE_SECONDS_MAX < TAKEOVER_SECONDS
    assert TAKEOVER_SECONDS + STANDBY_SECONDS <= LEASE_SECONDS == 15


async def test_the_first_one_takes_the_lease_and_the_second_waits(pair: Pair) -> None:
    await pair.a.step()
    await pair.b.step()
    assert (pair.a.leads, pair.b.leads) == (True, False)
    assert pair.lease["holderIdentity"] == "a"
    pair.a.election.require()
    with pytest.raises(NotLeading):
        pair.b.election.require()


async def test_a_holder_that_renews_stays(pair: Pair) -> None:
    for _ in range(30):
        await pair.a.step()
        await pair.b.step()
        pair.clock.advance(RETRY_SECONDS)
    assert pair.a.log == ["gained"]
    assert pair.b.log == []


async def test_a_dead_holder_is_replaced_within_fifteen_seconds(pair: Pair) -> None:
    await pair.a.step()
    waited = 0.0
    pause = await pair.b.step()
    while not pair.b.leads:
        pair.clock.advance(pause)
        waited += pause
        pause = await pair.b.step()
    assert waited <= LEASE_SECONDS
    assert pair.lease["leaseTransitions"] == 2


async def test_a_holder_that_hangs_stops_writing_before_the_other_begins(pair: Pair) -> None:
    """Its process is frozen: no step is made, but its threads ask before each write."""
    await pair.a.step()
    overlap = False
    while not pair.b.leads:
        pair.clock.advance(0.5)
        await pair.b.step()
        overlap |= pair.a.leads and pair.b.leads
    assert not overlap
    await pair.a.step()
    assert pair.a.log == ["gained", "lost"]


async def test_a_holder_that_can_not_renew_steps_down_in_time(pair: Pair) -> None:
    await pair.a.step()
    for _ in range(6):
        pair.clock.advance(RETRY_SECONDS)
        pair.cluster.fail_next = ClusterUnavailable("down")
        await pair.a.step()
    assert not pair.a.leads
    assert pair.a.log == ["gained", "lost"]


async def test_a_short_outage_costs_nothing(pair: Pair) -> None:
    await pair.a.step()
    pair.clock.advance(RETRY_SECONDS)
    pair.cluster.fail_next = ClusterUnavailable("down")
    await pair.a.step()
    pair.clock.advance(RETRY_SECONDS)
    await pair.a.step()
    assert pair.a.leads
    assert pair.a.log == ["gained"]


async def test_a_clean_end_hands_over_at_once(pair: Pair) -> None:
    await pair.a.step()
    await pair.b.step()
    await pair.a.election.release()
    assert pair.lease["holderIdentity"] == ""
    await pair.b.step()
    assert (pair.a.leads, pair.b.leads) == (False, True)


async def test_writes_that_do_not_end_keep_the_lease_from_the_others(pair: Pair) -> None:
    await pair.a.step()
    pair.a.ends_in_time = False
    await pair.a.election.release()
    await pair.b.step()
    assert not pair.b.leads
    assert pair.lease["holderIdentity"] == "a"


async def test_somebody_elses_note_on_the_lease_is_no_reason_to_stop(pair: Pair) -> None:
    await pair.a.step()
    note = {"metadata": {"annotations": {"note": "hands off"}}}
    pair.cluster.report(LEASES, "system", "lease", note)
    await pair.a.step()
    await pair.a.step()
    assert pair.a.leads
    assert pair.a.log == ["gained"]


async def test_a_lease_that_somebody_deleted_is_made_again(pair: Pair) -> None:
    await pair.a.step()
    pair.cluster.erase(LEASES, "system", "lease")
    for _ in range(8):
        pair.clock.advance(RETRY_SECONDS)
        await pair.a.step()
    assert pair.a.leads
    assert pair.lease["holderIdentity"] == "a"


async def test_a_wall_clock_that_jumps_changes_nothing(pair: Pair) -> None:
    await pair.a.step()
    await pair.b.step()
    pair.clock.jump(100_000)
    await pair.b.step()
    assert not pair.b.leads
    pair.clock.jump(-200_000)
    await pair.a.step()
    assert pair.a.leads


STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.0, 6.0), st.booleans()), max_size=60)


@given(steps=STEPS)
async def test_never_do_two_lead(steps: list[tuple[str, float, bool]]) -> None:
    """However late and however often each makes its step, and whatever fails."""
    pair = Pair()
    for who, pause, fails in steps:
        pair.clock.advance(pause)
        if fails:
            pair.cluster.fail_next = ClusterUnavailable("down")
        await (pair.a if who == "a" else pair.b).step()
        pair.cluster.fail_next = None
        assert not (pair.a.leads and pair.b.leads)
