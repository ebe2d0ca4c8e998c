"""The parts of a wake, told from the facts that pass by."""

import json

from ranvier.events import AxonEvent, Origin
from ranvier_apiserver.state import Wake
from ranvier_apiserver.wake_phases import UNDER_WAY_MAX, Phase, WakePhases


def wake(uid: str = "box", generation: int = 2, time_ms: int = 1_000) -> Wake:
    return Wake(uid, "ns", "name", generation, "axn_1", 7, time_ms)


def running(
    uid: str = "box", generation: int = 2, origin: Origin = Origin.SYSTEM, **times: int
) -> AxonEvent:
    stations = {
        "broker_started_ms": 3_000,
        "attached_ms": 3_100,
        "agent_started_ms": 3_050,
        "agent_ready_ms": 4_100,
    }
    payload = {"devbox_id": uid, "generation": generation, "wake": {**stations, **times}}
    text = json.dumps(payload)
    return AxonEvent("axn_1", 9, 4_100, origin, "broker", "devbox.running", text)


def test_the_phases_follow_each_other_and_make_up_the_total() -> None:
    phases = WakePhases()
    phases.wanted(wake())
    phases.told(wake(), 1_050)
    assert phases.happened(running()) == [
        Phase("poke", 0.05),
        Phase("pod", 1.95),
        Phase("attach", 0.1),
        Phase("agent", 1.0),
        Phase("total", 3.1),
    ]


def test_a_wake_is_counted_once() -> None:
    phases = WakePhases()
    phases.wanted(wake())
    phases.told(wake(), 1_050)
    assert phases.happened(running())
    assert phases.happened(running()) == []


def test_later_events_and_repeated_pokes_do_not_move_its_beginning() -> None:
    phases = WakePhases()
    phases.wanted(wake())
    phases.told(wake(), 1_050)
    phases.wanted(wake(time_ms=2_000))
    phases.told(wake(), 2_900)
    assert phases.happened(running())[0] == Phase("poke", 0.05)


def test_a_first_start_is_no_wake() -> None:
    assert WakePhases().happened(running()) == []


def test_what_others_publish_under_that_name_counts_for_nothing() -> None:
    phases = WakePhases()
    phases.wanted(wake())
    phases.told(wake(), 1_050)
    assert phases.happened(running(origin=Origin.EXTERNAL)) == []
    assert phases.happened(running(generation=3)) == []
    assert phases.happened(running())


def test_clocks_that_disagree_make_no_negative_time() -> None:
    phases = WakePhases()
    phases.wanted(wake())
    phases.told(wake(), 1_050)
    pod = phases.happened(running(broker_started_ms=900))[1]
    assert pod == Phase("pod", 0)


def test_wakes_that_never_end_are_forgotten_oldest_first() -> None:
    phases = WakePhases()
    for number in range(UNDER_WAY_MAX + 1):
        phases.wanted(wake(f"box-{number}"))
        phases.told(wake(f"box-{number}"), 1_050)
    assert phases.happened(running("box-0")) == []
    assert phases.happened(running("box-1"))
