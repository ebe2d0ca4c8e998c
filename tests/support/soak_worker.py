"""A worker as a process of its own, to be killed: python soak_worker.py AXON CURSORS SEEN.

It writes down what it is called for before it does anything else, then publishes one effect.
"""

import asyncio
import os
import sys
from pathlib import Path

from ranvier.worker import EventEnvelope, FileCursors, Worker, WorkerClient

AXON, CURSORS, SEEN = sys.argv[1:]
EFFECT_SECONDS = 0.002

worker = Worker("soak", [AXON], cursors=FileCursors(Path(CURSORS)))


def note(key: str) -> None:
    with Path(SEEN).open("a") as seen:
        seen.write(f"{key}\n")
        seen.flush()
        os.fsync(seen.fileno())


@worker.on_event("soak.item")
async def on_item(event: EventEnvelope, client: WorkerClient) -> None:
    note(event.dedupe_key)
    await asyncio.sleep(EFFECT_SECONDS)
    await client.publish("soak.effect", {"number": event.payload["number"]})


worker.run()
