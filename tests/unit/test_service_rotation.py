"""Rotation on a real store: who signs what from when on, what stands where, and a crash at each step."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.harness.rotating import (
    key_id,
    keys_of,
    log_of,
    published,
    put,
    rotate,
    rotated,
    signers_of,
    stored,
)
from tests.harness.services import bench

from indelible.model.clock import SYSTEM_CLOCK, Clock
from indelible.model.errors import Problem
from indelible.notes.keys import Verifier
from indelible.notes.statements import follow, open_checkpoint_with, open_statement
from indelible.store.objects import LocalObjects
from indelible.store.sqlite import SqliteStore


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine."""
    asyncio.run(work)


class Later:
    """The system's clock, some seconds ahead."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def clock(self) -> Clock:
        """As the product takes it; both hands go ahead together."""
        return Clock(
            wall_micros=lambda: SYSTEM_CLOCK.wall_micros() + int(self.seconds * 1e6),
            boot_micros=lambda: SYSTEM_CLOCK.boot_micros() + int(self.seconds * 1e6),
        )


def test_old_and_new_key_sign_together_and_then_the_new_one_alone(tmp_path: Path) -> None:
    """The head that was published stays as it was; the next ones have two lines, after the overlap one."""
    later = Later()

    async def work() -> None:
        async with bench(tmp_path, clock=later.clock(), key_overlap_seconds=100) as b:
            info = await log_of(b, "one")
            await put(b, info, 3)
            first = await published(b, info)
            made = await rotate(b, info)
            old, new = await keys_of(b, info)
            assert new == made
            assert await published(b, info) == first
            await put(b, info, 1)
            both = await published(b, info)
            later.seconds = 99
            await put(b, info, 1)
            still = await published(b, info)
            later.seconds = 101
            await put(b, info, 1)
            alone = await published(b, info)
        ids = key_id(old), key_id(new)
        assert [signers_of(note) for note in (first, both, still, alone)] == [
            [ids[0]],
            [ids[1], ids[0]],
            [ids[1], ids[0]],
            [ids[1]],
        ]
        assert (old["valid_from_size"], old["valid_to_size"], new["valid_from_size"]) == (0, 3, 4)
        assert (old["statement"], new["valid_to_size"], new["retired"]) == (None, None, None)
        history = follow(Verifier.parse(old["verifier_key"]), [new["statement"].encode()])
        for note in (first, both, still, alone):
            open_checkpoint_with(history, note)

    run(work())


def test_what_is_said_of_a_rotation_stands_in_audit_and_beside_the_checkpoint(tmp_path: Path) -> None:
    """One note in three places: `_audit`, the object store, and `keys`; it survives a restart."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            info = await log_of(b, "one")
            for _ in range(2):
                await put(b, info, 1)
                await rotate(b, info)
            keys = await keys_of(b, info)
            audits = rotated(await b.audit(b.root))
        statements = [key["statement"] for key in keys[1:]]
        assert [event["statement"] for event in audits] == statements
        assert [event["verifier_key"] for event in audits] == [key["verifier_key"] for key in keys[1:]]
        assert audits[0]["resource"] == {"type": "log", "id": str(info.log_id), "name": "one"}
        assert stored(tmp_path, info)[1] == [note.encode() for note in statements]
        assert [open_statement(note.encode()).valid_from_size for note in statements] == [2, 3]
        assert keys[0]["retired"] < keys[1]["retired"]
        async with bench(tmp_path) as b:
            assert await keys_of(b, info) == keys
            await put(b, info, 1)
            assert signers_of(await published(b, info)) == [key_id(keys[at]) for at in (2, 1, 0)]

    run(work())


def test_the_audit_log_rotates_as_any_other(tmp_path: Path) -> None:
    """What says so is an event of the same log, under a head that both keys sign."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            info = b.core.reader.log_by_name(b.root.workspace, "_audit")
            assert info is not None
            before = await published(b, info)
            made = await rotate(b, info)
            old, new = await keys_of(b, info)
            after = await published(b, info)
            assert signers_of(before) == [key_id(old)]
            assert signers_of(after) == [key_id(new), key_id(old)]
            assert len(rotated(await b.audit(b.root))) == 1
            assert made["valid_from_size"] == old["valid_to_size"] + 1

    run(work())


class Refusing(LocalObjects):
    """Objects of which some cannot be stored: a disk that is full, or a process that dies there."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.refused = ""
        self.order: list[str] = []

    def _tell(self, key: str) -> None:
        if self.refused and self.refused in key:
            raise OSError(28, "no space")
        self.order.append(key)

    def put(self, key: str, data: bytes) -> None:
        """Refuse, or store."""
        self._tell(key)
        super().put(key, data)

    def replace(self, key: str, data: bytes, seen: bytes | None) -> bool:
        """Refuse, or store."""
        self._tell(key)
        return super().replace(key, data, seen)

    def create(self, key: str, data: bytes) -> bool:
        """Refuse, or store."""
        self._tell(key)
        return super().create(key, data)


