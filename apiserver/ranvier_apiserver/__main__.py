"""`ranvier-apiserver`: reads settings, opens the journal, serves. Wiring only."""

import asyncio
import contextlib
import gc
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from ranvier_apiserver import connections, logs, outside, serving, settings
from ranvier_apiserver.app import create_app
from ranvier_apiserver.audit_log import AuditLog
from ranvier_apiserver.auth import Authenticator, Keys
from ranvier_apiserver.axon_sql.engine import AxonSql
from ranvier_apiserver.axon_sql.homes import Home, OwnFiles
from ranvier_apiserver.clock import wall_clock_ms
from ranvier_apiserver.errors import RanvierError
from ranvier_apiserver.fleet import Fleet
from ranvier_apiserver.journal.engine import Engine
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.opening import FILE_NAME
from ranvier_apiserver.journal.sqlite_engine import SqliteEngine
from ranvier_apiserver.journal.store import Store
from ranvier_apiserver.key_file import KeyFile
from ranvier_apiserver.metrics import Metrics
from ranvier_apiserver.routes.context import Context, nobody
from ranvier_apiserver.routes.exchanges import Exchanges, audited, measured
from ranvier_apiserver.settings import Settings
from ranvier_apiserver.sidecars import Sidecars
from ranvier_apiserver.tail import Tails
from ranvier_apiserver.waker import Waker

if TYPE_CHECKING:
    from ranvier_apiserver.replicas import Replicas

SWITCH_INTERVAL_SECONDS: Final = 0.0005
"""How long a busy thread may keep the writer waiting for the interpreter; Python's own 5 ms was
measured to cut its rate to a fifth."""

GARBAGE_OBJECTS: Final = 10_000
"""Python looks for garbage after so many new objects. Requests leave hardly any, and its own 700
were measured to cost a twelfth of the time of a publish."""

TIDY_SECONDS: Final = 60.0
TIDY_PAUSE_SECONDS: Final = 0.05
"""Upkeep leaves most of the disk to those who wait for it."""

PROBE_SECONDS: Final = 2.0
"""How soon a server that could not commit is ready again."""

log = logging.getLogger("ranvier_apiserver")


def main() -> None:
    chosen = settings.parse(sys.argv[1:], os.environ)
    logs.configure(chosen.log_level)
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    gc.set_threshold(GARBAGE_OBJECTS)
    connections.allow_many_connections()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(chosen))
    except (RanvierError, OSError) as error:
        log.error("not started: %s", error)
        sys.exit(1)


async def run(chosen: Settings) -> None:
    world = outside.reach(chosen)
    trail = trail_of(chosen)
    store = await EngineStore.open(lambda: engine_of(chosen), wall_clock_ms)
    sql = AxonSql(home_of(chosen), store.axon, wall_clock_ms)
    try:
        metrics = Metrics(wall_clock_ms)
        waker = Waker(store, world.poker, chosen.poke_delay_seconds, metrics.poked)
        tails = Tails()
        metrics.observe(tails, store, trail)
        store.listen(metrics.committed)
        # Pokes before streams: a wake is the longest way.
        store.listen(waker.committed)
        store.listen(tails.committed)
        store.listen(sql.committed)
        fleet = world.fleet(store)
        replicas = replicas_of(chosen)
        sidecars, callers = Sidecars(replicas), Authenticator(keys_of(chosen), world.identities)
        context = Context(
            store,
            tails,
            waker,
            callers,
            sql,
            sidecars=sidecars,
            fleet=fleet,
            admits=replicas.admits if replicas is not None else nobody,
        )
        heard = [measured(metrics)]
        if trail is not None:
            heard.append(audited(trail, wall_clock_ms))
        app = Exchanges(create_app(context), heard)

        # What stands by now stays for good, and need not be looked at again.
        gc.collect()
        gc.freeze()

        def stop() -> None:
            tails.close()
            sidecars.close()

        async with asyncio.TaskGroup() as group:
            waking = group.create_task(waker.run())
            keeping = group.create_task(sql.run())
            tidying = group.create_task(tidy(store))
            probing = group.create_task(probe(store))
            following = group.create_task(follow(fleet))
            async with serving.aside(metrics.app(), chosen.host, chosen.metrics_port):
                await serving.serve(app, chosen.host, chosen.port, stop)
            waking.cancel()
            keeping.cancel()
            tidying.cancel()
            probing.cancel()
            following.cancel()
        if replicas is not None:
            await replicas.close()
    finally:
        await sql.close()
        await store.close()
        if trail is not None:
            trail.close()


def keys_of(chosen: Settings) -> Keys:
    if chosen.api_keys_file is None:
        return {}
    return KeyFile(chosen.api_keys_file, asyncio.get_running_loop().time)


def replicas_of(chosen: Settings) -> "Replicas | None":
    """The others on the same database, where there may be some."""
    if chosen.journal is None or not chosen.replica_address:
        return None
    from ranvier_apiserver.replicas import Replicas

    address = chosen.replica_address
    host = f"[{address}]" if ":" in address else address
    return Replicas(chosen.journal, f"http://{host}:{chosen.port}")


def trail_of(chosen: Settings) -> AuditLog | None:
    """Where writes are told of, if anywhere."""
    if chosen.audit_log is None:
        return None
    path = None if chosen.audit_log == settings.STDERR else Path(chosen.audit_log)
    return AuditLog(path, wall_clock_ms)


async def follow(fleet: Fleet | None) -> None:
    if fleet is not None:
        await fleet.run()


def engine_of(chosen: Settings) -> Engine:
    """The database of the journal, opened."""
    if chosen.journal is None:
        return SqliteEngine(chosen.data)
    # Who keeps the journal in a file does without PostgreSQL's client.
    from ranvier_apiserver.journal.postgresql.engine import PostgresEngine

    return PostgresEngine(chosen.journal)


def home_of(chosen: Settings) -> Home:
    """Where axons' SQL databases are: with the journal."""
    if chosen.journal is None:
        return OwnFiles(chosen.data / "sql", chosen.data / FILE_NAME)
    from ranvier_apiserver.axon_sql.kept.home import PostgresHome

    return PostgresHome(chosen.journal)


async def tidy(store: Store) -> None:
    """Upkeep in small steps for as long as there is some, then now and then."""
    while True:
        try:
            more = await store.tidy()
        except RanvierError as error:
            log.warning("upkeep failed, will be repeated: %s", error)
            more = False
        await asyncio.sleep(TIDY_PAUSE_SECONDS if more else TIDY_SECONDS)


async def probe(store: Store) -> None:
    """While nothing can be committed, try: whoever is not ready is not asked to publish."""
    while True:
        await asyncio.sleep(PROBE_SECONDS)
        if store.can_commit:
            continue
        with contextlib.suppress(RanvierError):
            await store.probe()
            log.info("the journal can commit again")


if __name__ == "__main__":
    main()
