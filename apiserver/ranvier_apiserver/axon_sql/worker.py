"""A process that runs users' SQL: takes a job, answers it, takes the next.

`python -m ranvier_apiserver.axon_sql.worker FOLDER JOURNAL LIMITS`, jobs on stdin, answers on
stdout. It holds nothing that a crash could lose, so the server may start and end it at will. With
no JOURNAL (an empty word) it asks the server for events, and for databases that are kept elsewhere.
"""

import contextlib
import json
import resource
import signal
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import apsw

from ranvier_apiserver.axon_sql import answers, limits, pipe, running, wire
from ranvier_apiserver.axon_sql.database import Database, ForeignFile, create
from ranvier_apiserver.axon_sql.events_table import EventsTable
from ranvier_apiserver.axon_sql.files import path_of
from ranvier_apiserver.axon_sql.limits import Limits
from ranvier_apiserver.axon_sql.pipe import Desk, OwnDesk, SharedDesk
from ranvier_apiserver.axon_sql.running import Budget, Failure
from ranvier_apiserver.axon_sql.wire import Job, Outcome, Reply
from ranvier_apiserver.errors import AxonDeleted, JournalDamaged

FIRST_VICTIM: Final = "1000"
"""When the machine runs out of memory the kernel ends a worker, never the server."""


