"""The one writer: a thread that commits whatever queued while the last sync ran (group commit).

No timer: a lone publish is written at once, a crowd shares one sync. The queue before it is bounded
in events and bytes; when it is full the caller hears so at once (J8). Results reach the event loop
only after COMMIT, once per batch.
"""

import asyncio
import enum
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ranvier_apiserver.clock import Clock
from ranvier_apiserver.errors import JournalFailed, RanvierError, TooBusy
from ranvier_apiserver.journal import views
from ranvier_apiserver.journal.base import Draft
from ranvier_apiserver.journal.commands import Command
from ranvier_apiserver.journal.engine import Engine, EngineError
from ranvier_apiserver.journal.pulse import Pulse
from ranvier_apiserver.journal.store import Committed
from ranvier_apiserver.state import Axon, Wake

BATCH_EVENTS_MAX: Final = 512
BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
"""A batch ends here, so that one sync never takes long; larger ones gained nothing (measured)."""

QUEUE_EVENTS_MAX: Final = 8192
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024
"""What may wait for the disk: under a second of work, and a known amount of memory."""

log = logging.getLogger(__name__)
T = TypeVar("T")

Then = Callable[[T, Exception | None], None]
"""Takes a command's result, or the error when there is one (the result means nothing then)."""


@dataclass(slots=True, eq=False)
class _Job:
    command: Command[Any]
    then: Then[Any]
    result: Any = None
    error: Exception | None = None


class _Word(enum.Enum):
    """What else is said to the thread."""

    LOOK = enum.auto()
    STOP = enum.auto()


