"""One replica acts at a time: leader election over a Kubernetes Lease.

The holder renews every 2 s. It may write only while its last renewal is at most 10 s old *by its
own monotonic clock*; it asks `require()` right before each write, in the thread that sends it.
Another replica takes the lease when it saw no change of it for 13 s by *its* clock. No clock is
compared with another machine's, so skew and jumps do no harm.

The arithmetic: a holder that hangs stops writing 10 s after its last renewal, its last write ends
at most 2.5 s later, and nobody else begins before 13 s. The others look every second, so a dead
holder is replaced at most 13 + 1 = 14 s after its last renewal. On a clean end the lease is given
back and the next one begins at its next look.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from ranvier_operator.clock import Clock
from ranvier_operator.errors import AlreadyExists, ClusterError, Conflict, NotLeading

log = logging.getLogger(__name__)

LEASE_SECONDS: Final = 15
"""Longest time without a leader after one died."""
RENEW_DEADLINE_SECONDS: Final = 10.0
"""The holder stops writing when its last renewal is older than this."""
RETRY_SECONDS: Final = 2.0
"""How often the holder renews."""
STANDBY_SECONDS: Final = 1.0
"""How often the others look: after a clean end one of them begins within this."""
TAKEOVER_SECONDS: Final = LEASE_SECONDS - RETRY_SECONDS
"""How long a replica must have seen no change before it takes the lease."""
WRITE_SECONDS_MAX: Final = 2.5
"""Longest time that a write may take; RENEW_DEADLINE + this stays below TAKEOVER."""


class Leases(Protocol):
    """The part of the cluster that the election needs. Bodies are Lease objects as JSON."""

    async def get_lease(self, namespace: str, name: str) -> dict[str, Any] | None: ...

    async def create_lease(self, body: dict[str, Any]) -> dict[str, Any]:
        """Raises AlreadyExists."""
        ...

    async def replace_lease(self, body: dict[str, Any]) -> dict[str, Any]:
        """Raises Conflict when `metadata.resourceVersion` is not the present one."""
        ...


@dataclass(frozen=True, slots=True)
class _Observed:
    """The lease as last seen, and when (monotonic) this version of it was first seen."""

    version: str
    since: float


class Election:
    """Holds the lease or waits for it. `gained` and `lost` tell the rest of the operator.

    `lost` is awaited and answers whether all writes have ended: only then the lease is given back.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        namespace: str,
        name: str,
        identity: str,
        clock: Clock,
        gained: Callable[[], None],
        lost: Callable[[], Awaitable[bool]],
    ) -> None:
        self._leases = leases
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._gained = gained
        self._lost = lost
        self._renewed_at: float | None = None
        self._lease: dict[str, Any] = {}
        self._observed: _Observed | None = None

    @property
    def leading(self) -> bool:
        """Whether this replica may write now. Safe to ask from any thread."""
        renewed_at = self._renewed_at
        return (
            renewed_at is not None
            and self._clock.monotonic() - renewed_at <= RENEW_DEADLINE_SECONDS
        )

    def require(self) -> None:
        """Raises NotLeading unless this replica may write now."""
        if not self.leading:
            raise NotLeading("the lease is not held; another replica acts")

    async def step(self) -> float:
        """Renew the lease, or see whether it is free. Returns seconds until the next step."""
        try:
            return await (self._stand() if self._renewed_at is None else self._renew())
        except ClusterError as error:
            log.warning("lease %s/%s: %s", self._namespace, self._name, error)
            await self._step_down_if_stale()
            return RETRY_SECONDS

    async def release(self) -> None:
        """Clean end: stop writing, then give the lease back so that another replica begins at
        once."""
        if self._renewed_at is None:
            return
        self._renewed_at = None
        if not await self._lost():
            log.warning("writes did not end in time; the lease runs out by itself")
            return
        try:
            await self._leases.replace_lease(self._body(holder="", base=self._lease))
        except ClusterError as error:
            log.warning("the lease could not be given back and runs out by itself: %s", error)

    # --- as holder

    async def _renew(self) -> float:
        asked_at = self._clock.monotonic()
        try:
            self._lease = await self._leases.replace_lease(
                self._body(holder=self._identity, base=self._lease)
            )
        except Conflict:
            await self._look_after_conflict()
            return RETRY_SECONDS
        self._renewed_at = asked_at
        return RETRY_SECONDS

    async def _look_after_conflict(self) -> None:
        """Somebody wrote the lease: a user's annotation is harmless, another holder is not."""
        lease = await self._leases.get_lease(self._namespace, self._name)
        if lease is not None and _holder(lease) == self._identity:
            self._lease = lease
            return
        await self._step_down("the lease was taken over")

    async def _step_down_if_stale(self) -> None:
        if self._renewed_at is not None and not self.leading:
            await self._step_down("the lease could not be renewed in time")

    async def _step_down(self, why: str) -> None:
        log.warning("no longer leading: %s", why)
        self._renewed_at = None
        self._observed = None
        await self._lost()

    # --- as candidate

    async def _stand(self) -> float:
        lease = await self._leases.get_lease(self._namespace, self._name)
        now = self._clock.monotonic()
        if lease is None:
            await self._take(None)
            return STANDBY_SECONDS
        version = str(lease["metadata"].get("resourceVersion", ""))
        if self._observed is None or self._observed.version != version:
            self._observed = _Observed(version, now)
        free_in = self._observed.since + TAKEOVER_SECONDS - now
        if _holder(lease) and free_in > 0:
            return min(STANDBY_SECONDS, free_in)
        await self._take(lease)
        return STANDBY_SECONDS

    async def _take(self, lease: dict[str, Any] | None) -> None:
        asked_at = self._clock.monotonic()
        try:
            if lease is None:
                taken = await self._leases.create_lease(self._body(holder=self._identity))
            else:
                taken = await self._leases.replace_lease(
                    self._body(holder=self._identity, base=lease)
                )
        except (AlreadyExists, Conflict):
            return  # another replica was faster
        self._lease = taken
        self._renewed_at = asked_at
        log.info("leading as %s", self._identity)
        self._gained()

    def _body(self, *, holder: str, base: dict[str, Any] | None = None) -> dict[str, Any]:
        """A Lease object: times for people, the version for the API server to compare."""
        old = (base or {}).get("spec", {})
        now = datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        changed = old.get("holderIdentity") != holder
        metadata: dict[str, Any] = {"namespace": self._namespace, "name": self._name}
        if base is not None:
            metadata = base["metadata"]
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": LEASE_SECONDS,
                "acquireTime": now if changed else old.get("acquireTime", now),
                "renewTime": now,
                "leaseTransitions": int(old.get("leaseTransitions", 0))
                + (1 if changed and holder else 0),
            },
        }


def _holder(lease: dict[str, Any]) -> str:
    return str(lease.get("spec", {}).get("holderIdentity") or "")
