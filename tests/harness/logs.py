"""The parts of the log put together on a store of one's own, with a clock and a disk that a test moves."""

import hashlib
import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indelible.log.chunk import Chunk, decode_chunk
from indelible.log.commit import Committer
from indelible.log.gate import Gate
from indelible.log.group import Committed, Known
from indelible.log.heads import Heads
from indelible.log.idempotency import fingerprint, key_digest
from indelible.log.keyring import Keyring
from indelible.log.lanes import Lanes
from indelible.log.pending import Append
from indelible.log.prove import Prover
from indelible.log.publish import Publisher
from indelible.log.read import EventReader
from indelible.log.segmentrows import SegmentRows
from indelible.log.signers import Signers
from indelible.log.timekeeper import Timekeeper
from indelible.merkle.hashing import EMPTY_ROOT
from indelible.model.clock import SYSTEM_RANDOMNESS, Clock
from indelible.model.limits import DEFAULT_LIMITS, Limits
from indelible.model.types import LogInfo
from indelible.store.base import HeadRow, Reader, Store
from indelible.store.objects import LocalObjects, Objects
from indelible.store.sqlite import SqliteStore

START = 1_700_000_000_000_000
EMPTY_HEAD = HeadRow(0, 0, 0, EMPTY_ROOT, b"")
WRITERS = tuple(uuid.UUID(int=number).bytes for number in range(7, 11))


@dataclass
class Hands:
    """A clock whose hands a test moves; both clocks go on by `step` µs at each look at the wall."""

    wall: int = START
    boot: int = 0
    step: int = 0
    boot_id: str = "a boot"

    def clock(self) -> Clock:
        """The clock as the product takes it."""

        def look() -> int:
            self.wall += self.step
            self.boot += self.step
            return self.wall

        return Clock(wall_micros=look, boot_micros=lambda: self.boot, boot_id=lambda: self.boot_id)

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += int(seconds * 1e6)
        self.boot += int(seconds * 1e6)

    def reboot(self) -> None:
        """Let the boot clock begin anew, as another boot's."""
        self.boot, self.boot_id = 0, f"after {self.boot_id}"