def test_nothing_is_signed_with_a_key_whose_statement_is_not_stored(tmp_path: Path) -> None:
    """A crash between the transaction and the statement: the next start stores it, then signs."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            objects = Refusing(tmp_path / "objects")
            object.__setattr__(b.core.publisher, "_objects", objects)
            info = await log_of(b, "one")
            await put(b, info, 1)
            first = await published(b, info)
            objects.refused = "/keys/"
            b.services.rotation._core = b.core._replace(objects=objects)
            await rotate(b, info)
            await put(b, info, 1)
            for _ in range(2):
                with pytest.raises(OSError, match="no space"):
                    await published(b, info)
            assert stored(tmp_path, info) == (first, [])
            assert [key for key in objects.order if str(info.log_id) in key] == [
                f"proofs/{info.log_id}/checkpoint"
            ]
        async with bench(tmp_path) as b:
            objects = Refusing(tmp_path / "objects")
            object.__setattr__(b.core.publisher, "_objects", objects)
            assert signers_of(await published(b, info)) == [
                key_id(k) for k in reversed(await keys_of(b, info))
            ]
            folder = f"proofs/{info.log_id}"
            assert objects.order == [f"{folder}/keys/1", f"{folder}/checkpoint"]

    run(work())


def test_a_rotation_that_is_not_committed_leaves_nothing(tmp_path: Path) -> None:
    """A statement that was signed and then lost is in no place, and the next one is as good."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            info = await log_of(b, "one")
            await put(b, info, 1)
            whole = b.core.committer.change

            def fails(_change: object) -> object:
                raise Problem("disk_full", "no room")

            b.core.committer.change = fails  # type: ignore[method-assign,assignment]  # the disk, at that moment
            with pytest.raises(Problem, match="disk_full"):
                await rotate(b, info)
            b.core.committer.change = whole  # type: ignore[method-assign]
            assert len(await keys_of(b, info)) == 1
            assert stored(tmp_path, info)[1] == []
            assert rotated(await b.audit(b.root)) == []
            assert (await rotate(b, info))["valid_from_size"] == 2

    run(work())


def test_rotations_at_once_follow_each_other(tmp_path: Path) -> None:
    """Five at a time, beside appends and proofs: one chain, and each head has the key of its size."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            info = await log_of(b, "one")
            notes: list[bytes] = []

            async def load() -> None:
                for _ in range(20):
                    await put(b, info, 1)
                    notes.append(await published(b, info))

            await asyncio.gather(load(), *(rotate(b, info) for _ in range(5)), load())
            keys = await keys_of(b, info)
            assert len(keys) == 6
            history = follow(
                Verifier.parse(keys[0]["verifier_key"]), [k["statement"].encode() for k in keys[1:]]
            )
            heads: dict[int, bytes] = {}
            for note in notes:
                head, _ = open_checkpoint_with(history, note)
                assert heads.setdefault(head.size, head.root) == head.root

    run(work())


def test_a_log_has_a_bounded_number_of_keys(tmp_path: Path) -> None:
    """Past `keys_per_log` comes a refusal, and the log goes on with the last one."""

    async def work() -> None:
        async with bench(tmp_path, keys_per_log=3) as b:
            info = await log_of(b, "one")
            await rotate(b, info)
            await rotate(b, info)
            with pytest.raises(Problem, match="limit_reached"):
                await rotate(b, info)
            await put(b, info, 1)
            assert len(signers_of(await published(b, info))) == 3

    run(work())


def test_a_log_of_before_rotates_too(tmp_path: Path) -> None:
    """One without stored keys, as version 1 made it: its first key is stored with the second."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            info = await log_of(b, "one")
            await put(b, info, 1)
            store = b.server._store
            assert isinstance(store, SqliteStore)
            with store.transaction() as transaction:
                transaction._run("DELETE FROM log_key WHERE log = ?", (info.key,))
            (before,) = await keys_of(b, info)
            await rotate(b, info)
            old, _ = await keys_of(b, info)
            assert old["verifier_key"] == before["verifier_key"]
            assert [row.holder for row in b.core.reader.log_keys(info.key)] == ["derived", "derived"]

    run(work())