class Writer:
    """Owns the engine. `submit`, `hand_in` and `stop` in the event loop; the rest is its thread's.

    The queue is the interpreter's own: a lock that both threads take was measured to hold up the
    loop whenever the writer lost the interpreter while it had the lock.
    """

    def __init__(
        self, engine: Engine, clock: Clock, on_commit: Callable[[Committed], None]
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Job | _Word] = queue.SimpleQueue()
        self._kept: _Job | _Word | None = None
        """Taken from the queue, but not into the last batch."""
        # Of all jobs ever. Each is written by one thread only, so they need no lock.
        self._given, self._given_events, self._given_bytes = 0, 0, 0
        self._taken, self._taken_events, self._taken_bytes = 0, 0, 0
        self._looking = False
        self._stopping = False
        self.failure: str | None = None
        self.pulse = Pulse(time.perf_counter)
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    async def submit(self, command: Command[T]) -> T:
        """Queue it and wait for its commit. A caller that goes away does not undo it."""
        future: asyncio.Future[T] = self._loop.create_future()

        def settle(result: T, error: Exception | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.hand_in(command, settle)
        return await future

    def hand_in(self, command: Command[T], then: Then[T]) -> None:
        """Queue it; `then` is called in the event loop after its commit. Raises when it can not be
        queued, and then calls nobody."""
        if self.failure or self._stopping:
            raise JournalFailed(self.failure or "The API server is stopping; try again.")
        if self._given > self._taken and (
            self.waiting_events + command.events > QUEUE_EVENTS_MAX
            or self._given_bytes - self._taken_bytes + command.size > QUEUE_BYTES_MAX
        ):
            raise TooBusy("More events wait for the disk than may wait; send this again soon.")
        self._given += 1
        self._given_events += command.events
        self._given_bytes += command.size
        self._queue.put(_Job(command, then))

    @property
    def waiting_events(self) -> int:
        return self._given_events - self._taken_events

    def peek(self, axon_id: str) -> Axon | None:
        """The axon as last committed, if it is in memory; asks nobody, so a reader never waits."""
        return self._engine.base.axons.get(axon_id)

    def look(self) -> None:
        """Find out soon what others committed. From any thread; twice is as good as once."""
        if not self._looking:
            self._looking = True
            self._queue.put(_Word.LOOK)

    def stop(self) -> None:
        """Take nothing more. What is queued is committed, then the thread ends: see `join`."""
        if not self._stopping:
            self._stopping = True
            self._queue.put(_Word.STOP)

    def join(self) -> None:
        """Blocks until the thread has ended; call it off the event loop."""
        self._thread.join()

    # --- the writer's thread

    def _run(self) -> None:
        while (batch := self._take()) is not None:
            seen = self._work(batch)
            try:
                self._loop.call_soon_threadsafe(self._deliver, batch, seen)
            except RuntimeError:
                # The loop is gone: nobody waits for these any more, and what is committed stays.
                return

    def _take(self) -> list[_Job] | None:
        """The next batch, without jobs when there is only to look; None when stopped."""
        batch: list[_Job] = []
        events = size = 0
        item: _Job | _Word | None = self._kept or self._queue.get()
        self._kept = None
        while item is not None:
            if isinstance(item, _Job):
                events += item.command.events
                size += item.command.size
                if batch and (events > BATCH_EVENTS_MAX or size > BATCH_BYTES_MAX):
                    self._kept = item
                    break
                batch.append(item)
                self._taken_events += item.command.events
                self._taken_bytes += item.command.size
            elif item is _Word.STOP:
                self._kept = item
                break
            else:
                self._looking = False
            item = self._next()
        self._taken += len(batch)
        return None if self._kept is _Word.STOP and not batch else batch

    def _next(self) -> _Job | _Word | None:
        """What else waits, if anything."""
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return None

    def _work(self, batch: list[_Job]) -> list[Committed]:
        """Run every job on one draft and commit it. Only a failed commit fails them all.

        Returns what became visible, in its order: what other replicas did comes first.
        """
        seen: list[Committed] = []
        try:
            if self.failure is not None:
                raise JournalFailed(self.failure)
            self.pulse.begin()
            seen += self._engine.begin(not all(job.command.reads for job in batch))
            draft = Draft(self._engine.base, self._clock())
            self._run_jobs(batch, draft)
            if draft.is_empty:
                self._engine.abort()
                self.pulse.end(None)
            else:
                seen.append(self._commit(draft))
                self.pulse.end(True)
        except Exception as error:
            self._engine.abort()
            self._fail(batch, error)
        return seen

    def _commit(self, draft: Draft) -> Committed:
        wakes = self._wakes(draft)
        began = time.perf_counter()
        self._engine.commit(draft)
        return Committed(
            [event for _, event, _ in draft.events],
            wakes,
            [a.axon_id for a in draft.axons.values() if a.deleted_at_ms is not None],
            time.perf_counter() - began,
        )

    def _run_jobs(self, batch: list[_Job], draft: Draft) -> None:
        digests = [job.command.once for job in batch if job.command.once is not None]
        known = self._engine.known_answers(digests) if digests else {}
        for job in batch:
            mark, once = draft.mark(), job.command.once
            try:
                kept = None if once is None else draft.answers.get(once) or known.get(once)
                if kept is not None:
                    job.result = job.command.recall(kept)
                    continue
                job.result = job.command.run(draft)
                if once is not None:
                    draft.keep_answer(once, job.command.keep(job.result))
            except EngineError:
                raise
            except Exception as error:
                draft.undo_to(mark)
                if not isinstance(error, RanvierError):
                    log.exception("command failed: %s", type(job.command).__name__)
                job.error = error

    def _wakes(self, draft: Draft) -> list[Wake]:
        """Devboxes that an event of this commit wants awake."""
        inbound = {event.axon_id for _, event, _ in draft.events if event.is_inbound}
        uids = {uid for axon_id in inbound for uid in draft.base.mounted.get(axon_id, ())}
        uids.update(uid for uid, devbox in draft.devboxes.items() if devbox is not None)
        found = (
            views.wake_of(draft, draft.devbox(uid))
            for uid in sorted(uids)
            if draft.find_devbox(uid)
        )
        return [wake for wake in found if wake is not None]

    def _fail(self, batch: list[_Job], error: Exception) -> None:
        self.pulse.end(False)
        if self.failure is None and not self._engine.passes(error):
            self.failure = f"The journal stopped after an error: {error}. It must be restarted."
        if batch:
            log.error("%d commands failed: %s", len(batch), error)
        for job in batch:
            job.error = JournalFailed(f"The journal could not write: {error}. Send it again.")

    # --- the event loop

    def _deliver(self, batch: list[_Job], seen: list[Committed]) -> None:
        """Answers and subscribers, after the commit. Subscribers first: neither waits on it."""
        for committed in seen:
            self._on_commit(committed)
        for job in batch:
            try:
                job.then(job.result, job.error)
            except Exception:
                # The others' commits are as good as this one's.
                log.exception("an answer was not given: %s", type(job.command).__name__)
