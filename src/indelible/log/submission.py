"""What is known of one log's head and its cosignatures, and where the newest that suffices is kept."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from indelible.log.keyring import Histories
from indelible.log.publish import Published
from indelible.model.types import LogInfo
from indelible.notes.note import NoteSignature
from indelible.notes.policy import WitnessPolicy
from indelible.notes.statements import open_checkpoint_with
from indelible.store.objects import Objects

KEEPING_TRIES = 8  # while other processes keep theirs


def witnessed_key(info: LogInfo) -> str:
    """Where a log's newest sufficiently cosigned checkpoint stands in the object store."""
    return f"proofs/{info.log_id}/checkpoint.witnessed"


class Stored(NamedTuple):
    """A cosigned checkpoint as it was stored, and the cosignatures of the policy's witnesses, by name."""

    published: Published
    cosigned: Mapping[str, NoteSignature]


def load_witnessed(objects: Objects, keys: Histories, info: LogInfo, policy: WitnessPolicy) -> Stored | None:
    """Read the newest checkpoint that was stored with cosignatures, verified.

    Raises:
        ValueError: what stands there is not a checkpoint of this log, or a cosignature on it is wrong.
    """
    note = objects.get(witnessed_key(info))
    return None if note is None else _open(note, keys, info, policy)


def _open(note: bytes, keys: Histories, info: LogInfo, policy: WitnessPolicy) -> Stored:
    cosigners = [witness.verifier for witness in policy.witnesses]
    checkpoint, opened = open_checkpoint_with(keys.history(info), note, cosigners)
    found = {(line.name, line.key_id): line for line in opened.verified}
    named = [(w.name, (w.verifier.name, w.verifier.key_id)) for w in policy.witnesses]
    cosigned = {name: found[key] for name, key in named if key in found}
    return Stored(Published(checkpoint.size, checkpoint.root, note), cosigned)


def keep_witnessed(
    objects: Objects, keys: Histories, info: LogInfo, policy: WitnessPolicy, own: Published
) -> Stored | None:
    """Store a cosigned checkpoint, but never over a larger one: that is returned, of another process.

    Raises:
        OSError: it cannot be stored, or others store theirs all the time.
    """
    for _ in range(KEEPING_TRIES):
        last = objects.get(witnessed_key(info))
        with suppress(ValueError):  # what is damaged is replaced
            stored = None if last is None else _open(last, keys, info, policy)
            if stored is not None and stored.published.size > own.size:
                return stored
        if objects.replace(witnessed_key(info), own.note, last):
            return None
    raise OSError("others store cosigned checkpoints of this log all the time")


class Submission:
    """One log's submitter. Everything happens on the event loop.

    `stuck` says that the last round ended without enough cosignatures; `again`, on the loop's clock, when the
    next one begins: whoever would not see it come to anything does not wait.
    """

    def __init__(self, info: LogInfo) -> None:
        self.info = info
        self.head: Published | None = None  # the one that is asked for
        self.signatures: dict[str, NoteSignature] = {}  # on that head, by the witness's name
        self.sizes: dict[str, int] = {}  # what each witness cosigned last
        self.failures: dict[str, tuple[int, float]] = {}  # how often, and when to ask again
        self.busy: dict[str, asyncio.Task[None]] = {}
        self.witnessed: Published | None = None  # stored, and enough by the policy
        self.floor = 0  # the size of what is stored, enough or not
        self.shown = 0  # the largest size served without being enough
        self.stuck = False
        self.again = 0.0
        self.ended = False
        self.keeping = asyncio.Lock()
        self.wake = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []

    def take(self, head: Published) -> None:
        """Ask for this head from now on, the cosignatures on another being of no use."""
        if self.head is None or self.head.size != head.size:
            self.head, self.signatures = head, {}

    def adopt(self, stored: Stored, *, enough: bool) -> None:
        """Go on from what stands outside, where it is further than what is known; `enough`: to be served.

        At a start its signatures are not taken up: witnesses are asked again about that very head, so that
        an older copy is found out before anything is appended.
        """
        size = stored.published.size
        if size <= self.floor:
            return
        self.floor = size
        self.sizes.update(dict.fromkeys(stored.cosigned, size))
        if self.head is not None and self.head.size <= size:
            self.take(stored.published)
            self.signatures = {**stored.cosigned, **self.signatures}
        if enough:
            self.witnessed = stored.published
            self.tell()

    def tell(self) -> None:
        """Wake those who wait for cosignatures."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, size: int, seconds: float) -> Published | None:
        """The witnessed checkpoint when it has `size` events, at the latest after `seconds`; else None."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            if self.witnessed is not None and self.witnessed.size >= size:
                return self.witnessed
            left = deadline - loop.time()
            if (self.stuck and self.again >= deadline) or self.ended or left <= 0:
                return None
            moved = loop.create_future()
            self._waiting.append(moved)
            await asyncio.wait([moved], timeout=left)
            moved.cancel()
