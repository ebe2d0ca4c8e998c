"""A private PostgreSQL server for tests: Debian's programs, a folder of its own, a unix socket.

Runs as an unprivileged user when the tests run as root, since the server refuses to be root. Where
no server is installed and none can be, the tests that need one are skipped and say so. However the
tests end, also by kill -9, no server and no folder stays behind: a guard sees to that.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
from kind.debian import can_install

READY_SECONDS = 60
SOCKET_NAME = ".s.PGSQL.5432"
INSTALL_SECONDS = 600

PATIENT = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1", "UCF_FORCE_CONFFOLD": "1"}
"""Installs without questions and without starting anything."""

NO_SYSTEM_SERVER = Path("/etc/postgresql-common/createcluster.conf")
"""Debian's package makes a database of its own and starts it at every boot, but for this."""

GUARD = """
    read -r word
    [ "$word" = removed ] && exit
    pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid"
    while [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    until rm -rf "$1" 2>/dev/null; do sleep 0.1; done  # the server's children end after it
"""
"""Waits for one word from the tests, or for their end."""


class NoPostgres(Exception):
    """This machine has no PostgreSQL server; the message says what to do."""


def find_programs() -> Path:
    """The folder with initdb and postgres. Raises NoPostgres."""
    if (found := _installed()) is not None:
        return found
    if not can_install():
        raise NoPostgres("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    _install()
    if (found := _installed()) is None:
        raise NoPostgres("Debian's package postgresql brought no server")
    return found


def _install() -> None:
    if not NO_SYSTEM_SERVER.exists():
        NO_SYSTEM_SERVER.parent.mkdir(exist_ok=True)
        NO_SYSTEM_SERVER.write_text("create_main_cluster = false\n")
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "postgresql"]):
        try:
            done = subprocess.run(
                ["apt-get", "-o", "DPkg::Lock::Timeout=120", *command],
                env={**os.environ, **PATIENT},
                capture_output=True,
                text=True,
                check=False,
                timeout=INSTALL_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise NoPostgres(f"apt-get {command[0]} took over {INSTALL_SECONDS} s") from None
        if done.returncode:
            raise NoPostgres(f"PostgreSQL could not be installed: {done.stderr.strip()[-300:]}")


def _installed() -> Path | None:
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(versions, key=lambda p: int(p.parent.parent.name.split(".")[0]))
    if newest:
        return newest[-1].parent
    program = shutil.which("initdb")
    return Path(program).resolve().parent if program else None


class PostgresServer:
    """`start` and `stop` as often as wanted; the data stays until `remove`."""

    def __init__(self, settings: Sequence[str] = ()) -> None:
        self._programs = find_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="ranvier-pg-", dir="/tmp"))
        self._settings = settings
        self._user = _unprivileged()
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self.folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        initdb = ["initdb", "--auth=trust", "--username=ranvier", "--encoding=UTF8"]
        done = self._spawn([*initdb, "--locale=C.UTF-8", "--no-sync", "-D", self._data])
        if done.wait(READY_SECONDS):
            raise RuntimeError(f"initdb failed:\n{self.log()}")

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://ranvier@/{database}?host={self.folder}"

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def start(self) -> None:
        options = ["listen_addresses=", f"unix_socket_directories={self.folder}", *self._settings]
        flags = [word for option in options for word in ("-c", option)]
        self._process = self._spawn(["postgres", "-D", self._data, *flags])
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, self.log()
                assert time.monotonic() < deadline, self.log()
                time.sleep(0.02)

    def stop(self, at_once: bool = False) -> None:
        """In order, or as a crash does it: nothing is written out any more."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            self._process.wait(READY_SECONDS)
            self._process = None

    def remove(self) -> None:
        self.stop(at_once=True)
        self._guard.communicate(b"removed\n")
        shutil.rmtree(self.folder)

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"journal{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        program = str(self._programs / command[0])
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
            )


def _unprivileged() -> pwd.struct_passwd | None:
    """Who the server runs as when we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoPostgres("there is no user postgres or nobody to run a server as")
