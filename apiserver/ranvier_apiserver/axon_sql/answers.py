"""First answers of requests that wrote, kept in the database that they wrote to (J4).

Answer and change are one transaction, so a retry either finds both or neither. What is kept is
bounded in number, bytes and age; the newest answer is always there.
"""

from typing import Any

import apsw

from ranvier_apiserver.axon_sql import limits
from ranvier_apiserver.axon_sql.database import Database
from ranvier_apiserver.axon_sql.limits import Limits


def recall(database: Database, digest: bytes) -> bytes | None:
    """The answer that this request got the first time."""
    with database.ours():
        found: list[Any] = database.connection.execute(
            "SELECT kept FROM rl_answer WHERE digest = ?", (digest,)
        ).fetchall()
    return None if not found else bytes(found[0][0])


def keep(database: Database, digest: bytes, answer: bytes, now_ms: int, chosen: Limits) -> None:
    """Within the transaction of what the answer tells."""
    connection = database.connection
    with database.ours():
        number, total = _newest(connection)
        connection.execute(
            "INSERT INTO rl_answer (number, digest, kept, total_bytes, created_at_ms)"
            " VALUES (?, ?, ?, ?, ?)",
            (number + 1, digest, answer, total + len(answer), now_ms),
        )
        connection.execute(
            "DELETE FROM rl_answer WHERE number <= ?"
            " AND (number <= ? OR total_bytes <= ? OR created_at_ms < ?)",
            (
                number,
                number + 1 - chosen.answers_kept,
                total + len(answer) - chosen.answer_bytes_kept,
                now_ms - limits.ANSWERS_KEPT_MS,
            ),
        )


def _newest(connection: apsw.Connection) -> tuple[int, int]:
    found: list[Any] = connection.execute(
        "SELECT number, total_bytes FROM rl_answer ORDER BY number DESC LIMIT 1"
    ).fetchall()
    return found[0] if found else (0, 0)
