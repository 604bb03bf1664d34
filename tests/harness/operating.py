"""A real server over a data directory, and what operators and forgers do to one."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import httpx
from tests.harness.server import RunningServer, start_server

from indelible.operate import manifest as manifests
from indelible.operate.files import file_digest
from indelible.operate.restore import Restored, restore

PROGRAM = [sys.executable, "-m", "indelible.cli"]
NDJSON = {"content-type": "application/x-ndjson"}


def quiet(_what: str, _done: int, _of: int) -> None:
    """Show no progress."""


@contextlib.contextmanager
def serving(data: Path) -> Iterator[tuple[RunningServer, httpx.Client]]:
    """Serve a directory with keys until the block ends; the server must then end in order.

    Gives the server, and a client with its root key.
    """
    with start_server(data, root_key=None) as server:
        with server.client() as http:
            yield server, http
        assert server.stop() == 0, server.written()


def run(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of the program, with more in its environment."""
    command = [*PROGRAM, *map(str, arguments)]
    outside = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=outside)


def created(http: httpx.Client, name: str) -> str:
    """Create a log and give its path."""
    answer = http.post("/logs", json={"name": name})
    assert answer.status_code == 201, answer.text
    return f"/logs/{answer.json()['log_id']}"


def appended(http: httpx.Client, log: str, number: int) -> dict[str, Any]:
    """Append one event and give its receipt."""
    event = {
        "type": "record.updated",
        "actor": f"user_{number % 5}",
        "resource": f"r{number % 7}",
        "n": number,
    }
    answer = http.post(f"{log}/append", json=event)
    assert answer.status_code == 201, answer.text
    receipt: dict[str, Any] = answer.json()
    return receipt


def checkpoints(data: Path) -> dict[str, bytes]:
    """Every published checkpoint of a data directory or a backup, by its path."""
    root = data / "objects" / "proofs"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("checkpoint"))}


def published_size(http: httpx.Client, log: str) -> int:
    """The size in a log's checkpoint; asking for a proof of its head makes there be one of it."""
    head = http.get(log).json()["head"]["size"]
    answer = http.get(f"{log}/proof/inclusion", params={"sequence": head})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["checkpoint"].split("\n")[1])


class Original(NamedTuple):
    """A deployment that was served and stopped: 40 and 300 events, a view, everything published."""

    data: Path
    small: str
    large: str


def restored(backup: Path, data: Path, published: Path | None = None) -> Restored:
    """Restore with the original's master secret into the directory `restored` beside the backup."""
    return restore(
        backup,
        backup.parent / "restored",
        master_secret=data / "master-secret",
        published=published,
        progress=quiet,
    )


def reseal(backup: Path, secret: bytes) -> None:
    """Write a manifest that fits the files as they are: what whoever has the master secret can do."""
    manifest, _ = manifests.read_manifest(backup)
    files = {name: file_digest(backup / name) for name in manifest.files if (backup / name).exists()}
    changed = manifests.Manifest(
        manifest.deployment, manifest.software, manifest.taken, manifest.secrets, files
    )
    (backup / manifests.NAME).write_bytes(manifests.encode(changed, secret))


def change(database: Path, *statements: str) -> None:
    """Run statements on a database file."""
    connection = apsw.Connection(str(database))
    for statement in statements:
        connection.execute(statement)
    connection.close()


def flip(path: Path, at: int = -1) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def grown(data: Path, original: Original) -> None:
    """Let the original go on after a backup: one event more, published."""
    with serving(data) as (_, http):
        appended(http, original.small, 41)
        assert published_size(http, original.small) == 41
