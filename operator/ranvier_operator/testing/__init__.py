"""Stand-ins for the two things outside of the operator, for its own tests and for yours.

`FakeCluster` passes the same contract tests as a real cluster; `FakeJournal` keeps the rules of
sleep and wake of ARCHITECTURE.md. Both live in memory and do exactly what they are told, when they
are told.
"""

from ranvier_operator.testing.clock import ManualClock
from ranvier_operator.testing.cluster import FakeCluster
from ranvier_operator.testing.journal import FakeJournal, Fenced
from ranvier_operator.testing.world import World

__all__ = ["FakeCluster", "FakeJournal", "Fenced", "ManualClock", "World"]
