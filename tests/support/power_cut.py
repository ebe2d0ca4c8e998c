"""A disk that forgets what was not synced: a file layer below SQLite, and what a power cut leaves.

SQLite does its file work through a table of C functions. `Disk.installed` puts functions of ours
into that table for every file that this process opens: they do what the original does and write
down each write, truncation and sync, in order. `Disk.cut` then makes the folder that a power cut
after so many operations leaves behind. What was synced is whole. Of what came after the last sync
of a file any part may be there, in any order, torn between sectors; where a file grew without a
sync the new part may hold anything.
"""

import _sqlite3
import ctypes
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p, cast
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
"""The most that a disk surely writes whole or not at all."""

SHARED_MEMORY = "-shm"
"""What SQLite maps for its processes; made anew after a restart."""

_OK = 0

_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_Write = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)


class _Methods(Structure):
    """`sqlite3_io_methods`, as far as anything here is replaced, and room for the rest."""

    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("rest", c_void_p * 13),
    )


class _File(Structure):
    """`sqlite3_file`: every file begins with its table."""

    _fields_ = (("methods", POINTER(_Methods)),)


class _Vfs(Structure):
    """`sqlite3_vfs`, version 3."""

    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("path_max", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("rest", c_void_p * 14),
    )


@dataclass(frozen=True, slots=True)
class Operation:
    """A write has data; a truncation a size in place of `offset`."""

    kind: str
    name: str
    offset: int = 0
    data: bytes = b""


@dataclass
class _Kept:
    """One file while the log is walked: what is surely on the disk, and what may be."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Operation] = field(default_factory=list)
    is_named: bool = False
    """Whether its name is on the disk; a new file can vanish as a whole."""
    is_deleted: bool = False
    """It is gone, but until the folder is synced it can be there again."""


class Disk:
    """All that happened to the files of one folder since it was as `before`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = {
            file.name: file.read_bytes()
            for file in folder.iterdir()
            if not file.name.endswith(SHARED_MEMORY)
        }
        self._log: list[Operation] = []
        self._lock = threading.Lock()

    @property
    def now(self) -> int:
        """How many operations there were. What somebody was told after this many is a promise."""
        with self._lock:
            return len(self._log)

    def note(self, operation: Operation) -> None:
        with self._lock:
            self._log.append(operation)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Every SQLite file that is opened within, by whichever thread, is seen here."""
        layer = _Layer(self)
        layer.install()
        try:
            yield
        finally:
            layer.remove()

    def cut(self, after: int, target: Path, chance: random.Random) -> None:
        """Write into `target` what is left when the power fails after so many operations."""
        kept = {name: _Kept(bytearray(data), [], True) for name, data in self._before.items()}
        for operation in self._log[:after]:
            _apply(kept, operation)
        target.mkdir()
        for name, file in kept.items():
            is_certain = file.is_named and not file.is_deleted
            if is_certain or chance.random() < 0.5:
                (target / name).write_bytes(_torn(file, chance))


def _apply(kept: dict[str, _Kept], operation: Operation) -> None:
    name = operation.name
    if operation.kind == "names":
        for gone in [name for name, file in kept.items() if file.is_deleted]:
            del kept[gone]
        for file in kept.values():
            file.is_named = True
    elif operation.kind == "open":
        if name not in kept or kept[name].is_deleted:
            kept[name] = _Kept()
    elif operation.kind == "delete":
        kept[name].is_deleted = True
    elif operation.kind == "sync":
        file = kept[name]
        for earlier in file.pending:
            _change(file.durable, earlier)
        file.pending.clear()
        if not file.is_named and name.endswith(("-wal", "-journal")):
            # With the first sync of a log SQLite syncs the folder too.
            _apply(kept, Operation("names", ""))
    else:
        kept[name].pending.append(operation)


def _change(data: bytearray, operation: Operation) -> None:
    if operation.kind == "truncate":
        del data[operation.offset :]
        return
    end = operation.offset + len(operation.data)
    data.extend(bytes(max(0, end - len(data))))
    data[operation.offset : end] = operation.data


def _torn(file: _Kept, chance: random.Random) -> bytes:
    """Some of what was not synced, at the disk's whim."""
    data = bytearray(file.durable)
    likely = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])
    is_in_order = chance.random() < 0.5
    lucky = chance.randint(0, len(file.pending))
    for number, operation in enumerate(file.pending):
        if (number < lucky) if is_in_order else (chance.random() < likely):
            _change(data, operation)
        elif operation.kind == "write" and chance.random() < 0.5:
            _tear(data, operation, chance)
    return bytes(data)


