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


class Input(NamedTuple):
    """What one call appends: all of it by one writer, under one idempotency key or none."""

    writer: bytes
    sealed: Sealed
    digest: bytes | None = None
    fingerprint: bytes = b""


class Staged(NamedTuple):
    """Rows to write, the head they lead to, and each input's first sequence."""

    chunks: list[ChunkRow]
    nodes: list[NodeRow]
    head: HeadRow
    firsts: list[int]
    leaves: list[bytes]

    def leaves_of(self, first: int, events: int) -> list[bytes]:
        """The leaf hashes of a run of the staged events."""
        at = first - self.chunks[0].first
        return self.leaves[at : at + events]


def seal(payloads: Sequence[bytes], randomness: Randomness) -> Sealed:
    """Draw a fresh salt for each payload and commit to it (formats.md, Commitment)."""
    salts = randomness(SALT_BYTES * len(payloads))
    return Sealed(payloads, salts, commit_payloads(salts, payloads))


def stage(head: HeadRow, now: int, inputs: Sequence[Input]) -> Staged:
    """Append `inputs` in order after `head`, all dated `now` or, if that is later, the head's own time.

    Args:
        head: as it stands in the store, locked.
        now: microseconds since 1970.
        inputs: at least one, each with at least one payload.
    """
    time = max(now, head.time, head.time_floor)
    first = head.size + 1
    commitments = [commitment for item in inputs for commitment in item.sealed.commitments]
    writers: bytes | list[bytes] = inputs[0].writer
    if any(item.writer != inputs[0].writer for item in inputs):
        writers = [item.writer for item in inputs for _ in item.sealed.payloads]
    leaves = entry_leaf_hashes(first, time, writers, commitments)
    growth = extend(decode_frontier(head.size, head.frontier), leaves)
    new_head = HeadRow(
        size=growth.frontier.size,
        time=time,
        time_floor=head.time_floor,
        root=root(growth.frontier),
        frontier=encode_frontier(growth.frontier),
    )
    chunks = _rows(first, time, inputs, leaves)
    nodes = [NodeRow(node.level, node.position, node.hash) for node in growth.stored]
    return Staged(chunks, nodes, new_head, _firsts(first, inputs), leaves)


def _firsts(first: int, inputs: Sequence[Input]) -> list[int]:
    firsts = []
    for item in inputs:
        firsts.append(first)
        first += len(item.sealed.payloads)
    return firsts


def _rows(first: int, time: int, inputs: Sequence[Input], leaves: Sequence[bytes]) -> list[ChunkRow]:
    """Cut the events into rows, each with the columns of its own part."""
    payloads = [payload for item in inputs for payload in item.sealed.payloads]
    commitments = [commitment for item in inputs for commitment in item.sealed.commitments]
    lengths = [len(payload) for payload in payloads]
    salts = b"".join([item.sealed.salts for item in inputs])
    order = list(dict.fromkeys(item.writer for item in inputs))
    place = {writer: at for at, writer in enumerate(order)}
    writer_of: list[int] = []
    if len(order) > 1:
        writer_of = [place[item.writer] for item in inputs for _ in item.sealed.payloads]
    uses = _key_uses(inputs)
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


def _key_uses(inputs: Sequence[Input]) -> list[KeyUse]:
    uses, offset = [], 0
    for item in inputs:
        events = len(item.sealed.payloads)
        if item.digest is not None:
            uses.append(KeyUse(offset, events, item.digest, item.fingerprint))
        offset += events
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
