"""Checkpoints, tiles, proofs and keys of a log."""

import asyncio

from indelible.log.core import Core
from indelible.log.read import Span
from indelible.merkle.tiles import TilePath, parse_tile_path, partial_width
from indelible.model.errors import Problem
from indelible.model.types import LogInfo
from indelible.service.access import Access
from indelible.service.parameters import instant
from indelible.service.types import Caller, ConsistencyAnswer, InclusionAnswer, RangeAnswer

TILE_WIDTH = 256
Window = tuple[int | None, int | None]
"""µs since 1970, from inclusive, to exclusive; None where it is open."""


class Proofs:
    """The calls that let others check a log. All need `read`, and read a bounded number of hashes."""

    def __init__(self, access: Access, core: Core) -> None:
        self._access = access
        self._core = core

    async def checkpoint(self, caller: Caller, log: str) -> bytes:
        """The newest published checkpoint (C2SP tlog-checkpoint)."""
        return (await self._core.publisher.latest(await self._log(caller, log))).note

    async def tile(self, caller: Caller, log: str, path: str) -> bytes:
        """A tile or an entry bundle of a published tree (C2SP tlog-tiles); `path` is what follows `tile/`.

        Raises:
            Problem: `not_found` for a path that is no tile of the published tree.
        """
        return await tile_of(self._core, await self._log(caller, log), path)

    async def keys(self, caller: Caller, log: str) -> list[dict[str, object]]:
        """All keys that ever signed this log's heads, each with the sizes for which it is valid."""
        info = await self._log(caller, log)
        verifier = self._core.signers.signer(info.origin).verifier
        return [{"verifier_key": str(verifier), "valid_from_size": 0, "valid_to_size": None}]

    async def event(self, caller: Caller, log: str, sequence: int) -> bytes:
        """A C2SP tlog-proof of one event, against a published checkpoint that is made now if need be.

        Raises:
            Problem: `not_found` where there is no such event.
        """
        info = await self._log(caller, log)
        if not 1 <= sequence <= self._core.heads.get(info.key).size:
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
        info = await self._log(caller, log)
        if from_size < 0 or (to_size is not None and to_size < from_size):
            raise Problem("invalid_parameter", "from and to are sizes, and from is not the larger")
        published = await self._core.publisher.at_least(info, max(from_size, to_size or 0))
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
        one after it, where there are such, are in the run.

        Raises:
            Problem: `invalid_parameter`, `beyond_head`, `answer_too_large`.
        """
        info = await self._log(caller, log)
        window = _window(first, last, from_, to)
        published = await self._core.publisher.at_least(info, last or first or 0)
        if window is None:
            span = Span(first or 1, published.size if last is None else last)
        else:
            span = await asyncio.to_thread(self._around, info.key, window, published.size)
        events, limit = span.last - span.first + 1, self._core.limits.range_proof_events
        if events > limit:
            raise Problem("answer_too_large", "ask for fewer events at once", events=events, limit=limit)
        if events < 0:
            raise Problem("invalid_parameter", "first must not be beyond last")
        entries, hashes = await asyncio.to_thread(self._core.prover.range, info.key, span, published.size)
        return RangeAnswer(span.first, span.last, published.size, window, entries, hashes, published.note)

    def _around(self, log: int, window: Window, size: int) -> Span:
        """The events of a window with their neighbours, of the first `size` events."""
        first, last = self._core.events.between(log, size, *window)
        return Span(max(1, first - 1), min(size, last + 1))

    async def _log(self, caller: Caller, log: str) -> LogInfo:
        """Find the log and have it checked: nothing of a log that does not match is proved."""
        info = self._access.log(caller, log, "read")
        await open_log(self._core, info)
        return info


async def open_log(core: Core, info: LogInfo) -> None:
    """Have a log checked before anything of it is proved.

    Raises:
        Problem: `log_behind_published_head`.
    """
    if not core.gate.is_open(info.key) and core.gate.read_only is None:
        await asyncio.to_thread(core.gate.open, info)


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


def _window(first: int | None, last: int | None, from_: str | None, to: str | None) -> Window | None:
    low, high = instant("from", from_), instant("to", to)
    if low is None and high is None:
        return None
    if first is not None or last is not None:
        raise Problem("invalid_parameter", "give sequences (first, last) or times (from, to), not both")
    if low is not None and high is not None and low >= high:
        raise Problem("invalid_parameter", "from must be before to", parameter="from")
    return low, high


def _has(size: int, tile: TilePath) -> bool:
    """Whether the tree of `size` has this tile: full, or partial with at most the width it has there."""
    level = tile.level or 0
    full = (size >> (8 * level)) // TILE_WIDTH
    if tile.number < full:
        return True
    return tile.number == full and tile.width <= partial_width(level, size)
