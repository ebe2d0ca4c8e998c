"""What can go wrong between a client and its remote agent."""

from ranvier.client.errors import RanvierError


class RequestFailed(RanvierError):
    """The agent, or what stands before it, refused. `reason` is the journal's word for why."""

    def __init__(self, method: str, message: str, reason: str | None) -> None:
        super().__init__(f"{method}: {message}", "The axon's timeline tells what came before.")
        self.method = method
        self.reason = reason


class NotConnected(RanvierError):
    """The connection is closed, or was never open."""
