"""COPY with other statements behind it, as one message of libpq's (`psycopg.pq`).

A commit is to be few turns with the server: at every one the thread waits for the server and then
for the interpreter. psycopg's own COPY is a statement by itself, three turns with the COMMIT behind
it; here the COPY's end, what follows it and COMMIT are one.
"""

import select
from collections.abc import Iterable, Sequence
from typing import Final

from psycopg import OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

_ESCAPES: Final = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def lines(rows: Iterable[Sequence[int | str | bytes]]) -> bytes:
    """Rows in COPY's text format (https://www.postgresql.org/docs/15/sql-copy.html)."""
    return "".join("\t".join(map(_text, row)) + "\n" for row in rows).encode()


def _text(value: int | str | bytes) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return rf"\\x{value.hex()}"
    return value.translate(_ESCAPES)


def copy_then(connection: PGconn, copy: bytes, data: bytes, statements: bytes) -> None:
    """`copy` with this data, then the statements, of which COMMIT is the last.

    Raises psycopg's errors. The server does nothing of what stands behind one that failed.
    """
    connection.send_query(b"%s; %s" % (copy, statements))
    _flush(connection)
    _expect(_results(connection), ExecStatus.COPY_IN)
    # Without its data the COPY must fail, and with it what stands behind.
    trouble = None if connection.put_copy_data(data) == 1 else b"no memory for the data"
    if connection.put_copy_end(trouble) != 1:
        raise OperationalError("no memory for the end of a COPY")
    _flush(connection)
    last = _expect(_results(connection), ExecStatus.COMMAND_OK)
    if last.command_status != b"COMMIT":
        raise OperationalError(f"the transaction ended with {last.command_status!r}")


def _expect(results: Sequence[PGresult], status: ExecStatus) -> PGresult:
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result)
    if not results or results[-1].status != status:
        raise OperationalError("the server's answer to a COPY is none")
    return results[-1]


def _results(connection: PGconn) -> list[PGresult]:
    """What the server answers to all that was sent, or up to where it waits for data."""
    found: list[PGresult] = []
    while (result := _next(connection)) is not None:
        found.append(result)
        if result.status == ExecStatus.COPY_IN:
            break
    return found


def _next(connection: PGconn) -> PGresult | None:
    while connection.is_busy():
        _wait(connection, select.POLLIN)
        connection.consume_input()
    return connection.get_result()


def _flush(connection: PGconn) -> None:
    """Send what waits to be sent; hear meanwhile, since the server may have to speak first."""
    while connection.flush():
        if _wait(connection, select.POLLIN | select.POLLOUT) != select.POLLOUT:
            connection.consume_input()


def _wait(connection: PGconn, wanted: int) -> int:
    """By `poll`: with many subscribers a socket's number is beyond what `select` takes."""
    poller = select.poll()
    poller.register(connection.socket, wanted)
    ((_, found),) = poller.poll()
    return found
