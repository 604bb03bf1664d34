"""A real PostgreSQL for tests: one cluster a session, a database a test, and servers that a test may end.

Binaries are found where Debian puts them, or on PATH. As root, the server runs as Debian's user `postgres`,
since it refuses to run as root.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from tests.harness.postgres_versions import forget_versions, unpacked

MISSING = "needs PostgreSQL: apt-get install postgresql"
_DEBIAN = Path("/usr/lib/postgresql")
_SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "timezone": "'UTC'",
    "log_min_messages": "warning",
    "max_wal_size": "256MB",
}


def binaries() -> Path | None:
    """The folder of `initdb`, `pg_ctl` and `postgres`; None where there is none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


def as_another() -> dict[str, int]:
    """How to run what refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid}


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Cluster:
    """One PostgreSQL server with a data directory of its own, on loopback."""

    def __init__(self, bin_folder: Path, **settings: str) -> None:
        # In a short folder, as a socket's path must be.
        self.folder = Path(tempfile.mkdtemp(prefix="indelible-pg-", dir="/tmp"))
        self.binaries = bin_folder
        self._data = self.folder / "data"
        self.port = free_port()
        another = as_another()
        if another:
            os.chown(self.folder, another["user"], another["group"])
        self._fill()
        lines = {
            **_SETTINGS,
            "port": str(self.port),
            "unix_socket_directories": f"'{self.folder}'",
            **settings,
        }
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in lines.items())
        self.start()

    def _fill(self) -> None:
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run("initdb", "-D", str(self._data), *options)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self.binaries / program), *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            cwd="/",
            timeout=120,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            **as_another(),  # type: ignore[call-overload]  # subprocess's own keywords
        )

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self._data), "-l", log, "-w", "-t", "60", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends sessions, `immediate` is a crash."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "-t", "60", "stop")

    def remove(self) -> None:
        """Stop it, and remove its folder."""
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres", *, user: str = "postgres", port: int | None = None) -> str:
        """Where a database is found."""
        return f"postgres://{user}@127.0.0.1:{port or self.port}/{database}"

    def create(self) -> str:
        """A fresh database; returns its URL."""
        name = f"t{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def run(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the superuser, and return its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []


class Standby(Cluster):
    """A copy of another cluster that follows it through a port, which may be a proxy's."""

    def __init__(self, primary: Cluster, through: int) -> None:
        self._through = through
        super().__init__(primary.binaries)

    def _fill(self) -> None:
        where = ("-h", "127.0.0.1", "-p", str(self._through), "-U", "postgres")
        self._run("pg_basebackup", "-D", str(self._data), *where, "-R", "-X", "stream", "-c", "fast")

    def promote(self) -> None:
        """Let it be the primary from now on."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "60", "promote")


_sessions: dict[int | None, Cluster] = {}


def cluster(version: int | None = None) -> Cluster:
    """The session's cluster, started at first use; the test is left out where there is no PostgreSQL.

    Of a version other than the system's where one is given.
    """
    if version not in _sessions:
        _sessions[version] = started() if version is None else Cluster(unpacked(version))
    return _sessions[version]


def started(**settings: str) -> Cluster:
    """A cluster of a test's own; the test is left out where there is no PostgreSQL."""
    found = binaries()
    if found is None:
        pytest.skip(MISSING)
    return Cluster(found, **settings)


def end_sessions() -> None:
    """Stop the session's cluster."""
    while _sessions:
        _sessions.popitem()[1].remove()
    forget_versions()


def backends(url: str, pids: Sequence[int] = ()) -> list[int]:
    """The sessions of Indelible with a database, as the server's process numbers."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'indelible'"
        ).fetchall()
    return [row[0] for row in rows if row[0] not in pids]


def sessions_of(database: str) -> list[int]:
    """All sessions with a database of the session's cluster, as process numbers."""
    with psycopg.connect(cluster().url(), autocommit=True) as connection:
        sql = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
        return [row[0] for row in connection.execute(sql, (database,)).fetchall()]


def terminate(url: str, pids: Sequence[int]) -> None:
    """End sessions from outside, and wait until they are gone."""
    with psycopg.connect(url, autocommit=True) as connection:
        for pid in pids:
            connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))


def eventually(claim: object, seconds: float = 20) -> None:
    """Wait until `claim()` is true, or fail."""
    assert callable(claim)
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not come to be true in time"
        time.sleep(0.01)
