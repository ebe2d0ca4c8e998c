"""Workers: functions called for the runtime events of axons. See docs/workers.md."""

from ranvier.views.worker_events import EventEnvelope
from ranvier.worker.client import ReservedKind, WorkerClient
from ranvier.worker.cursors import Cursor, CursorError, Cursors, FileCursors
from ranvier.worker.sql_cursors import SqlCursors
from ranvier.worker.trying import HANDLER_FAILED, Limits
from ranvier.worker.worker import Worker

__all__ = [
    "HANDLER_FAILED",
    "Cursor",
    "CursorError",
    "Cursors",
    "EventEnvelope",
    "FileCursors",
    "Limits",
    "ReservedKind",
    "SqlCursors",
    "Worker",
    "WorkerClient",
]
