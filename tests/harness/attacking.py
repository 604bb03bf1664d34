"""A deployment that was served and stopped, and what somebody with root does to its files."""

import asyncio
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import apsw
from tests.harness.logs import World
from tests.harness.operating import NDJSON, appended, created, published_size, quiet, serving

from indelible.log.publish import checkpoint_key
from indelible.model.limits import DEFAULT_LIMITS
from indelible.model.types import LogInfo
from indelible.operate.differences import Difference
from indelible.operate.fsck import fsck
from indelible.operate.sites import Site

SIZE = 600
"""Events of the log that is attacked: 3 single ones, 2 batches, and one commit of two writers' appends."""


class Victim(NamedTuple):
    """The deployment: its directory, the attacked log's number and id, and a key's id."""

    data: Path
    log: int
    log_id: str
    key_id: str

    @property
    def master(self) -> bytes:
        """The master secret."""
        return (self.data / "master-secret").read_bytes()

    @property
    def info(self) -> LogInfo:
        """The attacked log, as its row says."""
        with Site(self.data) as site:
            info = site.reader.log_by_key(self.log)
        assert info is not None
        return info

    def copy(self, to: Path) -> "Victim":
        """A copy that may be changed."""
        return self._replace(data=Path(shutil.copytree(self.data, to)))

    @property
    def checkpoint(self) -> Path:
        """The file with the log's published checkpoint."""
        return self.data / "objects" / checkpoint_key(self.info)


def served(data: Path) -> Victim:
    """Serve a deployment and stop it: two logs, two keys (one revoked), a view with a snapshot."""
    with serving(data) as (_, http):
        log, other = created(http, "acme"), created(http, "other")
        for number in range(3):
            appended(http, log, number)
            appended(http, other, number)
        for count in (250, 342):
            lines = "\n".join(json.dumps({"type": "x", "actor": f"a{n % 7}", "n": n}) for n in range(count))
            answer = http.post(f"{log}/append_batch", content=lines, headers=NDJSON)
            assert answer.status_code == 201, answer.text
        keys = [
            http.post("/keys", json={"label": label, "scopes": ["append"]}).json()
            for label in ("billing", "gone", "web")
        ]
        assert http.delete(f"/keys/{keys[1]['key_id']}").status_code == 200
        view = http.post(f"{log}/views/report", json={"builtin": "compliance-report"})
        assert view.status_code == 201, view.text
    log_id = log.removeprefix("/logs/")
    with Site(data) as site:
        info = site.reader.log_by_id(uuid.UUID(log_id).bytes)
    assert info is not None
    victim = Victim(data, info.key, log_id, keys[0]["key_id"])
    writers = [uuid.UUID(key["key_id"]).bytes for key in (keys[0], keys[2])]
    asyncio.run(append_together(victim, info, writers))
    with serving(data) as (_, http):
        assert published_size(http, log) == SIZE
        assert http.post(f"{log}/views/report/query").status_code == 200
    assert list((data / "objects" / "views").rglob("*.manifest"))
    return victim


async def append_together(victim: Victim, info: LogInfo, writers: list[bytes]) -> None:
    """One chunk with a column of writers and two idempotency keys, as simultaneous calls make it."""
    world = World(victim.data, master=victim.master)
    world.committer.start()
    await asyncio.gather(
        world.put(info, b'{"n":1}', writer=writers[0], key="k1"),
        world.put(info, b'{"n":2}', b'{"n":3}', writer=writers[1], key="k2"),
        world.put(info, b'{"n":4}', b'{"n":5}', writer=writers[0]),
    )
    await world.stop()


# ---------------------------------------------------------------------- finders


def found_by_fsck(victim: Victim, **limits: Any) -> list[Difference]:
    """What `indelible fsck` lists."""
    return fsck(victim.data, replace(DEFAULT_LIMITS, **limits), quiet)[0]


def found_at_start(victim: Victim) -> list[str]:
    """What the gate of a server that starts finds: the words for each log that it refuses."""
    with Site(victim.data) as site:
        return [mismatch.found for mismatch in site.mismatches(site.keyring())]


# ---------------------------------------------------------------------- forgers' tools


@contextmanager
def database(victim: Victim) -> Iterator[apsw.Connection]:
    """The stopped server's database, to change."""
    connection = apsw.Connection(str(victim.data / "indelible.db"))
    try:
        yield connection
    finally:
        connection.close()


def run(victim: Victim, statement: str, *values: Any) -> None:
    """Run a statement that must change something."""
    with database(victim) as connection:
        connection.execute(statement, values)
        assert connection.changes() > 0, statement


def flipped(value: Any, bit: int) -> Any:
    """A stored value with one bit changed, of the same kind."""
    if isinstance(value, int):
        return value ^ (1 << bit % 40)
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    return bytes(raw) if isinstance(value, bytes) else raw.decode(errors="replace")


def flip_cell(victim: Victim, table: str, column: str, where: str, bit: int) -> None:
    """Flip one bit of one stored value."""
    with database(victim) as connection:
        rows = connection.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchall()  # noqa: S608 - the test's own words
        ((value,),) = rows
        changed = flipped(value, bit)
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (changed,))  # noqa: S608 - same


def chunk(victim: Victim, first: int) -> str:
    """The chunk that begins at a sequence, as a condition."""
    return f"id = {victim.log << 40 | first}"
