"""What a pod's state says about its devbox: one reason, a sentence, a next step."""

from typing import Any

import pytest
from ranvier.resources import Condition, ReadyReason, SuspendedReason
from ranvier_operator.conditions import Ready, Suspended, conditions, ready_of
from ranvier_operator.observed import PodSeen, VolumeSeen, pod_seen, volume_seen

NOW = 1_800_000_100.0
OLD = "2027-01-15T08:00:00Z"  # 100 s before NOW


def pod(created: str = OLD, **status: Any) -> PodSeen:
    return pod_seen(
        {
            "metadata": {"name": "box", "uid": "u", "creationTimestamp": created},
            "spec": {"containers": [{"image": "agents:1"}]},
            "status": {"phase": "Pending", **status},
        }
    )


def volume(phase: str = "Bound") -> VolumeSeen:
    return volume_seen({"metadata": {"name": "box-home", "uid": "v"}, "status": {"phase": phase}})


def waiting(name: str, reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": name, "image": "agents:1", "state": state, **more}


SCHEDULED = [{"type": "PodScheduled", "status": "True"}]


def unschedulable(message: str) -> list[dict[str, str]]:
    return [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
        }
    ]


@pytest.mark.parametrize(
    ("seen", "claim", "reason", "words"),
    [
        (pod(), "Bound", ReadyReason.STARTING, "waits for the scheduler"),
        (pod(created="2027-01-15T08:01:38Z"), "Bound", ReadyReason.STARTING, ""),
        (
            pod(conditions=unschedulable("0/1 nodes: insufficient cpu")),
            "Bound",
            ReadyReason.UNSCHEDULABLE,
            "insufficient cpu",
        ),
        (
            pod(conditions=unschedulable("unbound immediate PersistentVolumeClaims")),
            "Pending",
            ReadyReason.VOLUME_PENDING,
            "Claim box-home is Pending",
        ),
        (pod(conditions=SCHEDULED), "Pending", ReadyReason.VOLUME_PENDING, "box-home"),
        (pod(conditions=SCHEDULED), "Lost", ReadyReason.VOLUME_PENDING, "Lost"),
        (
            pod(
                conditions=SCHEDULED,
                containerStatuses=[waiting("devbox", "ContainerCreating")],
            ),
            "Bound",
            ReadyReason.STARTING,
            "container devbox: ContainerCreating",
        ),
        (
            pod(
                conditions=SCHEDULED,
                containerStatuses=[{"name": "devbox", "started": True, "state": {}}],
            ),
            "Bound",
            ReadyReason.STARTING,
            "has not attached yet",
        ),
        (
            pod(
                containerStatuses=[
                    waiting("devbox", "ErrImagePull", "no such image"),
                ]
            ),
            "Bound",
            ReadyReason.IMAGE_PULL_FAILED,
            "no such image",
        ),
        (
            pod(
                initContainerStatuses=[
                    {
                        **waiting("broker", "CrashLoopBackOff", "back-off 20s restarting"),
                        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                        "restartCount": 2,
                    }
                ]
            ),
            "Bound",
            ReadyReason.OUT_OF_MEMORY,
            "Container broker was killed: it used more memory than it may",
        ),
        (
            pod(
                containerStatuses=[
                    {"name": "devbox", "restartCount": 3, "ready": False, "state": {}}
                ]
            ),
            "Bound",
            ReadyReason.CRASH_LOOP,
            "devbox",
        ),
        (
            pod(containerStatuses=[waiting("devbox", "CreateContainerConfigError", "no key")]),
            "Bound",
            ReadyReason.CRASH_LOOP,
            "no key",
        ),
        (
            pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}]),
            "Bound",
            ReadyReason.AGENT_READY,
            "",
        ),
    ],
)
def test_a_pods_state_has_one_reason(
    seen: PodSeen, claim: str, reason: ReadyReason, words: str
) -> None:
    ready = ready_of(seen, volume(claim), NOW)
    assert ready.reason is reason
    assert words in ready.detail


def test_the_kubelets_two_words_for_a_failing_pull_are_one_message() -> None:
    """It alternates between them; each change of a status would be a write."""
    error = "failed to pull image: not found"
    first = pod(containerStatuses=[waiting("devbox", "ErrImagePull", error)])
    later = pod(
        containerStatuses=[
            waiting(
                "devbox",
                "ImagePullBackOff",
                f'Back-off pulling image "agents:1": ErrImagePull: {error}',
            )
        ]
    )
    assert ready_of(first, volume(), NOW) == ready_of(later, volume(), NOW)


def whole(old: tuple[Condition, ...], ready: Ready, now: float) -> tuple[Condition, ...]:
    return conditions(
        old,
        generation=2,
        problem=None,
        ready=ready,
        suspended=Suspended(SuspendedReason.AWAKE),
        now=now,
    )


def test_every_condition_is_there_every_time() -> None:
    made = whole((), Ready(ReadyReason.STARTING), NOW)
    assert [item.type for item in made] == ["Ready", "Suspended", "Accepted"]
    assert {item.observed_generation for item in made} == {2}


def test_the_transition_time_changes_with_the_status_and_not_with_the_reason() -> None:
    first = whole((), Ready(ReadyReason.STARTING), NOW)
    later = whole(first, Ready(ReadyReason.CRASH_LOOP), NOW + 5)
    ready = whole(later, Ready(ReadyReason.AGENT_READY), NOW + 9)
    assert later[0].last_transition_time == first[0].last_transition_time
    assert (ready[0].last_transition_time - later[0].last_transition_time).seconds == 9
    assert ready[1].last_transition_time == first[1].last_transition_time


def test_a_problem_says_what_to_do_and_a_normal_state_does_not() -> None:
    problem = whole((), Ready(ReadyReason.UNSCHEDULABLE, "No node."), NOW)[0]
    normal = whole((), Ready(ReadyReason.STARTING), NOW)[0]
    assert problem.message == f"No node. {ReadyReason.UNSCHEDULABLE.action}"
    assert ReadyReason.STARTING.action not in normal.message


@pytest.mark.parametrize("reason", list(ReadyReason))
def test_only_agent_ready_is_true(reason: ReadyReason) -> None:
    made = whole((), Ready(reason), NOW)[0]
    assert (made.status == "True") is (reason is ReadyReason.AGENT_READY)
