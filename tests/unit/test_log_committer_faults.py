"""The committer: changes of state, a disk that fails, faults of ours, and stopping."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.harness.committing import change, codes, run, settle, world
from tests.harness.faults import Disk, failing_disk
from tests.harness.logs import WRITERS, World, check_log

from indelible.log.group import Committed, Known
from indelible.log.pending import AuditEvent, Change
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.store.base import StoreFull, Transaction


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Stores of the test stand on a disk that can be made to fail."""
    with failing_disk() as shim:
        yield shim


# ---------------------------------------------------------------------- changes


def raising(error: BaseException) -> Change:
    """A change that writes, then fails."""

    def apply(transaction: Transaction, _now: int) -> tuple[None, Sequence[AuditEvent]]:
        transaction.put_meta("half", b"1")
        raise error

    return Change(apply)


@pytest.mark.parametrize(
    "error", [Problem("name_taken", "x"), KeyError("x"), ZeroDivisionError(), LookupError()]
)
def test_a_change_that_fails_undoes_itself_alone(tmp_path: Path, error: Exception) -> None:
    """Its own caller is told; appends and changes of the same group are committed."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("a")

            def good(transaction: Transaction, now: int) -> tuple[int, Sequence[AuditEvent]]:
                transaction.put_meta("good", b"1")
                return now, (AuditEvent(log.key, WRITERS[0], b"audit"),)

            results = await settle(w.put(log, b"x"), change(w, raising(error)), change(w, Change(good)))
            assert results[1] is error
            assert isinstance(results[0], Committed)
            assert w.store.reader.meta("half") is None
            assert w.store.reader.meta("good") == b"1"
            assert [payload for _, _, payload in check_log(w, log)] == [b"x", b"audit"]

    run(work())


def test_a_change_and_its_audit_event_are_one(tmp_path: Path, disk: Disk) -> None:
    """When the commit does not happen neither is there; when it does both are."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("_audit")

            def apply(transaction: Transaction, _now: int) -> tuple[None, Sequence[AuditEvent]]:
                transaction.put_meta("changed", b"1")
                return None, (AuditEvent(log.key, WRITERS[0], b"changed"),)

            disk.fail("write", "-wal", apsw.SQLITE_FULL)
            assert codes(await settle(change(w, Change(apply)))) == ["disk_full"]
            assert (w.store.reader.meta("changed"), check_log(w, log)) == (None, [])
            disk.heal()
            await change(w, Change(apply))
            assert w.store.reader.meta("changed") == b"1"
            assert len(check_log(w, log)) == 1

    run(work())


def test_a_change_may_not_write_to_a_log_that_is_refused(tmp_path: Path) -> None:
    """An `_audit` that does not match what was published takes no more events, through changes neither."""

    async def work() -> None:
        async with world(tmp_path) as w:
            audit, log = w.add_log("_audit"), w.add_log("a")
            await w.put(audit, b"1")
            w.gate.open(audit)
            w.gate._refuse(audit, "the test says so")

            def apply(transaction: Transaction, _now: int) -> tuple[None, Sequence[AuditEvent]]:
                transaction.put_meta("changed", b"1")
                return None, (AuditEvent(audit.key, WRITERS[0], b"no"),)

            results = await settle(change(w, Change(apply)), w.put(log, b"x"))
            assert codes(results) == ["log_behind_published_head", "ok"]
            assert w.store.reader.meta("changed") is None
            assert len(check_log(w, audit)) == 1

    run(work())


# ---------------------------------------------------------------------- the disk


