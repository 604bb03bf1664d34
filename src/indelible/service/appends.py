"""Appending: what a call means, from its bytes to its receipt."""

import asyncio
from collections.abc import Sequence

from indelible.log.core import Core
from indelible.log.group import Known
from indelible.log.idempotency import fingerprint, key_digest
from indelible.log.pending import Append
from indelible.log.read import Span
from indelible.log.stage import Sealed, seal
from indelible.model.errors import Problem
from indelible.model.types import BatchReceipt, LogInfo, Receipt
from indelible.service.access import Access
from indelible.service.framing import Framing, split
from indelible.service.types import Appended, AppendedBatch, Caller

Mark = tuple[bytes | None, bytes]
"""Digests of an idempotency key, if there is one, and of what must be equal for its answer again."""

# Above this, cutting a batch and hashing its events is too long for the event loop and the commit's thread.
INLINE_BYTES = 64 << 10


class Appends:
    """The calls `append` and `append_batch`."""

    def __init__(self, access: Access, core: Core) -> None:
        self._access = access
        self._gate = core.gate
        self._lanes = core.lanes
        self._events = core.events
        self._publisher = core.publisher
        self._prover = core.prover
        self._limits = core.limits
        self._randomness = core.randomness

    async def append(
        self,
        caller: Caller,
        log: str,
        payload: bytes,
        *,
        idempotency_key: str | None = None,
        expected_sequence: int | None = None,
        proof: bool = False,
    ) -> Appended:
        """Append one event: the exact bytes of `payload`, at least one.

        Raises:
            Problem: `not_found`, `forbidden`, `system_log`, `empty_event`, `too_large`, `rate_limited`,
                `sequence_mismatch`, `idempotency_key_reused`, `saturated`, `clock_unsure`, `disk_full`,
                `commit_unknown`, `log_behind_published_head`, `read_only`, `stopping`.
        """
        info = self._access.writable(caller, log)
        self._access.rates.append(caller.key_id, caller.workspace)
        self._check_payload(payload)
        mark = self._mark(info, idempotency_key, "append", "", payload)
        if not self._gate.is_open(info.key):
            await asyncio.to_thread(self._gate.open, info)
        append = _append(info, caller, (payload,), mark, expected_sequence)
        outcome = await self._lanes.append(append)
        replayed = isinstance(outcome, Known)
        if isinstance(outcome, Known):
            receipt = await asyncio.to_thread(self._replay_one, info, outcome.first, mark[1])
        else:
            receipt = Receipt(outcome.first, outcome.time, outcome.leaves[0], outcome.salts, caller.writer)
        text = await self._proof(info, receipt.sequence) if proof else None
        return Appended(receipt, info.origin, replayed, text)

    async def append_batch(
        self,
        caller: Caller,
        log: str,
        body: bytes,
        framing: Framing,
        *,
        idempotency_key: str | None = None,
        expected_sequence: int | None = None,
    ) -> AppendedBatch:
        """Append all events of `body`, or none, with one time for all.

        Raises:
            Problem: as `append`, and `malformed_json`.
        """
        info = self._access.writable(caller, log)
        self._access.rates.append(caller.key_id, caller.workspace)
        if not self._gate.is_open(info.key):
            await asyncio.to_thread(self._gate.open, info)
        if len(body) > INLINE_BYTES:
            self._lanes.check_room(info.workspace, len(body))
            mark, sealed = await self._lanes.heavy.run(self._prepare, info, idempotency_key, body, framing)
            append = _append(info, caller, sealed.payloads, mark, expected_sequence, sealed)
        else:
            mark = self._batch_mark(info, idempotency_key, body, framing)
            payloads = split(body, framing, self._limits)
            append = _append(info, caller, payloads, mark, expected_sequence)
        outcome = await self._lanes.append(append)
        if isinstance(outcome, Known):
            receipt = await asyncio.to_thread(self._replay_batch, info, outcome.first, mark[1])
            return AppendedBatch(receipt, info.origin, replayed=True)
        last = outcome.first + len(outcome.leaves) - 1
        leaves = b"".join(outcome.leaves)
        receipt = BatchReceipt(outcome.first, last, outcome.time, caller.writer, outcome.salts, leaves)
        return AppendedBatch(receipt, info.origin, replayed=False)

    def _prepare(self, info: LogInfo, key: str | None, body: bytes, framing: Framing) -> tuple[Mark, Sealed]:
        mark = self._batch_mark(info, key, body, framing)
        return mark, seal(split(body, framing, self._limits), self._randomness)

    def _batch_mark(self, info: LogInfo, key: str | None, body: bytes, framing: Framing) -> Mark:
        return self._mark(info, key, "append_batch", f"{framing.kind} {framing.delimiter.hex()}", body)

    def _check_payload(self, payload: bytes) -> None:
        if not payload:
            raise Problem("empty_event", "send the event as the request's body")
        limit = self._limits.event_bytes
        if len(payload) > limit:
            raise Problem("too_large", "the event is over the limit", limit=limit, unit="bytes")

    def _mark(self, info: LogInfo, key: str | None, operation: str, framing: str, body: bytes) -> Mark:
        """Digests of the idempotency key and of what must be equal for its answer to be given again."""
        if key is None:
            return None, b""
        if not key or len(key.encode()) > self._limits.idempotency_key_bytes:
            limit = self._limits.idempotency_key_bytes
            raise Problem(
                "invalid_parameter", f"Idempotency-Key takes 1 to {limit} bytes", limit=limit, unit="bytes"
            )
        return key_digest(info.log_id, key), fingerprint(operation, framing, body)

    async def _proof(self, info: LogInfo, sequence: int) -> bytes | None:
        """None while nothing can be signed or cosigned: the event is in, which a refusal would deny."""
        try:
            published = await self._publisher.at_least(info, sequence)
        except Problem as problem:
            if problem.code.name not in {"signer_failed", "not_witnessed_yet", "objects_unreachable"}:
                raise
            return None
        return await asyncio.to_thread(self._prover.event_proof, info, sequence, published)

    # ------------------------------------------------------------------ the first answer again

    def _replay_one(self, info: LogInfo, first: int, mark: bytes) -> Receipt:
        self._first_use(info, first, mark)
        chunk = self._events.chunk(info.key, first)
        if chunk is None:
            raise LookupError(f"no events at {first}")
        at = first - chunk.first
        return Receipt(first, chunk.time, chunk.leaf(at), chunk.salt(at), chunk.writer(at))

    def _replay_batch(self, info: LogInfo, first: int, mark: bytes) -> BatchReceipt:
        count = self._first_use(info, first, mark)
        span = Span(first, first + count - 1)
        salts, leaves, time, writer = b"", b"", 0, b""
        for chunk in self._events.chunks(info.key, span):
            low, high = chunk.places(*span)
            salts += chunk.salts[low * 16 : high * 16]
            leaves += chunk.leaves[low * 32 : high * 32]
            time, writer = chunk.time, chunk.writer(low)
        return BatchReceipt(first, span.last, time, writer, salts, leaves)

    def _first_use(self, info: LogInfo, first: int, mark: bytes) -> int:
        """How many events the key made, when it was the same request; else `idempotency_key_reused`."""
        chunk = self._events.chunk(info.key, first)
        uses: Sequence[tuple[int, bytes]] = ()
        if chunk is not None:
            uses = [(u.events, u.fingerprint) for u in chunk.keys if u.offset == first - chunk.first]
        if not uses:
            raise Problem(
                "commit_unknown", "the first answer to this key cannot be read now; try again later"
            )
        if uses[0][1] != mark:
            raise Problem(
                "idempotency_key_reused",
                "this key was used for another request; use a new key for new bytes",
                sequence=first,
            )
        return uses[0][0]


def _append(
    info: LogInfo,
    caller: Caller,
    payloads: Sequence[bytes],
    mark: Mark,
    expected: int | None,
    sealed: Sealed | None = None,
) -> Append:
    """What the committer gets of a call."""
    size = sum(map(len, payloads))
    return Append(info.key, info.workspace, caller.writer, payloads, size, mark[0], mark[1], expected, sealed)
