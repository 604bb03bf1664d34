"""Idempotency keys: in memory, in the journal, in the merged index, and after their time."""

import asyncio
from pathlib import Path

from tests.harness.logs import World, check_log

from indelible.log.group import Committed, Known
from indelible.log.idempotency import EPOCH_SECONDS, MERGE_KEYS, KeyIndex, epoch_of
from indelible.model.limits import Limits
from indelible.store.sqlite import SqliteStore

DAY = 24 * 3_600


def digest(number: int) -> bytes:
    """A digest, in no order."""
    return (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big") + number.to_bytes(8, "big")


def write(store: SqliteStore, index: KeyIndex, numbers: range, now: int) -> None:
    """Commit keys as a group does: key n made event n."""
    rows = [(digest(number), number) for number in numbers]
    with store.transaction() as transaction:
        written = index.write(transaction, rows, now)
    index.committed(written, rows)


def find(store: SqliteStore, index: KeyIndex, numbers: range, now: int) -> set[int]:
    """Which keys are known, each with the event it made."""
    with store.transaction() as transaction:
        found = index.find(transaction, [digest(number) for number in numbers], now)
    assert all(first == int.from_bytes(key[8:], "big") for key, first in found.items())
    return set(found.values())


def test_a_key_is_known_wherever_it_is_kept(tmp_path: Path) -> None:
    """Through merges of many slices, and through a restart after each of them."""
    limits = Limits(idempotency_keys_in_memory=100)
    now = 1_700_000_000_000_000
    store = SqliteStore(tmp_path)
    index = KeyIndex(store, limits)
    total = range(1, 6_001)
    for start in range(1, 6_001, 300):
        write(store, index, range(start, start + 300), now)
    restarts = 0
    while len(index._recent) > 100:
        index.maintain(lambda: now)
        assert find(store, index, total, now) == set(total)
        assert len(index) == 6_000
        store.close()
        store = SqliteStore(tmp_path)
        index = KeyIndex(store, limits)
        restarts += 1
        assert find(store, index, total, now) == set(total)
        assert len(index) == 6_000
    assert restarts >= 6_000 // MERGE_KEYS
    assert find(store, index, range(6_001, 6_100), now) == set()
    store.close()


def test_a_key_lives_a_day_at_least_and_is_forgotten_in_slices(tmp_path: Path) -> None:
    """Never early; after its time the index shrinks again, a bounded number of rows at a time."""
    limits = Limits(idempotency_keys_in_memory=0, idempotency_keys=20_000)
    start = epoch_of(1_700_000_000_000_000) * EPOCH_SECONDS * 1_000_000
    store = SqliteStore(tmp_path)
    index = KeyIndex(store, limits)
    write(store, index, range(1, 5_001), start + 5)
    while index._journal:
        index.maintain(lambda: start + 5)
    late = start + 5 + DAY * 1_000_000
    assert find(store, index, range(1, 5_001), late) == set(range(1, 5_001))
    index.maintain(lambda: late)
    assert len(index) == 5_000
    gone = start + (DAY + EPOCH_SECONDS) * 1_000_000
    assert find(store, index, range(1, 5_001), gone) == set()
    rounds = 0
    while len(index):
        index.maintain(lambda: gone)
        rounds += 1
    assert rounds == 5_000 // MERGE_KEYS + 1
    assert store.key_counts() == {}
    assert index.room() == 20_000
    store.close()


def test_keys_of_real_appends_survive_merges_and_restarts(tmp_path: Path) -> None:
    """A retry is known by any path: from memory, from the journal after a restart, from the index."""

    async def work() -> None:
        limits = Limits(idempotency_keys_in_memory=3)
        world = World(tmp_path, limits)
        for life in range(4):
            world.committer.start()
            info = world.store.reader.log_by_name(1, "a") or world.add_log("a")
            for old in range(life * 5):
                assert await world.put(info, b"%d" % old, key=f"k{old}") == Known(old + 1)
            for new in range(life * 5, life * 5 + 5):
                outcome = await world.put(info, b"%d" % new, key=f"k{new}")
                assert isinstance(outcome, Committed)
            assert len(check_log(world, info)) == life * 5 + 5
            await world.stop()
            world = World(tmp_path, limits, world.hands)
        world.store.close()

    asyncio.run(work())
