"""The metrics of the commit tell of what is stored, and of nothing else."""

import asyncio
from pathlib import Path

import apsw
import pytest
from tests.harness.faults import failing_disk
from tests.harness.logs import World

from indelible import telemetry
from indelible.model.errors import Problem

COUNTS = (
    "indelible_appends_total",
    "indelible_events_total",
    "indelible_payload_bytes_total",
    "indelible_clock_clamps_total",
    "indelible_commit_groups_events_count",
    "indelible_commit_groups_events_sum",
)


def counted() -> list[float]:
    """The present values of `COUNTS`."""
    return [telemetry.REGISTRY.get_sample_value(name) or 0 for name in COUNTS]


def test_only_what_was_committed_is_counted(tmp_path: Path) -> None:
    """A group that met a full disk leaves every count as it was; one that is stored is counted once."""

    async def work() -> None:
        world = World(tmp_path)
        log, other = world.add_log("a"), world.add_log("b")
        world.committer.start()
        await world.put(log, b"1")
        world.hands.wall -= 3_600_000_000  # from now on this log's times are held back
        before = counted()
        disk.fail("write", "-wal", apsw.SQLITE_FULL)
        with pytest.raises(Problem, match="disk_full"):
            await world.put(log, b"22", b"333")
        assert counted() == before
        disk.heal()
        await asyncio.gather(world.put(log, b"22", b"333"), world.put(other, b"4"))
        assert [now - then for now, then in zip(counted(), before, strict=True)] == [2, 3, 6, 1, 1, 3]
        await world.stop()

    with failing_disk() as disk:
        asyncio.run(work())