@dataclass
class World:
    """One deployment's log layer over one directory; `start` inside a running event loop."""

    path: Path
    limits: Limits = DEFAULT_LIMITS
    hands: Hands = field(default_factory=Hands)
    store: Store = field(init=False)
    objects: Objects = field(init=False)
    fatal: list[BaseException] = field(default_factory=list)
    jumps: list[int] = field(default_factory=list)
    committed: list[dict[int, HeadRow]] = field(default_factory=list)
    logs: dict[str, LogInfo] = field(default_factory=dict)
    master: bytes = b"m" * 32

    def __post_init__(self) -> None:
        """Open the store."""
        self.store = SqliteStore(self.path)
        self.objects = LocalObjects(self.path / "objects")
        self.compose()

    def compose(self) -> None:
        """Put the parts together, as the composition root does."""
        reader: Reader = self.store.reader
        self.heads = Heads(reader)
        self.events = EventReader(reader, SegmentRows(self.objects, self.limits))
        self.prover = Prover(reader, self.events)
        self.signers = Signers(self.master)
        self.keys = Keyring(reader, self.signers, self.limits, self.hands.clock())
        self.publisher = Publisher(reader, self.objects, self.heads, self.keys, self.limits)
        self.gate = Gate(reader, self.objects, self.keys, self.prover, self.publisher)
        self.timekeeper = Timekeeper(self.hands.clock(), self.limits, self.jumps.append)
        self.committer = Committer(
            self.store,
            self.timekeeper,
            self.limits,
            SYSTEM_RANDOMNESS,
            on_committed=self._on_committed,
            on_fatal=self.fatal.append,
            may_append=self.gate.require,
        )
        self.lanes = Lanes(self.committer, self.limits, SYSTEM_RANDOMNESS)

    def _on_committed(self, heads: dict[int, HeadRow]) -> None:
        self.committed.append(heads)
        self.heads.committed(heads)
        self.publisher.committed(set(heads))

    def add_log(self, name: str, workspace: str = "w") -> LogInfo:
        """Make a log, in a workspace that is made when it is not there."""
        rows = {row.name: row.key for row in self.store.reader.workspaces()}
        log_id = uuid.uuid5(uuid.NAMESPACE_DNS, f"{workspace}.{name}")
        with self.store.transaction() as transaction:
            number = rows.get(workspace)
            if number is None:
                number = transaction.add_workspace(hashlib.md5(workspace.encode()).digest(), workspace, 1)  # noqa: S324 - 16 bytes for an id
            info = LogInfo(0, log_id, number, name, f"x.example/logs/{log_id}", 1)
            info = info._replace(key=transaction.add_log(info, EMPTY_HEAD))
        self.logs[name] = info
        return info

    def append(
        self,
        info: LogInfo,
        payloads: Sequence[bytes],
        *,
        writer: bytes = WRITERS[0],
        key: str | None = None,
        expected: int | None = None,
    ) -> Append:
        """What a call hands to the committer."""
        return Append(
            info.key,
            info.workspace,
            writer,
            payloads,
            sum(map(len, payloads)),
            None if key is None else key_digest(info.log_id, key),
            b"" if key is None else fingerprint("append_batch", "array", b"\0".join(payloads)),
            expected,
        )

    async def put(
        self,
        info: LogInfo,
        *payloads: bytes,
        key: str | None = None,
        expected: int | None = None,
        writer: bytes = WRITERS[0],
    ) -> Committed | Known:
        """Append and wait."""
        append = self.append(info, payloads, key=key, expected=expected, writer=writer)
        return await self.lanes.append(append)

    def chunks(self, info: LogInfo) -> list[Chunk]:
        """All chunks that a log's head covers, read row by row and decoded."""
        head = self.store.reader.head(info.key)
        assert head is not None
        rows = self.store.reader.chunks(info.key, 1, 1_000_000)
        return [decode_chunk(row) for row in rows if row.first <= head.size]

    async def stop(self) -> None:
        """End the committer and close the store."""
        await self.committer.stop()
        self.store.close()


# ---------------------------------------------------------------------- an independent view of a log


def naive_leaf(sequence: int, time: int, writer: bytes, salt: bytes, payload: bytes) -> bytes:
    """The leaf hash, written down from formats.md alone."""
    commitment = hashlib.sha256(salt + payload).digest()
    entry = b"\x01" + sequence.to_bytes(8, "big") + time.to_bytes(8, "big") + writer + commitment
    assert len(entry) == 65
    return hashlib.sha256(b"\x00" + entry).digest()


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash, by the recursive definition of RFC 6962 §2.1."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def check_log(world: World, info: LogInfo) -> list[tuple[int, bytes, bytes]]:
    """Assert all that must hold of a stored log, from its rows; gives its events (time, writer, payload)."""
    head = world.store.reader.head(info.key)
    assert head is not None
    events: list[tuple[int, bytes, bytes]] = []
    leaves: list[bytes] = []
    for chunk in world.chunks(info):
        assert chunk.first == len(events) + 1
        for at, payload in enumerate(chunk.payloads()):
            writer, salt = chunk.writer(at), chunk.salt(at)
            leaves.append(naive_leaf(chunk.first + at, chunk.time, writer, salt, payload))
            assert chunk.leaf(at) == leaves[-1]
            events.append((chunk.time, writer, payload))
    assert len(events) == head.size
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(events))
    assert head.time == (events[-1][0] if events else 0)
    assert head.root == naive_root(leaves)
    assert world.prover.root_at(info.key, head.size) == head.root
    level, width = 1, 256
    while head.size >= width:
        expected = [naive_root(leaves[i * width : (i + 1) * width]) for i in range(head.size // width)]
        assert world.store.reader.nodes(info.key, level, 0, len(expected)) == b"".join(expected)
        with_more = world.store.reader
        try:
            with_more.nodes(info.key, level, 0, len(expected) + 1)
        except LookupError:
            pass
        else:
            raise AssertionError("a node beyond the head is stored")
        level, width = level + 1, width * 256
    return events
