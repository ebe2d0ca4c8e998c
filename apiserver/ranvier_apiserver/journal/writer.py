"""The one writer: commits whatever queued while the last sync ran (group commit), on a thread.

No timer: a lone publish is written at once, a crowd shares one sync. While the disk is quick,
publishes are not even handed to the thread: the event loop commits what it has just read. Results
reach it only after COMMIT, once per batch, in the order of the commits.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ranvier_apiserver.clock import Clock
from ranvier_apiserver.errors import JournalFailed, RanvierError
from ranvier_apiserver.journal import views
from ranvier_apiserver.journal.backlog import Backlog, Job, Then
from ranvier_apiserver.journal.base import Draft
from ranvier_apiserver.journal.commands import Command
from ranvier_apiserver.journal.engine import Engine, EngineError, LockHeld
from ranvier_apiserver.journal.pace import Pace
from ranvier_apiserver.journal.pulse import Pulse
from ranvier_apiserver.journal.store import Committed
from ranvier_apiserver.state import Axon, Wake

HERE_EVENTS_MAX: Final = 128
HERE_BYTES_MAX: Final = 512 * 1024
"""More than so many at once take the loop too long, however quick the disk is."""

log = logging.getLogger(__name__)
T = TypeVar("T")


class Writer:
    """Owns the engine. `submit`, `hand_in` and `stop` in the event loop.

    Whoever has the turn works with the engine. The loop never waits for it: what it can not commit
    at once it leaves to the thread.
    """

    def __init__(
        self, engine: Engine, clock: Clock, on_commit: Callable[[Committed], None]
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._backlog = Backlog()
        self._turn = threading.Lock()
        self._pace = Pace()
        self._here: list[Job] = []
        """What the loop will commit as soon as it has read what came together with it."""
        self._here_events, self._here_bytes = 0, 0
        # Batches of the thread. Each is written by one thread only.
        self._worked, self._delivered = 0, 0
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
        self._backlog.expect_room(command)
        job = Job(command, then)
        if not self._may_go_here(command):
            self._backlog.put(job)
            return
        self._here.append(job)
        self._here_events += command.events
        self._here_bytes += command.size
        if len(self._here) == 1:
            self._loop.call_soon(self._commit_here)

    @property
    def waiting_events(self) -> int:
        return self._backlog.waiting_events

    def peek(self, axon_id: str) -> Axon | None:
        """The axon as last committed, if it is in memory; asks nobody, so a reader never waits."""
        return self._engine.base.axons.get(axon_id)

    def look(self) -> None:
        """Find out soon what others committed. From any thread; twice is as good as once."""
        self._backlog.look()

    def stop(self) -> None:
        """Take nothing more. What is queued is committed, then the thread ends: see `join`."""
        if not self._stopping:
            self._stopping = True
            self._leave_to_thread(self._take_here())
            self._backlog.stop()

    def join(self) -> None:
        """Blocks until the thread has ended; call it off the event loop."""
        self._thread.join()

    # --- in the event loop, while the disk is quick

    def _may_go_here(self, command: Command[Any]) -> bool:
        return (
            command.is_small
            and self._pace.is_quick
            and self._engine.is_prompt
            and self._here_events < HERE_EVENTS_MAX
            and self._here_bytes < HERE_BYTES_MAX
            and self._backlog.is_empty
        )

    def _commit_here(self) -> None:
        if not self._here:
            # A stop left them to the thread.
            return
        if not self._backlog.is_empty or not self._turn.acquire(blocking=False):
            self._leave_to_thread(self._take_here())
            return
        try:
            # What the thread committed before must be told before this. And that the engine was
            # prompt when these came in may be over.
            if self._worked != self._delivered or not self._engine.is_prompt:
                self._leave_to_thread(self._take_here())
                return
            jobs = self._take_here()
            cpu, began = time.thread_time(), time.perf_counter()
            try:
                seen = self._work(jobs, waits=False)
            except LockHeld:
                # The thread has the time to wait for it.
                self._leave_to_thread(jobs)
                return
            waited = time.perf_counter() - began - (time.thread_time() - cpu)
            self._pace.waited(waited)
        finally:
            self._turn.release()
        self._deliver(jobs, seen)

    def _take_here(self) -> list[Job]:
        jobs, self._here = self._here, []
        self._here_events, self._here_bytes = 0, 0
        return jobs

    def _leave_to_thread(self, jobs: list[Job]) -> None:
        for job in jobs:
            job.error = None
            self._backlog.put(job)

    # --- in the writer's thread

    def _run(self) -> None:
        while (batch := self._backlog.take()) is not None:
            with self._turn:
                seen = self._work(batch, waits=True)
                self._worked += 1
                self._pace.rested()
            try:
                self._loop.call_soon_threadsafe(self._deliver_of_thread, batch, seen)
            except RuntimeError:
                # The loop is gone: nobody waits for these any more, and what is committed stays.
                return

    # --- by whoever has the turn

    def _work(self, batch: list[Job], waits: bool) -> list[Committed]:
        """Run every job on one draft and commit it. Only a failed commit fails them all.

        Returns what became visible, in its order: what other replicas did comes first. Raises
        LockHeld unless it `waits`; nothing was done then.
        """
        seen: list[Committed] = []
        try:
            if self.failure is not None:
                raise JournalFailed(self.failure)
            self.pulse.begin()
            seen += self._engine.begin(not all(job.command.reads for job in batch), waits)
            draft = Draft(self._engine.base, self._clock())
            self._run_jobs(batch, draft)
            if draft.is_empty:
                self._engine.abort()
                self.pulse.end(None)
            else:
                seen.append(self._commit(draft))
                self.pulse.end(True)
        except LockHeld:
            self._engine.abort()
            self.pulse.end(None)
            raise
        except Exception as error:
            self._engine.abort()
            self._fail(batch, error)
        return seen

    def _commit(self, draft: Draft) -> Committed:
        wakes = self._wakes(draft)
        began = time.perf_counter()
        self._engine.commit(draft)
        return Committed(
            [event for _, event, _, _ in draft.events],
            wakes,
            [a.axon_id for a in draft.axons.values() if a.deleted_at_ms is not None],
            time.perf_counter() - began,
        )

    def _run_jobs(self, batch: list[Job], draft: Draft) -> None:
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
        inbound = {event.axon_id for _, event, _, _ in draft.events if event.is_inbound}
        uids = {uid for axon_id in inbound for uid in draft.base.mounted.get(axon_id, ())}
        uids.update(uid for uid, devbox in draft.devboxes.items() if devbox is not None)
        found = (
            views.wake_of(draft, draft.devbox(uid))
            for uid in sorted(uids)
            if draft.find_devbox(uid)
        )
        return [wake for wake in found if wake is not None]

    def _fail(self, batch: list[Job], error: Exception) -> None:
        self.pulse.end(False)
        if self.failure is None and not self._engine.passes(error):
            self.failure = f"The journal stopped after an error: {error}. It must be restarted."
        if batch:
            log.error("%d commands failed: %s", len(batch), error)
        for job in batch:
            job.error = JournalFailed(f"The journal could not write: {error}. Send it again.")

    # --- in the event loop, after a commit

    def _deliver_of_thread(self, batch: list[Job], seen: list[Committed]) -> None:
        self._delivered += 1
        self._deliver(batch, seen)

    def _deliver(self, batch: list[Job], seen: list[Committed]) -> None:
        """Answers and subscribers. Subscribers first: neither waits on it."""
        for committed in seen:
            self._on_commit(committed)
        for job in batch:
            try:
                job.then(job.result, job.error)
            except Exception:
                # The others' commits are as good as this one's.
                log.exception("an answer was not given: %s", type(job.command).__name__)
