"""One stored chunk compared with itself: payload and salt with commitment, entry with leaf hash. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from indelible.log.chunk import Chunk
from indelible.merkle.entry import commit_payloads

PAYLOAD = "payload and salt do not give the stored commitment, whose leaf hash is stored"
COMMITMENT = "the stored commitment is another than payload, salt and leaf hash give"
ENTRY = "the entry does not give the stored leaf hash, which the tree confirms: its writer or time is another"
LEAF = "the entry does not give the stored leaf hash"
EVENT = "payload and salt do not give the stored commitment, nor does the entry give the stored leaf hash"


class Difference(NamedTuple):
    """An event that does not fit: what of it, and in words."""

    sequence: int
    kind: str  # payload | commitment | leaf | event
    found: str


class Links(NamedTuple):
    """A chunk's leaf hashes as stored and as the stored entries give them, and what does not fit.

    The two are one object where nothing differs. A `leaf` or `event` among the differences is not decided:
    only the tree above tells whether the leaf hash was changed, or what it was made of.
    """

    stored: Sequence[bytes]
    given: Sequence[bytes]
    differences: Sequence[Difference]


def check_chunk(chunk: Chunk) -> Links:
    """Follow each event of a chunk from its payload to its leaf hash.

    Raises:
        ValueError: a number or a length is none that an entry can have.
    """
    commitments = commit_payloads(chunk.salts, chunk.payloads())
    leaves = chunk.entry_hashes(commitments)
    if (b"".join(commitments), b"".join(leaves)) == (chunk.commitments, chunk.leaves):
        return Links(leaves, leaves, ())
    return _differing(chunk, commitments, leaves)


def _differing(chunk: Chunk, commitments: Sequence[bytes], leaves: Sequence[bytes]) -> Links:
    """`commitments` and `leaves` are those that payloads and salts give."""
    entries = [chunk.commitment(at) for at in range(chunk.events)]
    given = chunk.entry_hashes(entries)
    stored = [chunk.leaf(at) for at in range(chunk.events)]
    found = []
    for at, leaf in enumerate(stored):
        same = commitments[at] == entries[at], given[at] == leaf
        if same == (True, True):
            continue
        kind, words = "event", EVENT
        if same == (False, True):
            kind, words = "payload", PAYLOAD
        elif same == (True, False):
            kind, words = "leaf", LEAF
        elif leaves[at] == leaf:
            kind, words = "commitment", COMMITMENT
            given[at] = leaf
        found.append(Difference(chunk.first + at, kind, words))
    return Links(stored, given, found)
