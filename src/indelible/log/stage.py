"""Staging: a pure step from a head and what is to be appended to the rows that make it so.

Recovery and every engine run this same code, so there is one path to be right about.
"""

from collections.abc import Sequence
from typing import NamedTuple

from indelible.log.chunk import SALT_BYTES, KeyUse, encode_meta
from indelible.merkle.entry import commit_payloads, entry_leaf_hashes
from indelible.merkle.frontier import decode_frontier, encode_frontier, extend, root
from indelible.model.clock import Randomness
from indelible.store.base import ChunkRow, HeadRow, NodeRow

# A batch is stored in rows of about this size, so that reading one event does not read 16 MiB.
ROW_EVENTS = 2_048
ROW_BYTES = 512 << 10


class Sealed(NamedTuple):
    """Payloads, their salts (16 bytes each, joined) and commitments: what can be computed without a head."""

    payloads: Sequence[bytes]
    salts: bytes
    commitments: Sequence[bytes]


class Call(NamedTuple):
    """What one call appends, beside its payloads: so many events by one writer, under one key or none."""

    writer: bytes
    events: int
    digest: bytes | None = None
    fingerprint: bytes = b""


class Staged(NamedTuple):
    """Rows to write, the head they lead to, and each event's leaf hash and salt (16 bytes, joined)."""

    chunks: list[ChunkRow]
    nodes: list[NodeRow]
    head: HeadRow
    leaves: list[bytes]
    salts: bytes


def seal(payloads: Sequence[bytes], randomness: Randomness) -> Sealed:
    """Draw a fresh salt for each payload and commit to it (formats.md, Commitment)."""
    salts = randomness(SALT_BYTES * len(payloads))
    return Sealed(payloads, salts, commit_payloads(salts, payloads))


def join(parts: Sequence[Sealed]) -> Sealed:
    """Put sealed payloads one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Sealed(
        [payload for part in parts for payload in part.payloads],
        b"".join([part.salts for part in parts]),
        [commitment for part in parts for commitment in part.commitments],
    )


def stage(head: HeadRow, now: int, sealed: Sealed, calls: Sequence[Call]) -> Staged:
    """Append events in order after `head`, all dated `now` or, if that is later, the head's own time.

    Args:
        head: as it stands in the store, locked.
        now: microseconds since 1970.
        sealed: at least one event.
        calls: whose events they are, in order; their numbers of events add up.
    """
    time = max(now, head.time, head.time_floor)
    first = head.size + 1
    writers: bytes | list[bytes] = calls[0].writer
    if any(call.writer != calls[0].writer for call in calls):
        writers = [call.writer for call in calls for _ in range(call.events)]
    leaves = entry_leaf_hashes(first, time, writers, sealed.commitments)
    growth = extend(decode_frontier(head.size, head.frontier), leaves)
    new_head = HeadRow(
        size=growth.frontier.size,
        time=time,
        time_floor=head.time_floor,
        root=root(growth.frontier),
        frontier=encode_frontier(growth.frontier),
    )
    nodes = [NodeRow(node.level, node.position, node.hash) for node in growth.stored]
    chunks = _rows(first, time, sealed, calls, leaves)
    return Staged(chunks, nodes, new_head, leaves, sealed.salts)


def _rows(
    first: int, time: int, sealed: Sealed, calls: Sequence[Call], leaves: Sequence[bytes]
) -> list[ChunkRow]:
    """Cut the events into rows, each with the columns of its own part."""
    payloads, salts, commitments = sealed
    lengths = list(map(len, payloads))
    order = list(dict.fromkeys([call.writer for call in calls]))
    writer_of: list[int] = []
    if len(order) > 1:
        place = {writer: at for at, writer in enumerate(order)}
        writer_of = [place[call.writer] for call in calls for _ in range(call.events)]
    uses = _key_uses(calls)
    rows = []
    for start, end in _cuts(lengths):
        keys = [use._replace(offset=use.offset - start) for use in uses if start <= use.offset < end]
        meta = encode_meta(
            order,
            writer_of[start:end],
            salts=salts[start * SALT_BYTES : end * SALT_BYTES],
            commitments=b"".join(commitments[start:end]),
            lengths=lengths[start:end],
            keys=keys,
        )
        joined = b"".join(leaves[start:end])
        rows.append(ChunkRow(first + start, end - start, time, meta, joined, b"".join(payloads[start:end])))
    return rows


def _key_uses(calls: Sequence[Call]) -> list[KeyUse]:
    uses, offset = [], 0
    for call in calls:
        if call.digest is not None:
            uses.append(KeyUse(offset, call.events, call.digest, call.fingerprint))
        offset += call.events
    return uses


def _cuts(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of at most ROW_EVENTS events and, where one event does not pass it alone, ROW_BYTES bytes."""
    if len(lengths) <= ROW_EVENTS and sum(lengths) <= ROW_BYTES:
        return [(0, len(lengths))]
    cuts, start, size = [], 0, 0
    for at, length in enumerate(lengths):
        if at > start and (at - start >= ROW_EVENTS or size + length > ROW_BYTES):
            cuts.append((start, at))
            start, size = at, 0
        size += length
    return [*cuts, (start, len(lengths))]
