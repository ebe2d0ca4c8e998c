"""What Prometheus hears of the operator: looks, errors, the lease, and the parts of wakes."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from ranvier_operator.errors import Conflict
from ranvier_operator.metrics import Metrics
from ranvier_operator.naming import GENERATION_ANNOTATION
from ranvier_operator.wakes import UNDER_WAY_MAX, Phase, Wakes

WAKE = {"generation": 3, "axonId": "axn_a", "sequence": 7, "time": "1970-01-01T00:01:40Z"}


def values(page: bytes) -> dict[tuple[str, ...], float]:
    """Every sample by its name and its labels' values."""
    families = text_string_to_metric_families(page.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def pod(generation: int = 3, uid: str = "u", *met: str) -> dict[str, Any]:
    conditions = [{"type": name, "status": "True"} for name in met]
    metadata = {"uid": uid, "annotations": {GENERATION_ANNOTATION: str(generation)}}
    return {"metadata": metadata, "status": {"conditions": conditions}}


def test_the_phases_of_a_wake_follow_each_other() -> None:
    wakes = Wakes()
    assert wakes.seen(pod(), WAKE, is_new=True, now=100.2) == [Phase("created", 100.2 - 100)]
    assert wakes.seen(pod(), WAKE, is_new=False, now=100.3) == []
    scheduled = pod(3, "u", "PodScheduled")
    assert wakes.seen(scheduled, WAKE, is_new=False, now=100.5) == [
        Phase("scheduled", 100.5 - 100.2)
    ]
    ready = pod(3, "u", "PodScheduled", "ContainersReady")
    assert wakes.seen(ready, WAKE, is_new=False, now=102.5) == [Phase("started", 2.0)]
    assert wakes.seen(ready, WAKE, is_new=False, now=103) == []


def test_a_pod_seen_late_tells_all_its_phases_at_once() -> None:
    ready = pod(3, "u", "PodScheduled", "ContainersReady")
    told = Wakes().seen(ready, WAKE, is_new=True, now=101)
    assert told == [Phase("created", 1.0), Phase("scheduled", 0.0), Phase("started", 0.0)]


def test_pods_of_no_wake_and_those_of_before_this_process_tell_nothing() -> None:
    wakes = Wakes()
    ready = pod(3, "u", "PodScheduled", "ContainersReady")
    assert wakes.seen(pod(2), WAKE, is_new=True, now=101) == []
    assert wakes.seen(pod(), None, is_new=True, now=101) == []
    assert wakes.seen(ready, WAKE, is_new=False, now=101) == []


def test_wakes_under_way_are_bounded_and_a_pod_that_ended_is_forgotten() -> None:
    wakes = Wakes()
    for number in range(UNDER_WAY_MAX + 1):
        wakes.seen(pod(3, f"u{number}"), WAKE, is_new=True, now=101)
    scheduled = "PodScheduled"
    assert wakes.seen(pod(3, "u0", scheduled), WAKE, is_new=False, now=102) == []
    wakes.gone(pod(3, "u1"))
    assert wakes.seen(pod(3, "u1", scheduled), WAKE, is_new=False, now=102) == []
    assert wakes.seen(pod(3, "u2", scheduled), WAKE, is_new=False, now=102) != []


def test_the_page_has_looks_errors_queue_lease_and_phases() -> None:
    metrics = Metrics(waiting=lambda: 5, leading=lambda: True)
    metrics.looked("Devbox", 0.02)
    metrics.failed("Devbox", Conflict("moved"))
    metrics.failed("Axon", ValueError("a fault"))
    metrics.woke(Phase("started", 1.5))
    found = values(metrics.page())
    assert found["ranvier_reconcile_seconds_count", "Devbox"] == 1
    assert found["ranvier_reconcile_errors_total", "Devbox", "Conflict"] == 1
    assert found["ranvier_reconcile_errors_total", "Axon", "Fault"] == 1
    assert found["ranvier_operator_wake_seconds_sum", "started"] == 1.5
    assert found["ranvier_reconcile_waiting",] == 5
    assert found["ranvier_operator_leading",] == 1
