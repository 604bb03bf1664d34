"""The committer: what each call is told, whatever happens to the group it is in."""

import asyncio
from pathlib import Path

import pytest
from tests.harness.committing import change, codes, run, settle, world
from tests.harness.logs import WRITERS, check_log

from indelible.log.group import Committed, Known
from indelible.log.pending import Change

# ---------------------------------------------------------------------- keys and expectations


def test_calls_of_one_turn_share_one_commit(tmp_path: Path) -> None:
    """That is where the speed comes from: ten calls on three logs, one transaction."""

    async def work() -> None:
        async with world(tmp_path) as w:
            logs = [w.add_log(name) for name in ("a", "b", "c")]
            results = await settle(*(w.put(logs[i % 3], b"x%d" % i) for i in range(10)))
            assert codes(results) == ["ok"] * 10
            assert len(w.committed) == 1
            assert [len(check_log(w, log)) for log in logs] == [4, 3, 3]

    run(work())


def test_twins_in_one_group_and_later_give_one_event(tmp_path: Path) -> None:
    """The second of two equal keys is told where the first one's event is, at once or an hour later."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log, other = w.add_log("a"), w.add_log("b")
            first, twin, elsewhere = await settle(
                w.put(log, b"x", key="k"), w.put(log, b"x", key="k"), w.put(other, b"x", key="k")
            )
            assert isinstance(first, Committed)
            assert twin == Known(first.first)
            assert isinstance(elsewhere, Committed)  # a key's scope is its log
            assert await w.put(log, b"x", key="k") == Known(first.first)
            assert len(check_log(w, log)) == 1

    run(work())


def test_expectations_hold_inside_a_group(tmp_path: Path) -> None:
    """`Expected-Sequence` is compared with the head that the calls before it in the group leave."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("a")
            results = await settle(
                w.put(log, b"1", expected=0),
                w.put(log, b"2", b"3", expected=1),
                w.put(log, b"no", expected=1),
                w.put(log, b"4", expected=3),
            )
            assert codes(results) == ["ok", "ok", "sequence_mismatch", "ok"]
            assert results[2].facts["head"] == 3
            assert [payload for _, _, payload in check_log(w, log)] == [b"1", b"2", b"3", b"4"]

    run(work())


@pytest.mark.parametrize("events", [1, 3_000])
def test_a_known_key_comes_before_an_expectation(tmp_path: Path, events: int) -> None:
    """A retry repeats its header: the head has moved by its own first try, and it must not hear 409."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("a")
            payloads = [b"x%d" % i for i in range(events)]
            first = await w.put(log, *payloads, key="k", expected=0)
            again = await w.put(log, *payloads, key="k", expected=0)
            assert isinstance(first, Committed)
            assert again == Known(1)
            await w.put(log, b"after")
            assert len(check_log(w, log)) == events + 1

    run(work())


def test_a_refused_call_leaves_its_key_unused(tmp_path: Path) -> None:
    """Only successes are kept: the same key works once the expectation is right, also in one group."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("a")
            refused, taken = await settle(
                w.put(log, b"x", key="k", expected=9), w.put(log, b"x", key="k", expected=0)
            )
            assert codes([refused, taken]) == ["sequence_mismatch", "ok"]
            assert len(check_log(w, log)) == 1

    run(work())


def test_large_batches_are_whole_and_in_order_beside_small_appends(tmp_path: Path) -> None:
    """Batches laid in parts, several at once, on one log and others, with small appends between."""

    async def work() -> None:
        async with world(tmp_path, commit_group_bytes=4_000, commit_group_events=64) as w:
            log, other = w.add_log("a"), w.add_log("b")
            calls = []
            for batch in range(6):
                payloads = [b"%d.%d" % (batch, i) for i in range(150)]
                calls.append(w.put(log, *payloads, key=f"k{batch}"))
                calls.append(w.put(log, b"small%d" % batch, writer=WRITERS[1]))
                calls.append(w.put(other, b"small%d" % batch))
            results = await settle(*calls)
            assert codes(results) == ["ok"] * 18
            events = [payload for _, _, payload in check_log(w, log)]
            assert len(events) == 6 * 151
            for at, result in enumerate(results):
                if at % 3 == 0:
                    batch = at // 3
                    part = events[result.first - 1 : result.first + 149]
                    assert part == [b"%d.%d" % (batch, i) for i in range(150)]
            assert len(check_log(w, other)) == 6

    run(work())