def _tear(data: bytearray, operation: Operation, chance: random.Random) -> None:
    """Some sectors of one write; where the file grew, the others may hold anything."""
    start, end = operation.offset, operation.offset + len(operation.data)
    if end > len(data):
        grown = end - len(data)
        data.extend(chance.randbytes(grown) if chance.random() < 0.2 else bytes(grown))
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        if chance.random() < 0.5:
            data[start:stop] = operation.data[start - operation.offset : stop - operation.offset]
        start = stop


class _Layer:
    """The functions in SQLite's table. All but the sync do the original's work too."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._sqlite = ctypes.CDLL(_sqlite3.__file__)
        self._sqlite.sqlite3_vfs_find.restype = POINTER(_Vfs)
        self._names: dict[int, str] = {}
        self._tables: list[object] = []
        self._original = self._sqlite.sqlite3_vfs_find(None)
        original = self._original.contents
        self._open = cast(original.open, _Open)
        self._delete = cast(original.delete, _Delete)
        self._vfs = _Vfs.from_buffer_copy(original)
        self._vfs.name = b"power-cut"
        self._callbacks = (_Open(self._on_open), _Delete(self._on_delete))
        self._vfs.open, self._vfs.delete = (cast(f, c_void_p) for f in self._callbacks)

    def install(self) -> None:
        self._sqlite.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)

    def remove(self) -> None:
        self._sqlite.sqlite3_vfs_register(self._original, 1)
        self._sqlite.sqlite3_vfs_unregister(ctypes.byref(self._vfs))

    def _on_open(self, vfs: int, path: int | None, file: int, flags: int, out: int) -> int:
        # The path stays SQLite's own string, which lives as long as the file is open.
        status = self._open(vfs, path, file, flags, out)
        if status == _OK and path and self._is_ours(text := ctypes.string_at(path)):
            name = Path(text.decode()).name
            self._names[file] = name
            self._disk.note(Operation("open", name))
            self._replace(_File.from_address(file))
        return int(status)

    def _on_delete(self, vfs: int, path: bytes, sync_folder: int) -> int:
        status = int(self._delete(vfs, path, sync_folder))
        if status == _OK and self._is_ours(path):
            self._disk.note(Operation("delete", Path(path.decode()).name))
            if sync_folder:
                self._disk.note(Operation("names", ""))
        return status

    def _is_ours(self, path: bytes) -> bool:
        return Path(path.decode()).parent == self._disk.folder.resolve()

    def _replace(self, file: _File) -> None:
        table = _Methods.from_buffer_copy(file.methods.contents)
        write = cast(table.write, _Write)
        truncate = cast(table.truncate, _Truncate)

        def on_write(file: int, data: int, size: int, offset: int) -> int:
            content = ctypes.string_at(data, size)
            self._disk.note(Operation("write", self._names[file], offset, content))
            return int(write(file, data, size, offset))

        def on_truncate(file: int, size: int) -> int:
            self._disk.note(Operation("truncate", self._names[file], size))
            return int(truncate(file, size))

        def on_sync(file: int, flags: int) -> int:
            self._disk.note(Operation("sync", self._names[file]))
            return _OK

        callbacks = (_Write(on_write), _Truncate(on_truncate), _Sync(on_sync))
        table.write, table.truncate, table.sync = (cast(f, c_void_p) for f in callbacks)
        # SQLite calls these for as long as the file is open, and nobody else holds them.
        self._tables.append((table, callbacks))
        file.methods = ctypes.pointer(table)


def find_layer() -> str | None:
    """None where this Python's SQLite can be layered; else why not."""
    if getattr(_sqlite3, "__file__", None) is None:
        return "this Python has SQLite built in, where its file layer can not be reached"
    if not hasattr(ctypes.CDLL(_sqlite3.__file__), "sqlite3_vfs_find"):
        return f"SQLite {sqlite3.sqlite_version} of this Python hides its file layer"
    return None
