"""One delivery: call the handler until it succeeds, and report it when it does not."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from ranvier.client.retries import backoff
from ranvier.journal import Journal
from ranvier.views.worker_events import EventEnvelope
from ranvier.worker.client import WorkerClient

ATTEMPTS: Final = 5
"""How often a handler is called for one event, the first time included."""

HANDLER_SECONDS: Final = 600.0
"""How long one call may take; then it has failed."""

HANDLER_FAILED: Final = "worker.handler_failed"
"""Kind of the event that reports a delivery that was given up."""

_log = logging.getLogger("ranvier.worker")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a worker is patient with its handlers."""

    attempts: int = ATTEMPTS
    handler_seconds: float = HANDLER_SECONDS


async def deliver(
    event: EventEnvelope,
    handler: Callable[[EventEnvelope, WorkerClient], Awaitable[None]],
    journal: Journal,
    worker: str,
    slots: asyncio.Semaphore,
    limits: Limits,
) -> None:
    """Return when the event is handled, or its failure stands on the axon."""
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    delivery = f"{name}\n{event.dedupe_key}"
    for attempt in range(limits.attempts):
        try:
            async with slots, asyncio.timeout(limits.handler_seconds):
                await handler(event, WorkerClient(journal, worker, delivery))
                return
        except Exception as error:
            failure = error
            _log.warning("%s failed on %s (%s)", name, event.dedupe_key, attempt + 1, exc_info=True)
        if attempt + 1 < limits.attempts:
            await asyncio.sleep(backoff(attempt, random.random()))
    await _report(event, name, failure, journal, worker, limits.attempts)


async def _report(
    event: EventEnvelope, name: str, error: Exception, journal: Journal, worker: str, attempts: int
) -> None:
    """Publish the failure, however long it takes: nothing is dropped in silence."""
    payload = {
        "worker": worker,
        "handler": name,
        "kind": event.kind,
        "sequence": event.sequence,
        "dedupe_key": event.dedupe_key,
        "attempts": attempts,
        "error": {"type": type(error).__name__, "message": str(error)},
    }
    tries = 0
    while True:
        client = WorkerClient(journal, worker, f"{HANDLER_FAILED}\n{name}\n{event.dedupe_key}")
        try:
            await client.publish(HANDLER_FAILED, payload, event.session_id)
            return
        except Exception:  # whatever the axon's client raises: it stays our duty
            _log.warning("The failure of %s can not be reported yet", name, exc_info=True)
            await asyncio.sleep(backoff(tries, random.random()))
            tries += 1
