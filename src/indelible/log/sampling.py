"""A running server's own look at what it stored: a few events a second, chosen at random.

Each look takes a whole chunk from payload to leaf hash, and one event of it to the root of the published
checkpoint, which stands outside the database. What differs is counted, told and shown; nothing is stopped.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import structlog

from indelible import telemetry
from indelible.log.chunk import ChunkError
from indelible.log.chunkcheck import check_chunk
from indelible.log.keyring import Histories
from indelible.log.prove import Prover
from indelible.log.publish import Published, load_published
from indelible.log.read import EventReader
from indelible.log.recompute import Finding
from indelible.merkle.proofs import verify_inclusion
from indelible.model.limits import Limits
from indelible.model.types import LogInfo
from indelible.store.base import Reader, StoreError
from indelible.store.objects import Objects

TRIES = 8  # for a log with published events, among those that are empty
PAUSE_SECONDS = 1.0  # at least, between two looks
REMEMBERED = 1_000  # differences that are not told again

Choose = Callable[[int], int]
"""A random number from 0 on and below the one given."""


class Look(NamedTuple):
    """What one look took: so many events, and what differs among them."""

    events: int
    findings: list[Finding]


class Sampler:
    """Looks at stored events for as long as the server runs: one task, whose work is done on threads."""

    def __init__(
        self,
        reader: Reader,
        objects: Objects,
        keys: Histories,
        events: EventReader,
        prover: Prover,
        limits: Limits,
        choose: Choose,
    ) -> None:
        self._reader = reader
        self._objects = objects
        self._keys = keys
        self._prover = prover
        self._events = events
        self._rate = limits.fsck_events_per_second
        self._choose = choose
        self._known: OrderedDict[tuple[int, int, str], Finding] = OrderedDict()
        self.events = 0
        self.differences = 0

    def findings(self) -> list[Finding]:
        """What was found to differ, the newest last; the oldest are let go of."""
        return list(self._known.values())

    async def run(self) -> None:
        """Look until cancelled; not at all where the rate is 0."""
        while self._rate:
            try:
                look = await asyncio.to_thread(self.look)
            except (StoreError, OSError, LookupError, TypeError, ValueError):
                structlog.get_logger().exception("stored events could not be checked again; that goes on")
                look = Look(0, [])
            self._note(look)
            await asyncio.sleep(max(PAUSE_SECONDS, look.events / self._rate))

    def _note(self, look: Look) -> None:
        self.events += look.events
        telemetry.fsck_events_total.inc(look.events)
        for finding in look.findings:
            at = (finding.log.key, finding.sequence, finding.kind)
            if at in self._known:
                continue
            self._known[at] = finding
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            self.differences += 1
            telemetry.fsck_differences_total.inc()
            structlog.get_logger().error(
                "a stored event differs",
                log_id=str(finding.log.log_id),
                name=finding.log.name,
                sequence=finding.sequence,
                kind=finding.kind,
                found=finding.found,
            )

    # ------------------------------------------------------------------ one look, on a thread

    def look(self) -> Look:
        """Check one chunk of a log chosen at random, or nothing where no event is published yet.

        Raises:
            StoreError, OSError: the store or the objects cannot be read.
        """
        last = self._reader.last_log()
        for _ in range(TRIES if last else 0):
            info = self._reader.log_by_key(1 + self._choose(last))
            if info is None:
                continue
            try:
                published = load_published(self._objects, self._keys, info)
            except ValueError as error:
                found = f"the published checkpoint is not one of this log: {error}"
                return Look(0, [Finding(info, 0, "checkpoint", found)])
            if published is not None and published.size:
                return self._check(info, published, 1 + self._choose(published.size))
        return Look(0, [])

    def _check(self, info: LogInfo, published: Published, sequence: int) -> Look:
        try:
            chunk = self._events.chunk(info.key, sequence)
            links = None if chunk is None else check_chunk(chunk)
        except (ChunkError, ValueError) as error:
            return Look(1, [Finding(info, sequence, "chunk", f"stored rows are damaged: {error}")])
        if chunk is None or links is None:
            return Look(1, [Finding(info, sequence, "gap", "the event is not there: missing in the store")])
        findings = [Finding(info, *difference) for difference in links.differences]
        try:
            proof = self._prover.inclusion(info.key, sequence - 1, published.size)
            leaf = links.given[sequence - chunk.first]
            verify_inclusion(sequence - 1, published.size, leaf, proof, published.root)
        except (LookupError, ValueError) as error:
            found = f"it is not proved to be in the published tree of {published.size} events: {error}"
            findings.append(Finding(info, sequence, "node", found))
        return Look(chunk.events, findings)