# ---------------------------------------------------------------------- what may wait


def test_what_may_wait_is_bounded_and_returns_to_nothing(tmp_path: Path) -> None:
    """Past the limit, or a workspace's share, `saturated`; all is given back, whatever came of it."""

    async def work() -> None:
        async with world(tmp_path, pending_append_bytes=40_000) as w:
            mine = w.add_log("a", "mine")
            others = [w.add_log(f"o{i}", f"other{i}") for i in range(6)]
            results = await settle(*(w.put(mine, b"x" * 4_000) for _ in range(5)))
            assert codes(results) == ["ok", "ok", "saturated", "saturated", "saturated"]
            assert results[-1].facts["retry_after"] == 1
            calls = [w.put(log, b"x" * 8_000) for log in others]
            results = await settle(*calls)
            assert codes(results) == ["ok"] * 4 + ["saturated"] * 2
            results = await settle(
                w.put(mine, b"x" * 4_000, expected=77), w.put(mine, b"x"), w.put(others[0], b"x", key="k")
            )
            assert codes(results) == ["sequence_mismatch", "ok", "ok"]
            assert w.committer._waiting_bytes == 0
            assert w.committer._waiting_of == {}

    run(work())


def test_tiny_events_count_for_the_memory_that_they_hold(tmp_path: Path) -> None:
    """Ten thousand events of one byte are megabytes while they wait, not ten kilobytes."""

    async def work() -> None:
        async with world(tmp_path, pending_append_bytes=2_000_000) as w:
            logs = [w.add_log(f"l{i}", f"w{i}") for i in range(4)]
            results = await settle(*(w.put(log, *[b"x"] * 5_000) for log in logs))
            assert "saturated" in codes(results)
            assert w.committer._waiting_bytes == 0

    run(work())


def test_small_appends_behind_a_large_batch_are_counted_too(tmp_path: Path) -> None:
    """Waiting for a lane is waiting: it must not be a way around the limit."""

    async def work() -> None:
        async with world(tmp_path, pending_append_bytes=400_000, commit_group_bytes=10_000) as w:
            log = w.add_log("a")
            large = asyncio.create_task(w.put(log, *[b"x" * 1_000] * 50))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            results = await settle(*(w.put(log, b"y" * 5_000) for _ in range(40)), large)
            assert "saturated" in codes(results)
            assert "ok" in codes(results)
            assert w.committer._waiting_bytes == 0

    run(work())


def test_a_call_that_is_cancelled_is_committed_and_accounted(tmp_path: Path) -> None:
    """A client that goes away undoes nothing, and leaks nothing."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("a")
            task = asyncio.create_task(w.put(log, b"x"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await w.put(log, b"y")
            assert [payload for _, _, payload in check_log(w, log)] == [b"x", b"y"]
            assert w.committer._waiting_bytes == 0

    run(work())


def test_too_many_keys_refuse_new_keys_and_nothing_else(tmp_path: Path) -> None:
    """One tenant's keys must not stop appends without any, known ones, or changes of others."""

    async def work() -> None:
        async with world(tmp_path, idempotency_keys=2) as w:
            log, other = w.add_log("a"), w.add_log("b", "other")
            await settle(w.put(log, b"1", key="k1"))
            results = await settle(
                w.put(log, b"2", key="k2"),
                w.put(log, b"3", key="k3"),
                w.put(log, b"1", key="k1"),
                w.put(other, b"x"),
                change(w, Change(lambda _txn, _now: ("done", ()))),
            )
            assert codes(results) == ["ok", "saturated", "ok", "ok", "ok"]
            assert results[2] == Known(1)
            assert len(check_log(w, log)) == 2

    run(work())
