"""Every condition that a Devbox can have, as the word that the published SDKs wait for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ranvier.resources import (
    FAILS_AFTER_SECONDS,
    Devbox,
    ReadyReason,
    ShutdownReason,
    SuspendedReason,
)
from ranvier_apiserver.runloop.status import (
    SHUTDOWN_WORDS,
    FailureReason,
    Status,
    standing,
)
from ranvier_apiserver.runloop.view import devbox_view

THEN = datetime(2026, 11, 21, 10, tzinfo=UTC)
LATER = THEN + timedelta(days=1)
STAMP = "2026-11-21T10:00:00Z"
NEVER_A_FAILURE = {
    ReadyReason.AGENT_READY,
    ReadyReason.STARTING,
    ReadyReason.SUSPENDED,
    ReadyReason.SUSPENDING,
    ReadyReason.SHUT_DOWN,
    ReadyReason.JOURNAL_UNREACHABLE,
}


def condition(kind: str, status: bool, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": kind,
        "status": str(status),
        "reason": reason,
        "message": message,
        "lastTransitionTime": STAMP,
    }


def box(
    ready: str | None = None,
    asleep: str = "Awake",
    message: str = "",
    mode: str = "Running",
    **status: Any,
) -> Devbox:
    holds = asleep in ("Idle", "OwnerRequested", "Requested", "ShutDown")
    conditions = []
    if ready is not None:
        conditions = [
            condition("Ready", ready == "AgentReady", ready, message),
            condition("Suspended", holds, asleep),
        ]
    metadata = {"name": "box", "uid": "u", "creationTimestamp": STAMP}
    return Devbox.read(
        {
            "metadata": metadata,
            "spec": {"image": "x", "operatingMode": mode},
            "status": {"conditions": conditions, "sleepGeneration": 2, **status},
        }
    )


def word(devbox: Devbox, now: datetime = THEN) -> str:
    return standing(devbox, now).status.value


def asked(operation: str, generation: int = 0) -> dict[str, Any]:
    return {"request": {"operation": operation, "generation": generation, "time": STAMP}}


def test_a_devbox_that_nobody_looked_at_yet_is_on_its_way() -> None:
    assert word(box()) == "provisioning"


def test_every_reason_of_ready_has_its_word_at_once_and_after_a_day() -> None:
    """A devbox that is not ready for a reason that a person must mend is a failure in the end, and
    the words that end a wait come for no other reason."""
    for reason in ReadyReason:
        devbox = box(reason.value)
        at_once, in_the_end = word(devbox), word(devbox, LATER)
        if reason is ReadyReason.AGENT_READY:
            assert (at_once, in_the_end) == ("running", "running")
        elif reason in NEVER_A_FAILURE:
            assert (at_once, in_the_end) == ("provisioning", "provisioning"), reason
        else:
            assert in_the_end == "failure", reason
            assert at_once == ("provisioning" if FAILS_AFTER_SECONDS[reason] else "failure")


def test_every_reason_of_suspended_has_its_word() -> None:
    words = {
        reason: word(box("AgentReady" if reason == "Awake" else "Suspended", reason.value))
        for reason in SuspendedReason
    }
    assert words == {
        SuspendedReason.AWAKE: "running",
        SuspendedReason.WAKE_REQUESTED: "provisioning",
        SuspendedReason.SUSPENDING: "suspending",
        SuspendedReason.IDLE: "suspended",
        SuspendedReason.OWNER_REQUESTED: "suspended",
        SuspendedReason.REQUESTED: "suspended",
        SuspendedReason.SHUT_DOWN: "suspended",
    }


def test_every_reason_of_a_shutdown_has_runloops_word() -> None:
    assert set(SHUTDOWN_WORDS) == set(ShutdownReason)
    for reason, runloops in SHUTDOWN_WORDS.items():
        ended = box("ShutDown", "ShutDown", shutdownTime=STAMP, shutdownReason=reason.value)
        stands = standing(ended, LATER)
        assert (stands.status, stands.shutdown, stands.since) == (Status.SHUTDOWN, runloops, THEN)


@pytest.mark.parametrize("state", ["AgentReady", "Starting", "CrashLoop", "Suspended", None])
def test_a_shutdown_that_was_asked_for_shows_at_once(state: str | None) -> None:
    assert word(box(state, **asked("Shutdown"))) == "shutdown"


def test_a_suspend_shows_until_the_operator_wrote_what_came_of_it() -> None:
    assert word(box("AgentReady", **asked("Suspend", 3))) == "suspending"
    done = asked("Suspend", 3) | {"sleepGeneration": 3}
    assert word(box("Suspended", "Requested", **done)) == "suspended"
    assert word(box("AgentReady", "WakeRequested", **done)) == "running"


def test_what_resumes_is_provisioning_never_resuming() -> None:
    """The SDKs take every other word for the end of the wait."""
    assert word(box("Suspended", "Idle", **asked("Resume", 2))) == "provisioning"
    wake = {"generation": 2, "axonId": "axn_1", "sequence": 1, "time": STAMP}
    assert word(box("Suspended", "Idle", wake=wake)) == "provisioning"
    assert word(box("Suspended", "Idle", wake={**wake, "generation": 1})) == "suspended"


def test_a_resume_of_an_earlier_sleep_is_history() -> None:
    assert word(box("Suspended", "Idle", **asked("Resume", 1))) == "suspended"


def test_a_hold_of_the_owner_is_a_sleep_that_nothing_breaks() -> None:
    assert word(box("AgentReady", mode="Suspended")) == "suspending"
    held = box("Suspended", "OwnerRequested", mode="Suspended", **asked("Resume", 2))
    assert word(held) == "suspended"


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("OutOfMemory", FailureReason.OUT_OF_MEMORY),
        ("OutOfDisk", FailureReason.OUT_OF_DISK),
        ("HomeFull", FailureReason.OUT_OF_DISK),
        ("QuotaExceeded", FailureReason.HEALTH_CHECK_FAILED),
        ("Unschedulable", FailureReason.HEALTH_CHECK_FAILED),
        ("NodeLost", FailureReason.HEALTH_CHECK_FAILED),
        ("CrashLoop", FailureReason.EXECUTION_FAILED),
        ("Evicted", FailureReason.HEALTH_CHECK_FAILED),
        ("ImagePullFailed", FailureReason.HEALTH_CHECK_FAILED),
    ],
)
def test_a_failure_names_its_cause(reason: str, failure: FailureReason) -> None:
    stands = standing(box(reason, message="why"), LATER)
    assert (stands.failure, stands.reason, stands.message) == (failure, reason, "why")


def test_a_failure_stays_in_sight_when_the_devbox_is_well_again() -> None:
    failed = {"lastFailure": {"reason": "OutOfMemory", "message": "why", "time": STAMP}}
    shown = devbox_view(box("AgentReady", **failed), None, LATER)["state_transitions"]
    assert [step["status"] for step in shown] == ["provisioning", "failure", "running"]
    assert shown[1]["failure_reason"] == "out_of_memory"
    assert devbox_view(box("AgentReady", **failed), None, LATER)["failure_reason"] is None
