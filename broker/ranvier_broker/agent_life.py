"""The life of a mount's agent process: started, greeted, ready, gone, started again.

It holds which process is meant (`run`) and when the next thing is due. What the agent is told and
what becomes of its turn is the turn machine's affair.
"""

from enum import StrEnum

from ranvier_broker.restarts import PAUSE_MS, GiveUp, RestartAt, Restarts


class Phase(StrEnum):
    """Where the agent stands."""

    DOWN = "down"  # no process; one is started at `due_ms`
    STARTING = "starting"  # asked for
    RUNNING = "running"  # a process runs, nothing was said to it
    GREETING = "greeting"  # the codec prepares it
    READY = "ready"  # messages may be delivered
    LEAVING = "leaving"  # was told to go, is killed at `due_ms`; nothing is delivered any more
    GIVEN_UP = "given up"  # no process, and none until the pause is over


class AgentLife:
    """Phases of one mount's agent, over its processes."""

    def __init__(self) -> None:
        self.phase = Phase.DOWN
        self.run = 0
        self.due_ms: int | None = None
        self.why_given_up = ""
        self._restarts = Restarts()
        self._has_spoken = False
        self.was_ready = False
        """Whether the process at hand, or the last one, was ever ready."""
        self._try_again_ms: int | None = None

    @property
    def has_process(self) -> bool:
        """Whether there is, or will be in a moment, a process to signal."""
        return self.phase not in (Phase.DOWN, Phase.GIVEN_UP)

    def refuse(self, why: str) -> None:
        """There will never be an agent."""
        self.phase, self.why_given_up = Phase.GIVEN_UP, why

    def plan(self, at_ms: int) -> None:
        """Start a process at this moment."""
        self.phase, self.due_ms = Phase.DOWN, at_ms

    def start_due(self, now_ms: int) -> bool:
        """Whether a process is to be started now; if so, it counts as asked for."""
        if self.phase is not Phase.DOWN or self.due_ms is None or self.due_ms > now_ms:
            return False
        self.phase, self.due_ms = Phase.STARTING, None
        self._has_spoken = self.was_ready = False
        self.run += 1
        return True

    def started(self) -> None:
        """The process runs."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.RUNNING

    def ready(self) -> None:
        """The codec has prepared it."""
        if self.phase is Phase.GREETING:
            self.phase = Phase.READY
            self.was_ready = True

    def leave(self, now_ms: int, grace_ms: int) -> bool:
        """The process is to go. False when there is none, or it was told before."""
        if not self.has_process or self.phase is Phase.LEAVING:
            return False
        self.phase, self.due_ms = Phase.LEAVING, now_ms + grace_ms
        return True

    def kill_due(self, now_ms: int) -> bool:
        """Whether a process that was told to go is to be killed now; true once."""
        if self.phase is not Phase.LEAVING or self.due_ms is None or self.due_ms > now_ms:
            return False
        self.due_ms = None
        return True

    def spoke(self) -> None:
        """The agent wrote to its stdout."""
        self._has_spoken = True

    def turn_ended(self) -> None:
        """A turn came to its own end: the agent works."""
        self._restarts.works()

    def exited(self, status: int, now_ms: int) -> RestartAt | GiveUp:
        """The process is gone."""
        self.due_ms = None
        verdict = self._restarts.exited(status, has_spoken=self._has_spoken, now_ms=now_ms)
        if isinstance(verdict, RestartAt):
            self.plan(verdict.at_ms)
        else:
            self.refuse(verdict.why)
            self._try_again_ms = now_ms + PAUSE_MS
        return verdict

    def wanted(self, now_ms: int) -> None:
        """There is work for the agent: one that was given up long enough ago is tried again."""
        again_ms = self._try_again_ms
        if self.phase is Phase.GIVEN_UP and again_ms is not None and again_ms <= now_ms:
            self._restarts.try_anew()
            self._try_again_ms = None
            self.plan(now_ms)