class Worker:
    """One job at a time. `clock` in seconds from any beginning."""

    def __init__(
        self, folder: Path, desk: Desk, chosen: Limits, clock: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._desk = desk
        self._limits = chosen
        self._clock = clock
        self._deadline = 0.0
        self._open: OrderedDict[str, tuple[Database, EventsTable, float]] = OrderedDict()

    def answer(self, job: Job) -> Reply:
        """Never raises: whatever goes wrong becomes an answer, and nothing is changed then."""
        self._deadline = self._clock() + self._limits.seconds
        try:
            return Reply(Outcome.DONE, self._run(job))
        except Failure as failure:
            return Reply(failure.outcome, str(failure).encode())
        except AxonDeleted as error:
            return Reply(Outcome.AXON_DELETED, str(error).encode())
        except JournalDamaged as error:
            return Reply(Outcome.JOURNAL_DAMAGED, str(error).encode())
        except apsw.InterruptError:
            return Reply(Outcome.STOPPED, f"more than {self._limits.seconds:g} s".encode())
        except (MemoryError, apsw.NoMemError):
            self._close(job.axon_id)
            return Reply(Outcome.STOPPED, f"more than {self._limits.heap_bytes} bytes".encode())
        except (apsw.CorruptError, apsw.NotADBError, ForeignFile) as error:
            self._close(job.axon_id)
            return Reply(Outcome.FILE_DAMAGED, str(error).encode())
        except (apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, OSError) as error:
            self._close(job.axon_id)
            return Reply(Outcome.NOT_WRITTEN, str(error).encode())
        except Exception as error:
            self._close(job.axon_id)
            return Reply(Outcome.BROKEN, f"{type(error).__name__}: {error}".encode())
        finally:
            if self._desk.is_shared:
                self._close(job.axon_id)

    def close_idle(self) -> None:
        """Close databases that nobody used lately, so that deleted ones free their disk."""
        oldest = self._clock() - limits.IDLE_SECONDS_MAX
        for axon_id, (_, __, used) in list(self._open.items()):
            if used <= oldest:
                self._close(axon_id)

    def _run(self, job: Job) -> bytes:
        if job.is_batch:
            database = self._database(job, job.may_write)
            return self._transaction(database, job, writes=job.may_write)
        database = self._database(job, to_write=False)
        try:
            writes = job.may_write and not running.is_readonly(database, job.statements[0])
            if not writes or (database.is_kept and not self._desk.is_shared):
                return self._transaction(database, job, writes)
        finally:
            if not database.is_kept:
                database.close()
        return self._transaction(self._database(job, to_write=True), job, writes)

    def _transaction(self, database: Database, job: Job, writes: bool) -> bytes:
        """All of the job or nothing. A writer takes its lock first, so that it never has to yield
        to another that was faster."""
        connection = database.connection
        once = bytes.fromhex(job.once) if job.once and writes else None
        try:
            with database.ours():
                left = max(0.0, min(limits.WAIT_SECONDS_MAX, self._deadline - self._clock()))
                connection.set_busy_timeout(int(left * 1000))
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                database.look_again()
            if once is not None and (kept := answers.recall(database, once)) is not None:
                return kept
            body, wrote = self._statements(database, job)
            if wrote:
                running.check_names(database)
                if once is not None:
                    answers.keep(database, once, body, job.now_ms, self._limits)
                # What is being made durable is not killed half-way: the client would not know.
                signal.setitimer(signal.ITIMER_REAL, 0)
                with database.ours():
                    connection.execute("COMMIT")
                self._desk.keep()
            return body
        except _RolledBack as failed:
            return failed.body
        except (apsw.Error, ValueError) as error:
            raise running.explained(database, error) from error
        finally:
            if connection.in_transaction:
                with database.ours():
                    connection.execute("ROLLBACK")

    def _statements(self, database: Database, job: Job) -> tuple[bytes, bool]:
        budget = Budget(self._limits, self._clock)
        if not job.is_batch:
            result = running.run(database, job.statements[0], job.may_write, budget)
            return result.text.encode(), result.wrote
        steps: list[str] = []
        wrote = False
        for number, statement in enumerate(job.statements):
            try:
                result = running.run(database, statement, job.may_write, budget)
            except Failure as failure:
                if failure.outcome is not Outcome.SQL_ERROR:
                    raise
                steps.append(_error(str(failure)))
                left = len(job.statements) - len(steps)
                steps += [_error(running.NOT_RUN.format(number + 1))] * left
                raise _RolledBack(_batch(steps)) from failure
            steps.append(f'{{"success":{result.text}}}')
            wrote |= result.wrote
        return _batch(steps), wrote

    def _database(self, job: Job, to_write: bool) -> Database:
        """The axon's database; an empty one in memory while there is no file and none is made."""
        path = path_of(self._folder, job.axon_id)
        if self._desk.is_shared:
            self._close(job.axon_id)
        self._desk.ready(to_write)
        if job.axon_id in self._open:
            database, events, _ = self._open.pop(job.axon_id)
            self._open[job.axon_id] = (database, events, self._clock())
        else:
            if to_write and not path.exists():
                create(path)
            events = EventsTable(self._desk.events, self._tick)
            is_kept = path.exists()
            database = Database(
                path if is_kept else None, events, self._limits, self._tick, self._desk.is_shared
            )
            if is_kept:
                self._open[job.axon_id] = (database, events, self._clock())
        while len(self._open) > limits.OPEN_FILES_MAX:
            self._close(next(iter(self._open)))
        events.aim(job.axon_id, job.number)
        return database

    def _tick(self) -> None:
        if self._clock() > self._deadline:
            raise apsw.InterruptError("time is up")

    def _close(self, axon_id: str) -> None:
        if axon_id in self._open:
            # What could not be brought from the log into the file is still in the log.
            with contextlib.suppress(apsw.Error):
                self._open.pop(axon_id)[0].close()


class _RolledBack(Exception):
    """A batch of which a statement failed: its answer, and nothing else of it."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = body


def _batch(steps: list[str]) -> bytes:
    return f'{{"results":[{",".join(steps)}]}}'.encode()


def _error(message: str) -> str:
    return json.dumps({"error": {"message": message}})


def main() -> None:
    folder, journal, chosen = Path(sys.argv[1]), sys.argv[2], Limits(*json.loads(sys.argv[3]))
    confine(chosen)
    desk: Desk = OwnDesk(Path(journal)) if journal else SharedDesk(pipe.ask)
    worker = Worker(folder, desk, chosen, time.perf_counter)
    while (body := pipe.next_frame(worker.close_idle)) is not None:
        worker.close_idle()
        # The clock within is for SQLite; this one ends the process when SQLite does not look.
        signal.setitimer(signal.ITIMER_REAL, chosen.seconds + chosen.kill_grace_seconds)
        reply = worker.answer(wire.job_from(body))
        signal.setitimer(signal.ITIMER_REAL, 0)
        pipe.write(wire.reply_frame(reply))


def confine(chosen: Limits) -> None:
    """Bounds on the process that no SQL can lift."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    apsw.hard_heap_limit(chosen.heap_bytes)
    for kind, most in (
        (resource.RLIMIT_AS, limits.ADDRESS_BYTES_MAX),
        (resource.RLIMIT_FSIZE, 2 * chosen.file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    with contextlib.suppress(OSError):  # where there is no Linux it is left out
        Path("/proc/self/oom_score_adj").write_text(FIRST_VICTIM)


if __name__ == "__main__":
    main()
