"""The figures of storms and of idle fleets: percentiles, verdict, table, and which writes count."""

import pytest
from stage.request_counts import Request, counts, sorted_out, writes
from stage.simulated import READY_LABEL, stages
from stage.storms import Contender, Storm, is_no_slower, percentile, table


def test_a_percentile_is_a_delay_that_was_seen() -> None:
    delays = [number / 1000 for number in range(500, 0, -1)]
    assert percentile(delays, 50) == 0.250
    assert percentile(delays, 99) == 0.495
    assert percentile(delays, 100) == 0.500
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7.0


def test_nothing_measured_is_an_error_and_no_zero() -> None:
    with pytest.raises(ValueError, match="no delay"):
        percentile([], 99)


def test_a_storm_tells_each_ones_own_delay_and_who_got_nothing() -> None:
    storm = Storm(asked={"a": 10.0, "b": 10.5, "c": 11.0}, seen={"a": 10.2, "b": 12.5, "x": 9.0})
    assert storm.delays == pytest.approx([0.2, 2.0])
    assert storm.missing == ["c"]
    assert storm.asking_seconds == pytest.approx(1.0)
    assert storm.whole_seconds == pytest.approx(2.5)


def test_the_verdict_is_about_the_99th_percentile_of_all_storms() -> None:
    quick = Contender("quick", "publish", [storm_of(0.1, 0.2), storm_of(0.1, 3.0)])
    slow = Contender("slow", "patch", [storm_of(2.0, 2.5), storm_of(2.0, 2.5)])
    assert not is_no_slower(quick, slow)
    assert is_no_slower(slow, quick)
    assert is_no_slower(slow, slow)


def test_who_lost_one_is_not_complete() -> None:
    assert Contender("a", "publish", [storm_of(0.1)]).is_complete
    assert not Contender("a", "publish", [Storm({"box": 1.0}, {})]).is_complete
    assert not Contender("a", "publish").is_complete


def test_a_storm_that_nobody_answered_is_lost_and_still_told() -> None:
    silent = Contender("silent", "publish", [Storm({"box": 1.0}, {})])
    quick = Contender("quick", "patch", [storm_of(0.1)])
    assert not is_no_slower(silent, quick)
    assert is_no_slower(quick, silent)
    assert "inf" in table([silent])


def test_the_table_names_who_was_asked_how() -> None:
    lines = table([Contender("ours", "publish", [storm_of(0.1, 0.2)])]).splitlines()
    assert lines[0].split() == ["milliseconds", "p50", "p90", "p99", "max", "calls", "all"]
    assert lines[1].split() == ["ours:", "publish", "→", "pod", "100", "200", "200", "200", "0",
                                "200"]  # fmt: skip


METRICS = """\
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",group="ranvier.dev",resource="devboxes",subresource="status",verb="PATCH"} 7
apiserver_request_total{code="409",group="ranvier.dev",resource="devboxes",subresource="status",verb="PATCH"} 1
apiserver_request_total{code="200",group="",resource="pods",subresource="",verb="LIST"} 9
apiserver_request_total{code="200",group="coordination.k8s.io",resource="leases",subresource="",verb="PUT"} 1.5e+02
apiserver_request_total{code="201",group="authentication.k8s.io",resource="tokenreviews",verb="POST"} 2
apiserver_request_duration_seconds_count{verb="PATCH"} 5
"""  # noqa: E501 (lines as the API server writes them)
STATUS = Request("PATCH", "ranvier.dev/devboxes/status")


def test_writes_are_counted_whatever_they_were_answered_with() -> None:
    found = counts(METRICS)
    assert found[STATUS] == 7
    assert found[Request("PATCH", "ranvier.dev/devboxes/status", refused=True)] == 1
    assert found[Request("LIST", "pods")] == 9


def test_only_writes_between_the_readings_count_and_leases_stand_apart() -> None:
    before = counts(METRICS.replace("} 7", "} 4").replace("1.5e+02", "100"))
    found = writes(before, counts(METRICS))
    apart, others = sorted_out(found)
    assert others == {STATUS: 3}
    assert apart == {"leases": 50}


def test_a_resource_seen_for_the_first_time_counts_from_nothing() -> None:
    apart, others = sorted_out(writes({}, counts(METRICS)))
    assert others == {STATUS: 7, Request("PATCH", "ranvier.dev/devboxes/status", refused=True): 1}
    assert apart["reviews and tokens, stored nowhere"] == 2


def test_simulated_pods_stay_unready_until_their_label_says_otherwise() -> None:
    unready, ready = [
        text for text in stages().split("---\n") if "starts-unready" in text or "gets-ready" in text
    ]
    assert "ready: false" in unready
    assert READY_LABEL not in unready
    assert "ready: true" in ready
    assert READY_LABEL in ready


def storm_of(*delays: float) -> Storm:
    names = [f"box-{number}" for number in range(len(delays))]
    return Storm(
        dict.fromkeys(names, 100.0), {n: 100.0 + d for n, d in zip(names, delays, strict=True)}
    )
