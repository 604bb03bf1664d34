"""Bundles of entries are made of chunks' metas: no payload is read for them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.harness.logs import World, naive_leaf

from indelible.log.prove import Prover
from indelible.log.read import EventReader, Span
from indelible.merkle.entry import decode_entry
from indelible.merkle.hashing import leaf_hash
from indelible.store.base import ChunkRow
from indelible.store.sqlite_read import SqliteReader


class Counting(SqliteReader):
    """A reader that counts the bytes of payload and meta that it reads."""

    payload_read = 0
    meta_read = 0

    def chunks(self, log: int, sequence: int, limit: int, *, reverse: bool = False) -> list[ChunkRow]:
        """Read whole chunks, and count them."""
        return self._counted(super().chunks(log, sequence, limit, reverse=reverse))

    def metas(self, log: int, first: int, last: int) -> list[ChunkRow]:
        """Read metas, and count them."""
        return self._counted(super().metas(log, first, last))

    def _counted(self, rows: list[ChunkRow]) -> list[ChunkRow]:
        self.payload_read += sum(len(row.payload) for row in rows)
        self.meta_read += sum(len(row.meta) for row in rows)
        return rows


def test_a_bundle_of_large_events_reads_their_metas_alone(tmp_path: Path) -> None:
    """One event a chunk and many: what is read is what is answered, whatever the payloads weigh."""
    sizes: Sequence[int] = (1, 40, 1, 1, 300, 7)

    async def work() -> None:
        world = World(tmp_path)
        world.committer.start()
        info = world.add_log("large")
        for number, size in enumerate(sizes):
            await world.put(info, *[b"%d" % number * 2_000] * size)
        await world.stop()
        total = sum(sizes)
        leaves = []
        world = World(tmp_path)
        for chunk in world.chunks(info):
            for at, payload in enumerate(chunk.payloads()):
                args = (chunk.first + at, chunk.time, chunk.writer(at), chunk.salt(at), payload)
                leaves.append(naive_leaf(*args))
        world.store.close()
        for span in (Span(1, 256), Span(257, total), Span(42, 42), Span(1, total)):
            reader = Counting(tmp_path / "indelible.db")
            prover = Prover(reader, EventReader(reader))
            entries = prover.entries_of(info.key, span)
            reader.close()
            assert [leaf_hash(entry) for entry in entries] == leaves[span.first - 1 : span.last]
            assert decode_entry(entries[0]).sequence == span.first
            assert reader.payload_read == 0
            assert reader.meta_read < 100 * (300 + total)
        reader = Counting(tmp_path / "indelible.db")
        with pytest.raises(LookupError):
            Prover(reader, EventReader(reader)).entries_of(info.key, Span(total, total + 1))
        reader.close()

    asyncio.run(work())
