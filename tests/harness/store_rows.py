"""Rows for tests of a store, each of which tells where it belongs."""

import uuid

from indelible.merkle.hashing import EMPTY_ROOT
from indelible.model.types import LogInfo
from indelible.store.base import (
    ChunkRow,
    HeadRow,
    KeyRow,
    Store,
)

EMPTY = HeadRow(0, 0, 0, EMPTY_ROOT, b"")


def log_info(workspace: int, name: str) -> LogInfo:
    """A log that is not stored."""
    log_id = uuid.uuid4()
    return LogInfo(0, log_id, workspace, name, f"x.example/logs/{log_id}", 7)


def add_log(store: Store, name: str = "log") -> int:
    """A workspace (once) and a log in it; returns the log's number."""
    rows = [row for row in store.reader.workspaces() if row.name == "w"]
    with store.transaction() as transaction:
        workspace = rows[0].key if rows else transaction.add_workspace(uuid.uuid4().bytes, "w", 1)
        return transaction.add_log(log_info(workspace, name), EMPTY)


def leaf(log: int, sequence: int) -> bytes:
    """A leaf hash that tells where it belongs."""
    return log.to_bytes(16, "big") + sequence.to_bytes(16, "big")


def chunk(log: int, first: int, events: int, time: int) -> ChunkRow:
    """A chunk whose parts tell where they belong, with every byte value in them."""
    leaves = b"".join(leaf(log, first + i) for i in range(events))
    return ChunkRow(first, events, time, bytes(range(256)) + b"m%d" % first, leaves, b"\0p%d" % first)


def fill(store: Store, log: int, sizes: list[int]) -> list[ChunkRow]:
    """One chunk a transaction, of these sizes, dated 10, 20, …."""
    rows, first = [], 1
    for at, events in enumerate(sizes, 1):
        rows.append(chunk(log, first, events, 10 * at))
        first += events
        with store.transaction() as transaction:
            transaction.put_chunk(log, rows[-1])
            transaction.put_head(log, HeadRow(first - 1, 10 * at, 0, bytes([at]) * 32, b"f" * 32))
    return rows


def key_row(workspace: int, key_id: str, created: int = 1) -> KeyRow:
    """An API key with every member set."""
    return KeyRow(
        key_id, workspace, b"h" * 32, "labël", ("read",), ("a", "b"), (), 5, 6, created, None, "auditor"
    )
