"""Checkpoints, tiles, proofs and keys of a log."""

import asyncio

from indelible.log.core import Core
from indelible.log.keyring import Keys
from indelible.merkle.tiles import TILE_WIDTH, TilePath, parse_tile_path, partial_width
from indelible.model.errors import Problem
from indelible.model.instants import format_micros
from indelible.model.types import LogInfo
from indelible.service.ranges import Ranges, Wanted
from indelible.service.types import Caller, ConsistencyAnswer, InclusionAnswer, RangeAnswer


class Proofs:
    """The calls that let others check a log. They read a bounded number of hashes.

    All need `read`; checkpoint, tiles, keys and consistency of a log with public proofs need nothing.
    """

    def __init__(self, ranges: Ranges, core: Core) -> None:
        self._ranges = ranges
        self._core = core

    async def checkpoint(self, caller: Caller, log: str) -> bytes:
        """The newest published checkpoint (C2SP tlog-checkpoint)."""
        return (await self._core.publisher.latest(await self._provable(caller, log))).note

    async def tile(self, caller: Caller, log: str, path: str) -> bytes:
        """A tile or an entry bundle of a published tree (C2SP tlog-tiles); `path` is what follows `tile/`.

        Raises:
            Problem: `not_found` for a path that is no tile of the published tree.
        """
        return await tile_of(self._core, await self._provable(caller, log), path)

    async def keys(self, caller: Caller, log: str) -> list[dict[str, object]]:
        """All keys that ever signed this log's heads, each with the sizes for which it is valid."""
        info = await self._provable(caller, log)
        return describe_keys(await asyncio.to_thread(self._core.keys.keys, info))

    async def event(self, caller: Caller, log: str, sequence: int) -> bytes:
        """A C2SP tlog-proof of one event, against a published checkpoint that is made now if need be.

        Raises:
            Problem: `not_found` where there is no such event.
        """
        info = await self._log(caller, log)
        if not 1 <= sequence <= self._core.heads.fresh(info.key).size:
            raise Problem("not_found", "there is no such event")
        published = await self._core.publisher.at_least(info, sequence)
        return await asyncio.to_thread(self._core.prover.event_proof, info, sequence, published)

    async def inclusion(
        self, caller: Caller, log: str, *, sequence: int, size: int | None = None
    ) -> InclusionAnswer:
        """A proof that an event is in the tree of `size`, by default of a published checkpoint.

        Raises:
            Problem: `invalid_parameter`, `beyond_head`.
        """
        info = await self._log(caller, log)
        if sequence < 1 or (size is not None and size < sequence):
            raise Problem("invalid_parameter", "sequence counts from 1 and must not be beyond size")
        published = await self._core.publisher.at_least(info, max(sequence, size or 0))
        at = size or published.size
        leaf, hashes = await asyncio.to_thread(self._inclusion, info, sequence, at)
        return InclusionAnswer(sequence, at, leaf, hashes, published.note)

    def _inclusion(self, info: LogInfo, sequence: int, size: int) -> tuple[bytes, tuple[bytes, ...]]:
        prover = self._core.prover
        return prover.leaf(info.key, sequence), prover.inclusion(info.key, sequence - 1, size)

    async def consistency(
        self, caller: Caller, log: str, *, from_size: int, to_size: int | None = None
    ) -> ConsistencyAnswer:
        """A proof that the log of `from_size` is the beginning of that of `to_size`.

        Raises:
            Problem: `invalid_parameter`, `beyond_head`.
        """
        info = await self._provable(caller, log)
        if from_size < 0 or (to_size is not None and to_size < from_size):
            raise Problem("invalid_parameter", "from and to are sizes, and from is not the larger")
        least = max(from_size, to_size or 0)
        if caller.workspace == info.workspace:
            published = await self._core.publisher.at_least(info, least)
        else:  # a stranger has nothing signed for him: that would be an fsync for each question
            published = await self._core.publisher.latest(info)
            if published.size < least:
                size = published.size
                raise Problem("beyond_head", f"the published head has {size} events", head=size)
        to_size = published.size if to_size is None else to_size
        hashes = await asyncio.to_thread(self._core.prover.consistency, info.key, from_size, to_size)
        return ConsistencyAnswer(from_size, to_size, hashes, published.note)

    async def range(
        self,
        caller: Caller,
        log: str,
        *,
        first: int | None = None,
        last: int | None = None,
        from_: str | None = None,
        to: str | None = None,
    ) -> RangeAnswer:
        """A proof that a run of events is all that the log has between two sequences, or in a window of time.

        A window (`from_` inclusive, `to` exclusive) is proved by its neighbours: the entry before it and the
        one after it, where there are such, are in the run. Nothing is dated into a window of the past once it
        was answered.

        Raises:
            Problem: `invalid_parameter`, `beyond_head`, `answer_too_large`, `clock_unsure`.
        """
        info = await self._log(caller, log)
        asked = await self._ranges.find(info, Wanted(first, last, from_, to))
        span, size = asked.around, asked.published.size
        events, limit = span.last - span.first + 1, self._core.limits.range_proof_events
        if events > limit:
            raise Problem("answer_too_large", "ask for fewer events at once", events=events, limit=limit)
        entries, hashes = await asyncio.to_thread(self._core.prover.range, info.key, span, size)
        note = asked.published.note
        return RangeAnswer(span.first, span.last, size, asked.window, entries, hashes, note, asked.closed)

    async def _log(self, caller: Caller, log: str) -> LogInfo:
        return await self._ranges.log(caller, log)

    async def _provable(self, caller: Caller, log: str) -> LogInfo:
        return await self._ranges.provable(caller, log)


async def tile_of(core: Core, info: LogInfo, path: str) -> bytes:
    """A tile or an entry bundle of a log's published tree; `path` is what follows `tile/`.

    Raises:
        Problem: `not_found` for a path that is no tile of the published tree.
    """
    try:
        tile = parse_tile_path(f"tile/{path}")
    except ValueError as error:
        raise Problem("not_found", f"not a tile: {error}") from None
    published = await core.publisher.latest(info)
    if not _has(published.size, tile):
        raise Problem("not_found", "the published tree has no such tile", size=published.size)
    if tile.level is None:
        return await asyncio.to_thread(core.prover.entries, info.key, tile.number, tile.width)
    return await asyncio.to_thread(core.prover.tile, info.key, tile.level, tile.number, tile.width)


def describe_keys(keys: Keys) -> list[dict[str, object]]:
    """A log's keys as others need them, oldest first, each with the statement by which it followed."""
    told: list[dict[str, object]] = []
    notes = [row.statement.decode() or None for row in keys.rows]
    ends = [*(format_micros(statement.time) for statement in keys.statements), None]
    for period, note, end in zip(keys.history.periods, notes, ends, strict=True):
        told.append(
            {
                "verifier_key": str(period.verifier),
                "valid_from_size": period.first,
                "valid_to_size": period.last,
                "retired": end,
                "statement": note,
            }
        )
    return told


def _has(size: int, tile: TilePath) -> bool:
    """Whether the tree of `size` has this tile: full, or partial with at most the width it has there."""
    level = tile.level or 0
    full = (size >> (8 * level)) // TILE_WIDTH
    if tile.number < full:
        return True
    return tile.number == full and tile.width <= partial_width(level, size)
