"""What Prometheus is told of the operator; docs/observability.md explains each.

Names and labels are stable. No label has values that grow with the users.
"""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ranvier_operator.errors import OperatorError
from ranvier_operator.wakes import Phase

LOOK_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
WAKE_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 40, 80, 160)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

FAULT: Final = "Fault"
"""The reason of an error that is none of `errors.py`: a fault of ours, its trace is in the log."""


class Metrics:
    """The metrics of one operator process."""

    def __init__(self, waiting: Callable[[], int], leading: Callable[[], bool]) -> None:
        self._registry = CollectorRegistry()
        self._looks = Histogram(
            "ranvier_reconcile_seconds",
            "Looks at one object: observed, decided, applied.",
            ["kind"],
            buckets=LOOK_SECONDS,
            registry=self._registry,
        )
        self._errors = Counter(
            "ranvier_reconcile_errors",
            "Looks that failed and are repeated.",
            ["kind", "reason"],
            registry=self._registry,
        )
        self._phases = Histogram(
            "ranvier_operator_wake_seconds",
            "Parts of wakes that the cluster does.",
            ["phase"],
            buckets=WAKE_SECONDS,
            registry=self._registry,
        )
        Gauge(
            "ranvier_reconcile_waiting",
            "Objects that wait to be looked at.",
            registry=self._registry,
        ).set_function(waiting)
        Gauge(
            "ranvier_operator_leading",
            "1 while this replica holds the lease and acts.",
            registry=self._registry,
        ).set_function(leading)
        ProcessCollector(registry=self._registry)

    def looked(self, kind: str, seconds: float) -> None:
        self._looks.labels(kind).observe(seconds)

    def failed(self, kind: str, error: Exception) -> None:
        reason = type(error).__name__ if isinstance(error, OperatorError) else FAULT
        self._errors.labels(kind, reason).inc()

    def woke(self, phase: Phase) -> None:
        self._phases.labels(phase.name).observe(phase.seconds)

    def page(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
