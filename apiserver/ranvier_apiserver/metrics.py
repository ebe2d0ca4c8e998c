"""What the API server counts, for Prometheus; docs/observability.md says what each one means.

Everything here is updated in the event loop and read there (`/metrics` on a port of its own), so a
scrape sees one moment. Names and units follow Prometheus' conventions.
"""

from collections.abc import Iterable
from typing import Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    make_asgi_app,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from ranvier.events import AxonEvent, Origin
from starlette.types import ASGIApp

from ranvier_apiserver.clock import Clock
from ranvier_apiserver.journal.store import Committed
from ranvier_apiserver.state import Wake
from ranvier_apiserver.wake_phases import WakePhases

COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
REQUEST_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
WAKE_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 60)


class Streams(Protocol):
    """What is asked of the open streams at a scrape."""

    @property
    def followers(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    def lags(self) -> Iterable[int]: ...


class Queue(Protocol):
    """What is asked of the store at a scrape."""

    @property
    def waiting_events(self) -> int: ...


class Trail(Protocol):
    """What is asked of the audit log at a scrape."""

    lost: int


class Metrics:
    """One registry a process; the store's and waker's listeners, and the HTTP shell's ear."""

    def __init__(self, clock: Clock) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._phases = WakePhases()
        registry = self.registry
        ProcessCollector(registry=registry)
        self._events = Counter(
            "ranvier_journal_events",
            "Events that were committed, by origin.",
            ["origin"],
            registry=registry,
        )
        self._batch = Histogram(
            "ranvier_journal_commit_events",
            "Events that shared one commit.",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self._commit = Histogram(
            "ranvier_journal_commit_seconds",
            "Time of one commit, the sync to disk included.",
            buckets=COMMIT_BUCKETS,
            registry=registry,
        )
        self._requests = Histogram(
            "ranvier_http_request_seconds",
            "Time until the answer was complete; streams are counted when they end.",
            ["method", "route", "code"],
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        # Looking a label up costs more than to count.
        self._by_route: dict[tuple[str, str, int], Histogram] = {}
        self._by_origin = {origin: self._events.labels(origin.value) for origin in Origin}
        self._pokes = Counter(
            "ranvier_wake_pokes",
            "Devboxes that were told to wake: done, gone (no such devbox) or failed (repeated).",
            ["outcome"],
            registry=registry,
        )
        self._wakes = Histogram(
            "ranvier_wake_phase_seconds",
            "Parts of wakes that came to their end, by phase.",
            ["phase"],
            buckets=WAKE_BUCKETS,
            registry=registry,
        )

    def observe(self, streams: Streams, queue: Queue, trail: Trail | None = None) -> None:
        """Look at these at every scrape."""
        self.registry.register(_Moment(streams, queue, trail))

    def app(self) -> ASGIApp:
        """GET anything: the exposition. It has no key, so it is not on the port of the API."""
        app: ASGIApp = make_asgi_app(self.registry)
        return app

    def committed(self, committed: Committed) -> None:
        """A store listener."""
        # What another replica committed is counted there.
        is_ours = committed.seconds is not None
        if committed.seconds is not None:
            self._commit.observe(committed.seconds)
        if is_ours and committed.events:
            self._batch.observe(len(committed.events))
        for wake in committed.wakes:
            self._phases.wanted(wake)
        for origin, events in _by_origin(committed.events).items():
            if is_ours:
                self._by_origin[origin].inc(len(events))
            # Only the runtime's own events end a wake.
            for event in events if origin is Origin.SYSTEM else ():
                for phase in self._phases.happened(event):
                    self._wakes.labels(phase.name).observe(phase.seconds)

    def poked(self, wake: Wake, outcome: str) -> None:
        """The waker's report."""
        self._pokes.labels(outcome).inc()
        if outcome == "done":
            self._phases.told(wake, self._clock())

    def requested(self, method: str, route: str, code: int, seconds: float) -> None:
        """One HTTP request has its whole answer."""
        key = method, route, code
        if (histogram := self._by_route.get(key)) is None:
            histogram = self._requests.labels(method, route, str(code))
            self._by_route[key] = histogram
        histogram.observe(seconds)


def _by_origin(events: Iterable[AxonEvent]) -> dict[Origin, list[AxonEvent]]:
    found: dict[Origin, list[AxonEvent]] = {}
    for event in events:
        found.setdefault(event.origin, []).append(event)
    return found


class _Moment(Collector):
    """Gauges that are looked up, not kept."""

    def __init__(self, streams: Streams, queue: Queue, trail: Trail | None) -> None:
        self._streams = streams
        self._queue = queue
        self._trail = trail

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(
            "ranvier_journal_waiting_events",
            "Events that wait for a commit; publishers are refused when it is full.",
            self._queue.waiting_events,
        )
        yield GaugeMetricFamily(
            "ranvier_subscribers", "Open event streams.", self._streams.followers
        )
        yield GaugeMetricFamily(
            "ranvier_subscriber_lag_events_max",
            "Events by which the slowest subscriber is behind its axon.",
            max(self._streams.lags(), default=0),
        )
        yield CounterMetricFamily(
            "ranvier_subscribers_dropped",
            "Streams that were ended because their reader took nothing for too long.",
            self._streams.dropped,
        )
        if self._trail is not None:
            yield CounterMetricFamily(
                "ranvier_audit_lines_lost",
                "Lines of the audit log that nobody took or no disk held.",
                self._trail.lost,
            )
