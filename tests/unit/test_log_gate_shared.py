"""What other nodes do while a log is compared is no difference; nor is a database that does not answer."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.harness.logs import World

from indelible.log.keyring import statement_key
from indelible.model.types import LogInfo
from indelible.store.base import LogKeyRow, StoreClosed, StoreUnavailable

Work = Callable[[World, LogInfo], None]


def compared(tmp_path: Path, work: Work) -> None:
    """Do `work` with a log of five events in two chunks, whose head was published."""

    async def body() -> None:
        world = World(tmp_path)
        world.committer.start()
        try:
            info = world.add_log("a")
            await world.put(info, b"1", b"2")
            world.before = world.store.reader.head(info.key)  # type: ignore[attr-defined]  # of this test
            await world.put(info, b"3", b"4", b"5")
            await world.publisher.signed(info, 5)
            work(world, info)
        finally:
            await world.stop()

    asyncio.run(body())


def once(monkeypatch: pytest.MonkeyPatch, reader: Any, name: str, answer: object) -> None:
    """Let a reader give this answer to its next call, or raise it."""
    real = getattr(reader, name)
    waiting = [answer]

    def answering(*arguments: Any) -> Any:
        if not waiting:
            return real(*arguments)
        given = waiting.pop()
        if isinstance(given, Exception):
            raise given
        return given

    monkeypatch.setattr(reader, name, answering)


def test_a_head_that_another_node_published_meanwhile_is_no_newer_than_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head was read before the other's commit, the checkpoint after it."""

    def work(world: World, info: LogInfo) -> None:
        once(monkeypatch, world.store.reader, "head", world.before)  # type: ignore[attr-defined]  # of this test
        assert world.gate.check(info) is None
        assert world.gate.is_open(info.key)

    compared(tmp_path, work)


def test_a_key_that_another_node_rotated_to_meanwhile_is_no_older_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows were read before the rotation, the statements in the objects after it."""

    def work(world: World, info: LogInfo) -> None:
        row: LogKeyRow = world.keys.next_row(info, world.keys.keys(info), 6)
        before = world.store.reader.log_keys(info.key)
        with world.store.transaction() as transaction:
            transaction.add_log_key(world.keys.keys(info).rows[0])
            transaction.add_log_key(row)
        world.keys.publish_statements(info, world.keys.keys(info), world.objects)
        assert world.objects.get(statement_key(info, 1)) == row.statement
        once(monkeypatch, world.store.reader, "log_keys", before)
        assert world.keys.published_differ(info, world.objects) is None
        assert world.gate.check(info) is None

    compared(tmp_path, work)


@pytest.mark.parametrize("error", [StoreUnavailable("gone for now"), StoreClosed("at a stop")])
def test_a_database_that_does_not_answer_says_nothing_of_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It is told, the log is not refused, and the next look opens it."""

    def work(world: World, info: LogInfo) -> None:
        once(monkeypatch, world.store.reader, "chunks", error)
        with pytest.raises(type(error)):
            world.gate.check(info)
        assert (world.gate.refused(), world.gate.is_open(info.key)) == ([], False)
        assert world.gate.check(info) is None
        assert world.gate.is_open(info.key)

    compared(tmp_path, work)
