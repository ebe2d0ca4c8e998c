"""A journal with something of everything in it, told by one version of the program and read by
every later one.

`python tests/support/journal_story.py` writes the story as this version stores it to
`tests/golden/journals/`, once before a migration is added. What stands there is never changed.
"""

import asyncio
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

from ranvier.events import INBOUND_ORIGINS, NewEvent, Origin
from ranvier.internal import (
    AppendEvent,
    AppendRequest,
    AttachRequest,
    AxonBinding,
    DevboxBinding,
    MountBinding,
    TurnStarted,
)
from ranvier_apiserver.event_filter import EventFilter
from ranvier_apiserver.journal import migrations
from ranvier_apiserver.journal.engine import Engine
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.opening import APPLICATION_ID, FILE_NAME
from ranvier_apiserver.journal.postgresql.engine import PostgresEngine
from ranvier_apiserver.journal.sqlite_engine import SqliteEngine
from ranvier_apiserver.journal.store import AxonQuery, Store

GOLDEN = Path(__file__).parents[1] / "golden" / "journals"
NOW_MS = 1_700_000_000_000
PAYLOADS = ["{}", '{"text": "é \\u0000 \U0001f9e0"}', "", "x" * 2000]


async def tell(store: Store) -> None:
    fixer = (await store.create_axon("fixer", {"team": "a"}, b"create")).axon_id
    for origin in (Origin.USER, Origin.EXTERNAL, Origin.AGENT):
        for number, payload in enumerate(PAYLOADS):
            once = f"{origin}-{number}".encode()
            await store.publish(fixer, NewEvent(origin, "story", "user.message", payload), once)
    gone = (await store.create_axon(None, {})).axon_id
    await store.publish(gone, NewEvent(Origin.USER, "story", "t", "{}"))
    await store.delete_axon(gone)
    binding = AxonBinding(namespace="ns", name="claimed", metadata={"k": "v"})
    claimed = (await store.bind_axon("axon-uid", binding)).axon_id
    await store.publish(claimed, NewEvent(Origin.USER, "story", "user.message", "{}"))
    mounts = [MountBinding(index=0, axon_id=claimed, protocol="acp")]
    await store.bind_devbox("box-uid", DevboxBinding(namespace="ns", name="box", mounts=mounts))
    await store.attach("box-uid", 0, AttachRequest(generation=1))
    request = AppendRequest(
        epoch=1,
        batch=1,
        events=[AppendEvent(origin=Origin.SYSTEM, event_type="turn.started", payload="{}")],
        cursor=1,
        turn_marks=[TurnStarted(turn_id="t_1", trigger=1, event_index=0)],
        state={"session": "s"},
    )
    await store.append("box-uid", 0, request)


async def check(store: Store) -> None:
    """Everything that was told is there, and the story can go on."""
    found = {axon.name: axon for axon in (await store.axons(AxonQuery(limit=10))).axons}
    fixer = found["fixer"]
    assert dict(fixer.metadata) == {"team": "a"}
    events = (await store.read_after(fixer.axon_id, 0, 100)).events
    assert [event.sequence for event in events] == list(range(1, 13))
    assert [event.payload for event in events] == PAYLOADS * 3
    assert {event.timestamp_ms for event in events} == {NOW_MS}
    for_brokers = await store.read_after(fixer.axon_id, 2, 100, EventFilter(INBOUND_ORIGINS))
    assert [event.sequence for event in for_brokers.events] == list(range(3, 9))
    again = NewEvent(Origin.USER, "story", "user.message", PAYLOADS[2])
    kept = await store.publish(fixer.axon_id, again, f"{Origin.USER}-2".encode())
    assert (kept.sequence, kept.timestamp_ms) == (3, NOW_MS)
    assert (await store.publish(fixer.axon_id, again, b"new")).sequence == 13
    (claim,) = await store.axon_bindings()
    assert claim.axon_id == found["claimed"].axon_id
    (box,) = await store.devboxes()
    (mount,) = box.mount_views
    assert (mount.epoch, mount.attached, mount.cursor) == (1, True, 1)
    assert mount.open_turn is not None
    assert mount.open_turn.turn_id == "t_1"
    answer = await store.attach("box-uid", 0, AttachRequest(generation=1))
    assert (answer.epoch, answer.cursor, answer.state) == (2, 1, {"session": "s"})
    while await store.tidy():
        pass


def restore_sqlite(text: str, folder: Path) -> None:
    """Make the journal's file from its golden text."""
    folder.mkdir(exist_ok=True)
    connection = sqlite3.connect(folder / FILE_NAME)
    connection.executescript(text)
    connection.close()


async def _told(engine: Engine) -> None:
    store = await EngineStore.open(lambda: engine, lambda: NOW_MS)
    await tell(store)
    await store.close()


def _sqlite_text(folder: Path) -> str:
    asyncio.run(_told(SqliteEngine(folder)))
    connection = sqlite3.connect(folder / FILE_NAME)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    lines = [
        f"PRAGMA page_size = {page_bytes};",
        f"PRAGMA application_id = {APPLICATION_ID};",
        f"PRAGMA user_version = {version};",
        *connection.iterdump(),
    ]
    connection.close()
    return "\n".join(lines) + "\n"


def _postgresql_text() -> str:
    from postgres_server import PostgresServer, find_programs

    server = PostgresServer()
    try:
        server.start()
        url = server.new_database()
        asyncio.run(_told(PostgresEngine(url)))
        command = [find_programs() / "pg_dump", "--inserts", "--no-owner", "--schema=ranvier", url]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    finally:
        server.remove()
    # Words to the program psql, and comments with versions of programs.
    lines = [line for line in text.splitlines() if line and not line.startswith(("\\", "--"))]
    return "\n".join(lines) + "\n"


def main() -> int:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        texts = {"sqlite": _sqlite_text(Path(folder)), "postgresql": _postgresql_text()}
    for engine, text in texts.items():
        path = GOLDEN / f"{engine}-{migrations.scripts(engine)[-1].name}.sql"
        path.write_text(text)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