def test_a_full_disk_refuses_the_group_and_passes(tmp_path: Path, disk: Disk) -> None:
    """507 for those of the group, nothing stored; the next group is stored; the process lives."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log, other = w.add_log("a"), w.add_log("b")
            await w.put(log, b"1", key="k1")
            disk.fail("write", "-wal", apsw.SQLITE_FULL)
            results = await settle(w.put(log, b"2", key="k2"), w.put(other, b"2"))
            assert codes(results) == ["disk_full"] * 2
            disk.heal()
            again = await w.put(log, b"2", key="k2")
            assert isinstance(again, Committed)
            assert again.first == 2
            assert not w.fatal
            assert len(check_log(w, log)) == 2
            assert w.committer._waiting_bytes == 0

    run(work())


@pytest.mark.parametrize("skip", range(0, 40, 3))
def test_a_large_batch_that_meets_a_full_disk_leaves_its_log_usable(
    tmp_path: Path, disk: Disk, skip: int
) -> None:
    """Wherever in its parts or its last commit the disk is full, the log goes on after it, and the others."""

    async def work() -> None:
        async with world(tmp_path, commit_group_bytes=20_000, commit_group_events=64) as w:
            log, other = w.add_log("a"), w.add_log("b")
            await w.put(log, b"1")
            disk.fail("write", "-wal", apsw.SQLITE_FULL, skip=skip)
            payloads = [b"x" * 400] * 150
            (result,) = await settle(w.put(log, *payloads, key="k"))
            disk.heal()
            results = await settle(w.put(log, b"2"), w.put(other, b"3"))
            assert codes(results) == ["ok", "ok"]
            again = await w.put(log, *payloads, key="k")
            assert isinstance(again, Known if codes([result]) == ["ok"] else Committed)
            assert len(check_log(w, log)) == 152
            assert w.committer._waiting_bytes == 0

    run(work())


@pytest.mark.parametrize("after", [False, True])
def test_a_broken_disk_acknowledges_nothing_and_answers_everybody(
    tmp_path: Path, disk: Disk, after: bool
) -> None:
    """Those of the group hear `commit_unknown`, all others `store_failed`; nobody waits for ever."""

    async def work() -> None:
        async with world(tmp_path, commit_group_events=2) as w:
            log, other = w.add_log("a"), w.add_log("b")
            await w.put(log, b"1")
            w.committed.clear()
            disk.fail("sync", "-wal", apsw.SQLITE_IOERR_FSYNC, after=after)
            calls = [asyncio.ensure_future(w.put(log if i % 2 else other, b"x")) for i in range(7)]
            late: list[Any] = []
            while not w.fatal:
                await asyncio.sleep(0.001)
                late.append(asyncio.ensure_future(w.put(log, b"late")))
            results = await settle(*calls)
            assert codes(results) == ["commit_unknown"] * 2 + ["store_failed"] * 5
            assert "ok" not in codes(await settle(*late))
            for _ in range(3):
                assert codes(await settle(w.put(log, b"x"))) == ["store_failed"]
            assert codes(await settle(change(w, raising(KeyError())))) == ["store_failed"]
            assert len(w.fatal) == 1
            assert w.committed == []
            assert w.heads.get(log.key).size == 1
            assert w.committer._waiting_bytes == 0

    run(work())


def test_an_unforeseen_end_of_the_thread_stops_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours in housekeeping must not leave callers waiting for a thread that is gone."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("a")

            def boom(_now: int) -> None:
                raise ZeroDivisionError

            monkeypatch.setattr(w.committer._keys, "maintain", boom)
            monkeypatch.setattr("threading.excepthook", lambda _args: None)
            first, second = await settle(w.put(log, b"1"), w.put(log, b"2"))
            assert codes([first, second]) == ["ok", "ok"]
            while w.committer._thread.is_alive():
                await asyncio.to_thread(w.committer._thread.join, 5)
            assert len(w.fatal) == 1
            assert codes(await settle(w.put(log, b"3"))) == ["store_failed"]

    run(work())


def test_a_fault_of_ours_in_a_group_is_told_and_the_next_group_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the call that it concerns: nothing of it is stored, the group's other call is, the thread lives."""

    async def work() -> None:
        async with world(tmp_path) as w:
            log = w.add_log("a")
            real: Callable[..., Any] = w.committer._keys.find
            monkeypatch.setattr(w.committer._keys, "find", lambda *_args: 1 // 0)
            assert codes(await settle(w.put(log, b"1", key="k"), w.put(log, b"2"))) == ["internal", "ok"]
            monkeypatch.setattr(w.committer._keys, "find", real)
            assert codes(await settle(w.put(log, b"1", key="k"))) == ["ok"]
            assert [payload for _, _, payload in check_log(w, log)] == [b"2", b"1"]

    run(work())


# ---------------------------------------------------------------------- stopping


def test_stop_commits_what_waits_and_refuses_what_comes(tmp_path: Path) -> None:
    """Accepted is accepted; from then on callers are sent elsewhere."""

    async def work() -> None:
        w = World(tmp_path, Limits(commit_group_events=3))
        log = w.add_log("a")
        w.committer.start()
        calls = [asyncio.ensure_future(w.put(log, b"%d" % i)) for i in range(20)]
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(w.committer.stop())
        await asyncio.sleep(0)
        assert codes(await settle(w.put(log, b"late"))) == ["stopping"]
        await stopping
        assert codes(await settle(*calls)) == ["ok"] * 20
        assert len(check_log(w, log)) == 20
        w.store.close()

    run(work())


def test_store_full_is_the_contracts_word(tmp_path: Path, disk: Disk) -> None:
    """The tests above rest on the shim: a full disk is what the engine calls so."""
    w = World(tmp_path)
    disk.fail("write", "-wal", apsw.SQLITE_FULL)

    def put() -> None:
        with w.store.transaction() as transaction:
            transaction.put_meta("a", b"1")

    with pytest.raises(StoreFull):
        put()
    w.store.close()
