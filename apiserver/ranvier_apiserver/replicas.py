"""Calls to sidecars whose line another replica holds: where it is, and handing the call on.

A sidecar dials one replica and a client reaches any. Who holds which line stands in the journal's
database, with a random word of that process; who can read it may hand calls on. A row that nobody
stands behind any more costs an attempt: the sidecar comes back within a second and replaces it.
"""

import asyncio
import contextlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import quote

import httpx
from pydantic import ValidationError
from pydantic_core import to_json
from ranvier.internal import CallAnswer

from ranvier_apiserver.journal.engine import EngineError
from ranvier_apiserver.journal.postgresql.session import PostgresSession
from ranvier_apiserver.sidecars import PATIENCE_SECONDS

CONNECT_SECONDS: Final = 2.0
"""How long to wait for another replica's connection; one that is gone refuses at once."""

CONNECTIONS_MAX: Final = 100
"""To all other replicas together; calls beyond wait for one."""

TABLE_LOCK: Final = 0x4C494E45
"""Of replicas that make the table at once ("LINE"), among the server's advisory locks."""

_TABLE: Final = f"""\
BEGIN; SELECT pg_advisory_xact_lock({TABLE_LOCK});
CREATE UNLOGGED TABLE IF NOT EXISTS sidecar_line
    (devbox_uid text PRIMARY KEY, url text NOT NULL, token text NOT NULL);
COMMIT"""
"""No part of the journal's schema: it holds who is connected now, and may be empty at any time."""

log = logging.getLogger(__name__)


class Replicas:
    """Implements `sidecars.Elsewhere`. `own_url` is where the others reach this replica."""

    def __init__(self, database: str, own_url: str) -> None:
        self._database = database
        self._own_url = own_url
        self._token = secrets.token_hex(32)
        self._session: PostgresSession | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lines")
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(PATIENCE_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            trust_env=False,
        )

    def admits(self, token: str) -> bool:
        """Whether this is the word of this process."""
        return hmac.compare_digest(token, self._token)

    async def hold(self, devbox_uid: str) -> bool:
        """This replica has the line now; False when that could not be written."""
        return await self._write(
            "INSERT INTO sidecar_line (devbox_uid, url, token) VALUES (?, ?, ?)"
            " ON CONFLICT (devbox_uid) DO UPDATE SET url = EXCLUDED.url, token = EXCLUDED.token",
            (devbox_uid, self._own_url, self._token),
        )

    async def let_go(self, devbox_uid: str) -> None:
        """It has no line any more; one that was opened elsewhere since stays."""
        await self._write(
            "DELETE FROM sidecar_line WHERE devbox_uid = ? AND token = ?",
            (devbox_uid, self._token),
        )

    async def ask(
        self, devbox_uid: str, op: str, members: Mapping[str, Any], wait_seconds: float
    ) -> CallAnswer | None:
        """The answer of a sidecar whose line is elsewhere; None when there is none now."""
        place = await self._place(devbox_uid)
        if place is None:
            return None
        url, token = place
        try:
            answer = await self._http.post(
                f"{url}/internal/v1/devboxes/{quote(devbox_uid)}/ask",
                content=to_json({"op": op, "members": members}),
                headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
                timeout=httpx.Timeout(wait_seconds + PATIENCE_SECONDS, connect=CONNECT_SECONDS),
            )
            return CallAnswer.model_validate_json(answer.content) if answer.is_success else None
        except (httpx.HTTPError, ValidationError) as error:
            log.info("the replica at %s does not answer: %r", url, error)
            return None

    async def close(self) -> None:
        await self._http.aclose()
        self._thread.shutdown()
        if self._session is not None:
            self._session.close()

    # --- the table, on one thread

    async def _place(self, devbox_uid: str) -> tuple[str, str] | None:
        found = await self._run(
            "SELECT url, token FROM sidecar_line WHERE devbox_uid = ? AND token <> ?",
            (devbox_uid, self._token),
        )
        return (str(found[0][0]), str(found[0][1])) if found else None

    async def _write(self, statement: str, values: tuple[str, ...]) -> bool:
        return await self._run(f"{statement} RETURNING devbox_uid", values) is not None

    async def _run(self, statement: str, values: tuple[str, ...]) -> list[Any] | None:
        """Its rows; None when the database is away."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._execute, statement, values)
        except EngineError as error:
            log.warning("the lines' table can not be reached: %s", error)
            return None

    def _execute(self, statement: str, values: tuple[str, ...]) -> list[Any]:
        if self._session is None or not self._session.is_open:
            self._session = PostgresSession(self._database)
            self._session.run(_TABLE)
        try:
            return self._session.execute(statement, values).fetchall()
        except EngineError:
            with contextlib.suppress(EngineError):
                self._session.close()
            raise
