"""Hears of other replicas' commits: LISTEN on a connection of its own.

A notification is only a hint. After every (re)connect, and every few seconds in any case, the
writer is asked to look, so one that got lost delays an event and loses nothing.
"""

import logging
import os
import select
import threading
from collections.abc import Callable
from typing import Final

from ranvier_apiserver.journal.engine import EngineError
from ranvier_apiserver.journal.postgresql.session import PostgresSession

CHANNEL: Final = "ranvier_journal"

LOOK_SECONDS: Final = 2.0
"""How late an event can be when its notification was lost, and how soon a server that came back is
noticed."""

log = logging.getLogger(__name__)


class Follower:
    """`own_process` is the server's number of our writer's connection, whose echo is no news."""

    def __init__(self, url: str, own_process: Callable[[], int], look: Callable[[], None]) -> None:
        self._url = url
        self._own_process = own_process
        self._look = look
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._run, name="journal-follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        os.close(self._stopped)
        self._thread.join()
        os.close(self._stop)

    def _run(self) -> None:
        while True:
            try:
                session = PostgresSession(self._url)
            except EngineError:
                # The writer says in the log that the database is away; looking finds out again.
                self._look()
                if self._sleep(None):
                    return
                continue
            try:
                session.run(f"LISTEN {CHANNEL}")
                if self._listen(session):
                    return
            except EngineError as error:
                log.warning("notifications broke off, will listen again: %s", error)
            finally:
                session.close()

    def _listen(self, session: PostgresSession) -> bool:
        """Until told to stop (True), or until the connection breaks (an EngineError)."""
        self._look()
        while not self._sleep(session.connection.fileno()):
            senders = session.notifications()
            own = self._own_process()
            if not senders or any(sender != own for sender in senders):
                self._look()
        return True

    def _sleep(self, until_readable: int | None) -> bool:
        """Wait for the socket or the time; True when told to stop."""
        # With many subscribers a socket's number is beyond what `select` takes.
        poller = select.poll()
        poller.register(self._stop, select.POLLIN)
        if until_readable is not None:
            poller.register(until_readable, select.POLLIN)
        return self._stop in dict(poller.poll(1000 * LOOK_SECONDS))
