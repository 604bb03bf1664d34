"""What reading a log costs, counted and not timed: each row once, each payload once."""

import asyncio
import builtins
from collections import Counter
from collections.abc import Sized
from pathlib import Path
from typing import Any

import pytest
from tests.harness.logs import World

from indelible.log import read
from indelible.log.read import EventReader, Span
from indelible.store.base import ChunkRow


class CountingReader:
    """Hands on to a reader, and counts the rows that it gave, by where they begin."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.rows: Counter[int] = Counter()

    def chunks(self, log: int, sequence: int, limit: int, *, reverse: bool = False) -> list[ChunkRow]:
        """See `Reader`."""
        rows: list[ChunkRow] = self._reader.chunks(log, sequence, limit, reverse=reverse)
        self.rows.update(row.first for row in rows)
        return rows


def build(path: Path, events: int) -> World:
    """A log in which each event came alone, and so is a chunk."""

    async def work() -> None:
        world = World(path)
        world.committer.start()
        log = world.add_log("a")
        for number in range(events):
            await world.put(log, b"%05d" % number)
        await world.stop()

    path.mkdir()
    asyncio.run(work())
    return World(path)


def work_of(path: Path, events: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Read a log of single appends by columns; how many lengths were taken on the way."""
    world = build(path, events)
    counting, lengths = CountingReader(world.store.reader), 0

    def counted(value: Sized) -> int:
        nonlocal lengths
        lengths += 1
        return builtins.len(value)

    with monkeypatch.context() as patched:
        patched.setattr(read, "len", counted, raising=False)
        columns = EventReader(counting).columns(1, Span(1, events), 10**9, 10**9)  # type: ignore[arg-type]  # it asks for chunks alone
    assert list(columns.payloads) == [b"%05d" % number for number in range(events)]
    assert counting.rows == Counter(range(1, events + 1)), "a chunk was read twice"
    world.store.close()
    return lengths


def test_a_log_of_single_appends_is_read_in_proportion_to_its_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four times the chunks are four times the work: no chunk, and no payload, is gone over again.

    It was the square once: the payloads so far were measured anew for each chunk.
    """
    few = work_of(tmp_path / "few", 100, monkeypatch)
    many = work_of(tmp_path / "many", 400, monkeypatch)
    assert few > 0
    assert many <= 4 * few + 40
