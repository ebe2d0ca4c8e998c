"""A private PostgreSQL server beside what is measured, as the tests start theirs."""

import contextlib
import sys
from collections.abc import Iterator

from kind.errors import Failure

from stage.shell import ROOT

sys.path.insert(0, str(ROOT / "tests" / "support"))

from postgres_server import NoPostgres, PostgresServer


@contextlib.contextmanager
def beside() -> Iterator[str]:
    """The URL of an empty database. Raises Failure where there is no server and none can be had."""
    try:
        server = PostgresServer()
    except NoPostgres as missing:
        raise Failure(str(missing), "install it to measure the journal on it too") from missing
    try:
        server.start()
        yield server.url()
    finally:
        server.remove()
