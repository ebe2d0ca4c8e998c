"""What ended a pod or kept it from being made: from Kubernetes' many words to one reason. PURE."""

from typing import Final

from ranvier.resources import ReadyReason

from ranvier_operator.observed import Disruption, PodSeen

Trouble = tuple[ReadyReason, str]
"""A reason of the condition Ready, and its sentence."""

_NODE_GONE: Final = frozenset({"DeletionByTaintManager", "DeletionByPodGC"})
"""Reasons of a pod's condition DisruptionTarget; all others move a pod from a node that lives."""
_NODE_STOPS: Final = frozenset({"NodeLost", "NodeShutdown", "Terminated"})
_LEFT: Final = frozenset({"Evicted", "Preempting"})
"""Reasons of a failed pod's status, as the kubelet gives them."""
_DISK_WORDS: Final = ("ephemeral", "emptydir", "disk", "inodes")
_QUOTA_WORDS: Final = "exceeded quota"


def of_end(pod: PodSeen) -> Trouble:
    """Why a pod ended that Kubernetes will not start again."""
    killed = next((item.name for item in pod.containers if item.out_of_memory), None)
    if pod.disruption is not None:
        return of_disruption(pod.name, pod.disruption)
    why = pod.end_reason or next((i.last_end for i in pod.containers if i.last_end), pod.phase)
    text = f"Pod {pod.name} ended: {why.rstrip('.')}."
    word, _, message = pod.end_reason.partition(":")
    if word in _LEFT:
        is_disk = any(found in message.lower() for found in _DISK_WORDS)
        return (ReadyReason.OUT_OF_DISK if is_disk else ReadyReason.EVICTED), text
    if word in _NODE_STOPS:
        return ReadyReason.NODE_LOST, text
    if killed is not None:
        return ReadyReason.OUT_OF_MEMORY, out_of_memory(killed)
    return ReadyReason.POD_FAILED, text


def of_disruption(name: str, disruption: Disruption) -> Trouble:
    """Why Kubernetes ends a pod that could have gone on."""
    reason = ReadyReason.NODE_LOST if disruption.reason in _NODE_GONE else ReadyReason.EVICTED
    return reason, f"Pod {name} ends: {disruption.message or disruption.reason}".rstrip(".") + "."


def of_refusal(message: str) -> Trouble:
    """Why the API server would not have a pod or a claim."""
    is_quota = _QUOTA_WORDS in message.lower()
    return (ReadyReason.QUOTA_EXCEEDED if is_quota else ReadyReason.POD_REFUSED), message


def out_of_memory(container: str) -> str:
    """The sentence for a container that was killed for its memory."""
    return f"Container {container} was killed: it used more memory than it may."
