"""A PostgreSQL cluster under Patroni, with etcd beside it, all on loopback: three members, one the primary.

Programs are Debian's. As root everything runs as Debian's user `postgres`, which PostgreSQL asks for. With a
switch, each member has a network of its own beside ours, and its cable can be pulled.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx
import pytest
from tests.harness.network import HERE, Switch
from tests.harness.postgres import as_another, binaries, free_port

MISSING = "needs Patroni and etcd: apt-get install patroni etcd-server postgresql"
START_SECONDS = 120
TTL_SECONDS = 20  # the least that Patroni takes: after so long without a word a primary is no longer one

# What the promises rest on stands in docs/deploy.md: synchronous, and strictly so.
_RULES: dict[str, Any] = {
    "ttl": TTL_SECONDS,
    "loop_wait": 1,
    "retry_timeout": 3,
    "synchronous_mode": True,
    "synchronous_mode_strict": True,
    "primary_start_timeout": 0,
    "master_start_timeout": 0,  # its name before version 3.0
    "postgresql": {
        "use_pg_rewind": True,
        "parameters": {"max_connections": 200, "wal_log_hints": "on", "shared_buffers": "32MB"},
    },
}


class Member(NamedTuple):
    """One PostgreSQL and its Patroni: where they answer, and the file that configures them."""

    name: str
    address: str
    port: int
    rest_port: int
    config: Path


class PatroniCluster:
    """Three members, started and ended as processes. Use as a context manager."""

    def __init__(self, switch: Switch | None = None) -> None:
        self._switch = switch
        self._here = "127.0.0.1" if switch is None else HERE
        found = binaries()
        if found is None or shutil.which("patroni") is None or shutil.which("etcd") is None:
            pytest.skip(MISSING)
        self._binaries = found
        # In a short folder, as a socket's path must be.
        self.folder = Path(tempfile.mkdtemp(prefix="indelible-pa-", dir="/tmp"))
        self._etcd_port = free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        another = as_another()
        if another:
            os.chown(self.folder, another["user"], another["group"])
        self.members = [self._configured(f"m{number}") for number in range(3)]

    def __enter__(self) -> Self:
        try:
            self._start_etcd()
            for member in self.members:
                self.start(member)
            self.settled()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        for name in list(self._processes):
            self._end(name, signal.SIGKILL)
        for member in self.members:
            self._kill_postgres(member)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ------------------------------------------------------------------ processes

    def _run(self, name: str, *command: str) -> None:
        user = as_another()
        if self._switch is not None and name != "etcd":
            another = (f"--reuid={user['user']}", f"--regid={user['group']}", "--clear-groups")
            command, user = (*self._switch.on(name), "setpriv", *another, *command), {}
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
                **user,  # type: ignore[call-overload]  # subprocess's own keywords
            )

    def _start_etcd(self) -> None:
        peer, client = (f"http://{self._here}:{port}" for port in (free_port(), self._etcd_port))
        addresses = ("--listen-client-urls", client, "--advertise-client-urls", client)
        peers = ("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer)
        self._run(
            "etcd", "etcd", "--name", "e", "--data-dir", "etcd", "--unsafe-no-fsync", *addresses, *peers,
            "--initial-cluster", f"e={peer}",
        )  # fmt: skip

    def _configured(self, name: str) -> Member:
        address = self._here if self._switch is None else self._switch.plug(name)
        member = Member(name, address, free_port(), free_port(), self.folder / f"{name}.json")
        own = self.folder / name
        config = {
            "scope": "indelible",
            "name": name,
            "restapi": _at(address, member.rest_port),
            "etcd3": {"host": f"{self._here}:{self._etcd_port}"},
            "bootstrap": {
                "dcs": _RULES,
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, "data-checksums"],
                "pg_hba": ["host all all samenet trust", "host replication all samenet trust"],
            },
            "postgresql": {
                **_at(address, member.port),
                "data_dir": str(own),
                "bin_dir": str(self._binaries),
                "pgpass": str(self.folder / f"{name}.pgpass"),
                "authentication": {
                    "superuser": {"username": "postgres"},
                    "replication": {"username": "replicator"},
                    "rewind": {"username": "postgres"},
                },
                "parameters": {"unix_socket_directories": str(self.folder)},
            },
        }
        member.config.write_text(json.dumps(config))  # YAML holds JSON
        member.config.chmod(0o644)
        return member

    def start(self, member: Member) -> None:
        """Start a member; it joins, as a standby where there is a primary."""
        self._run(member.name, "patroni", str(member.config))

    def _end(self, name: str, how: signal.Signals) -> None:
        process = self._processes.pop(name, None)
        if process is not None and process.poll() is None:
            process.send_signal(how)
            process.wait(60)

    def kill(self, member: Member, *, manager: bool) -> None:
        """End a member's PostgreSQL as a crash does; with `manager` its Patroni too, as of a lost machine."""
        if manager:
            self._end(member.name, signal.SIGKILL)
        self._kill_postgres(member)

    def pull(self, member: Member) -> None:
        """Cut a member off: it goes on, and neither hears nor is heard. With a switch only."""
        assert self._switch is not None
        self._switch.pull(member.name)

    def put_back(self, member: Member) -> None:
        """Let a member that was cut off be heard again."""
        assert self._switch is not None
        self._switch.put_back(member.name)

    def _kill_postgres(self, member: Member) -> None:
        pid_file = self.folder / member.name / "postmaster.pid"
        if pid_file.exists():
            for pid in [int(pid_file.read_text().split("\n")[0]), *_children(pid_file)]:
                _kill(pid)

    # ------------------------------------------------------------------ what it says of itself

    def roles(self) -> dict[str, str]:
        """The role of each member that answers: leader, sync_standby, replica."""
        for member in self.members:
            try:
                found = httpx.get(f"http://{member.address}:{member.rest_port}/cluster", timeout=2).json()
            except (httpx.HTTPError, ValueError):
                continue
            running = [each for each in found["members"] if each["state"] in {"running", "streaming"}]
            return {each["name"]: each["role"] for each in running}
        return {}

    def primary(self) -> Member:
        """The member that is the primary now."""
        leaders = [name for name, role in self.roles().items() if role == "leader"]
        return next(member for member in self.members if member.name in leaders)

    def settled(self) -> None:
        """Wait until all three run, one of them the primary and one a synchronous standby of it."""
        self._wait(lambda: sorted(self.roles().values()) == ["leader", "replica", "sync_standby"])

    def wait_for_another(self, than: Member) -> float:
        """Wait until another member is the primary, with a synchronous standby; gives the seconds."""
        began = time.monotonic()
        self._wait(
            lambda: (
                "sync_standby" in (roles := self.roles()).values()
                and any(role == "leader" and name != than.name for name, role in roles.items())
            )
        )
        return time.monotonic() - began

    def _wait(self, claim: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not claim():
            if time.monotonic() > deadline:
                logs = "\n".join(
                    f"{member.name}: …{(self.folder / f'{member.name}.log').read_text()[-1_500:]}"
                    for member in self.members
                )
                raise AssertionError(f"the cluster does not come to be: {self.roles()}\n{logs}")
            time.sleep(0.2)

    def url(self, database: str = "postgres") -> str:
        """Where nodes find the primary, whichever member that is."""
        hosts = ",".join(f"{member.address}:{member.port}" for member in self.members)
        return f"postgres://postgres@{hosts}/{database}?target_session_attrs=read-write"


def _at(address: str, port: int) -> dict[str, str]:
    place = f"{address}:{port}"
    return {"listen": place, "connect_address": place}


def _children(pid_file: Path) -> Iterator[int]:
    """The processes of a PostgreSQL but the first; they would end by themselves, later."""
    parent = int(pid_file.read_text().split("\n")[0])
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                yield int(path.parent.name)
        except (OSError, ValueError):
            continue


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
