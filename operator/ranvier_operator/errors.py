"""What can fail outside of this process, told apart by what the operator does about it.

- `ClusterError`: a call to the Kubernetes API failed.
  - `AlreadyExists`, `Conflict`: the world is newer than what was seen; look at it again, at once.
  - `Refused`: the request itself is not acceptable (quota, admission, permission); a person must
    change something, so it becomes a condition and is tried again slowly.
  - `ClusterUnavailable`: nobody's fault here; tried again with back-off.
- `JournalError`: a call to Ranvier's API server failed.
  - `JournalUnreachable`: no answer, or "not now"; what is stays as it is.
  - `JournalRefused`: an answer that will not change by asking again.
- `NotLeading`: this replica may not write now; another one does.

Only `cluster` and `journal` raise the first two families, always with the library's error as cause.
"""


class OperatorError(Exception):
    """Base of all errors that the operator raises itself."""


class ClusterError(OperatorError):
    """A call to the Kubernetes API failed."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class AlreadyExists(ClusterError):
    """The object to create is there already; it may belong to somebody else."""


class Conflict(ClusterError):
    """The object is not the one that was seen: another UID or another resourceVersion."""


class Refused(ClusterError):
    """The API server does not accept this request, and would not accept it again."""


class ClusterUnavailable(ClusterError):
    """No answer, too many requests, or an error of the API server's own."""


class JournalError(OperatorError):
    """A call to Ranvier's API server failed."""


class JournalUnreachable(JournalError):
    """No answer, or an answer that says "not now"."""


class JournalRefused(JournalError):
    """The journal does not accept the request; `code` is its word for why."""

    def __init__(self, message: str, *, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class NotLeading(OperatorError):
    """The lease is not held, or could not be renewed in time; nothing may be written."""
