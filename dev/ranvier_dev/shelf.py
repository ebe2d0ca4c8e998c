"""Where objects lie between two runs: one SQLite file, one row an object."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ranvier_dev.kinds import SERVED, RawObject, Served
from ranvier_dev.objects import Change

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS object (
  kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID
"""


class Shelf:
    """Objects of lasting kinds; pods and leases belong to a run."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(_SCHEMA)

    def objects(self) -> Iterator[tuple[Served, RawObject]]:
        kinds = {served.kind: served for served in SERVED}
        for kind, body in self._connection.execute("SELECT kind, body FROM object"):
            yield kinds[kind], json.loads(body)

    def note(self, change: Change) -> None:
        """Keep a change."""
        if not change.served.is_lasting:
            return
        metadata = change.body["metadata"]
        place = (change.served.kind, metadata["namespace"], metadata["name"])
        if change.type == "DELETED":
            self._connection.execute(
                "DELETE FROM object WHERE (kind, namespace, name) = (?, ?, ?)", place
            )
        else:
            row = (*place, json.dumps(change.body))
            self._connection.execute("INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?)", row)

    def close(self) -> None:
        self._connection.close()
