"""Servers for the bench, each in a directory of its own: ours, PostgreSQL, and the peer on it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

POSTGRES_BINARIES = (Path("/usr/lib/postgresql/15/bin"), Path("/usr/lib/postgresql/16/bin"), Path("/usr/bin"))


class Ours(NamedTuple):
    """A running Indelible server."""

    url: str
    key: str
    pid: int
    ready_seconds: float
    data: Path

    @property
    def headers(self) -> dict[str, str]:
        """What authorises a request."""
        return {"Authorization": f"Bearer {self.key}"}

    def client(self) -> httpx.Client:
        """A client with the root key."""
        return httpx.Client(base_url=self.url, headers=self.headers, timeout=120)

    def cpu_seconds(self) -> float:
        """Processor time of the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def own_memory_bytes(self) -> int:
        """Resident memory of the process that is not shared file pages."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) << 10


@contextmanager
def ours(data: Path, database: str | None = None, *, archive: bool = False) -> Iterator[Ours]:
    """Serve `data` on a free port, with keys, as `indelible serve` does; on PostgreSQL where it is given."""
    command = [sys.executable, "-m", "indelible.cli", "serve", "--data", str(data), "--port", "0"]
    command += [] if database is None else ["--database", database]
    command += ["--archive"] if archive else []
    started = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = ""
            for line in process.stderr or ():
                if line.startswith("listening on "):
                    url = line.removeprefix("listening on ").strip()
                    break
            with httpx.Client(base_url=url) as client:
                while client.get("/readyz").status_code != httpx.codes.OK:
                    time.sleep(0.01)
            ready = time.perf_counter() - started
            yield Ours(url, (data / "root-key").read_text().strip(), process.pid, ready, data)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def postgres_binaries() -> Path | None:
    """Where `initdb` and `pg_ctl` are, or None."""
    return next((path for path in POSTGRES_BINARIES if (path / "initdb").exists()), None)


@contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """Run a PostgreSQL with its defaults, where every commit is on disk; give the URL of a database."""
    binaries = postgres_binaries()
    if binaries is None:
        raise FileNotFoundError("PostgreSQL is missing: apt-get install postgresql-15")
    directory.mkdir(parents=True)
    port, cluster = _free_port(), directory / "cluster"
    user: str | None = None
    if os.geteuid() == 0:  # initdb refuses to run as root
        user = "postgres"
        shutil.chown(directory, user)
    _run([binaries / "initdb", "-D", cluster, "-A", "trust", "-U", "bench"], user)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={directory}"
    _run([binaries / "pg_ctl", "-D", cluster, "-w", "-o", options, "-l", directory / "log", "start"], user)
    try:
        yield f"postgres://bench@127.0.0.1:{port}/postgres"
    finally:
        _run([binaries / "pg_ctl", "-D", cluster, "-w", "-m", "fast", "stop"], user)


@contextmanager
def peer(dsn: str) -> Iterator[str]:
    """Serve the peer on a database."""
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "bench.peer:app",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    with subprocess.Popen(command, env={**os.environ, "PEER_DSN": dsn}) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(200):
                try:
                    httpx.get(f"{url}/openapi.json")
                    break
                except httpx.ConnectError:
                    time.sleep(0.05)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _run(command: list[object], user: str | None) -> None:
    words = [str(word) for word in command]
    subprocess.run(words, check=True, user=user, cwd="/tmp", stdout=subprocess.DEVNULL)  # noqa: S108 - readable by all


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
