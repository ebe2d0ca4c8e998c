"""What can go wrong, named for whose it is; `problems.py` alone knows the HTTP answers.

Every message is a sentence for the person who sees it, with the next step where there is one.
"""


class RanvierError(Exception):
    """Base of all errors that reach a caller."""


class BadInput(RanvierError):
    """The caller sent something that can not be read as what the route takes."""


class InvalidField(RanvierError):
    """The body is readable, but a field's value is not allowed."""


class PayloadTooLarge(RanvierError):
    """A body or payload is larger than its limit."""


class BodyStopped(RanvierError):
    """The rest of a body did not come in time; nothing was taken."""


class Unauthenticated(RanvierError):
    """No token, or one that nobody vouches for."""


class Forbidden(RanvierError):
    """The token is good, but not for this."""


class IdentityUnavailable(RanvierError):
    """Whoever vouches for tokens can not be asked now; try again."""


class AxonNotFound(RanvierError):
    def __init__(self, axon_id: str) -> None:
        super().__init__(f"There is no axon {axon_id!r}. GET /v1/axons lists them.")


class AxonDeleted(RanvierError):
    def __init__(self, axon_id: str) -> None:
        super().__init__(f"Axon {axon_id!r} was deleted; its events are gone. Create a new axon.")


class AxonFull(RanvierError):
    """The axon holds as many bytes as an axon may (J8)."""


class HeadMoved(RanvierError):
    """The publisher expected another head (`If-Match`); nothing was appended."""

    def __init__(self, axon_id: str, expected: int, head: int) -> None:
        super().__init__(
            f"Axon {axon_id!r} ends at sequence {head}, not at {expected}. Read the events after "
            f"{expected}, decide again, and publish with the new sequence."
        )
        self.head = head


class AxonMounted(RanvierError):
    def __init__(self, axon_id: str) -> None:
        super().__init__(
            f"Axon {axon_id!r} is mounted by a devbox, whose agent would take imported events for "
            "new ones. Import into an axon of its own and mount it afterwards."
        )


class DevboxNotFound(RanvierError):
    def __init__(self, uid: str) -> None:
        super().__init__(f"Devbox {uid!r} is not registered with the journal.")


class NoCluster(RanvierError):
    """This API server was started without Kubernetes, so it has nowhere to run devboxes."""


class ClusterUnavailable(RanvierError):
    """Kubernetes does not answer now, or not as it should; try again."""


class ClusterRefused(RanvierError):
    """Kubernetes refused an object for good; the message is its own."""


class NameTaken(RanvierError):
    """An object of this name exists."""


class NotFound(RanvierError):
    """A devbox, blueprint or secret that is not there; the message names it."""


class WrongState(RanvierError):
    """The devbox is in a state in which this can not be asked of it."""


class WaitExpired(RanvierError):
    """A wait is over without its event; clients ask again."""


class NotServed(RanvierError):
    """A route of Runloop's API that this version does not have."""


class MountNotFound(RanvierError):
    def __init__(self, uid: str, index: int) -> None:
        super().__init__(f"Devbox {uid!r} has no broker mount with index {index}.")


class Fenced(RanvierError):
    """The caller was replaced: its epoch or generation is over. It must stop (T5, W3)."""


class RuleBroken(RanvierError):
    """An append breaks a rule of turns, cursors or batches (T1, T3, T4). Nothing was appended."""


class TooBusy(RanvierError):
    """A bounded queue is full; nothing was taken. The same request may be sent again."""


class SidecarAway(RanvierError):
    """The devbox's sidecar can not be asked now; the same request may be sent again."""

    def __init__(self) -> None:
        super().__init__(
            "The devbox does not answer yet: it is starting, or its sidecar is. Try again."
        )


class ExecutionNotFound(RanvierError):
    """The devbox does not know this execution, or no more."""


class StdinClosed(RanvierError):
    """The execution takes no input."""


class StdinFull(RanvierError):
    """The command does not read what was sent before; nothing was taken."""


class SidecarFailed(RanvierError):
    """The sidecar could not do it; asking again will not help."""


class SqlRefused(RanvierError):
    """A user's SQL is wrong or does what it may not; nothing was changed."""


class SqlStopped(RanvierError):
    """A user's SQL took more time or memory than it may; nothing was changed."""


class JournalDamaged(RanvierError):
    """Bytes on disk are not what was written (J7). Nothing is answered from them."""


class JournalFailed(RanvierError):
    """The journal can not write now; nothing of this request was kept."""
