"""From the service's values to the wire: pure, and for an append as cheap as it can be."""

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec
from msgspec import UNSET, Raw, UnsetType

from indelible.http import wire
from indelible.http.wire_versions import VersionOut, VersionsOut
from indelible.model.instants import format_micros
from indelible.model.types import BatchReceipt, Event, Receipt
from indelible.service.framing import is_json
from indelible.service.types import (
    ConsistencyAnswer,
    EventPage,
    InclusionAnswer,
    KeyInfo,
    LogState,
    RangeAnswer,
    VersionInfo,
    VersionsPage,
    ViewInfo,
    WorkspaceInfo,
)

_HASH_BYTES = 32
_SALT_BYTES = 16


@lru_cache(maxsize=4_096)
def writer_text(writer: bytes) -> str:
    """Return the UUID that stands for a writer's 16 bytes."""
    return str(uuid.UUID(bytes=writer))


@lru_cache(maxsize=4_096)
def _json_text(text: str) -> str:
    return json.dumps(text)


def receipt_json(receipt: Receipt, origin: str) -> bytes:
    """Write the receipt of an append; its members are those of `wire.ReceiptOut`."""
    return (
        f'{{"sequence":{receipt.sequence},"time":"{format_micros(receipt.time)}",'
        f'"leaf_hash":"{receipt.leaf_hash.hex()}","salt":"{receipt.salt.hex()}",'
        f'"writer":"{writer_text(receipt.writer)}","origin":{_json_text(origin)}}}\n'
    ).encode()


def receipt_with_proof(receipt: Receipt, origin: str, proof: bytes) -> wire.ReceiptOut:
    """Return a receipt and its tlog-proof."""
    return wire.ReceiptOut(
        sequence=receipt.sequence,
        time=format_micros(receipt.time),
        leaf_hash=receipt.leaf_hash.hex(),
        salt=receipt.salt.hex(),
        writer=writer_text(receipt.writer),
        origin=origin,
        proof=proof.decode(),
    )


def batch_receipt(receipt: BatchReceipt, origin: str, *, every: bool) -> wire.BatchReceiptOut:
    """Return the receipt of a batch, with `every` the salt and the leaf of each event."""
    salts, leaves = receipt.salts, receipt.leaf_hashes
    return wire.BatchReceiptOut(
        first_sequence=receipt.first_sequence,
        last_sequence=receipt.last_sequence,
        count=receipt.events,
        time=format_micros(receipt.time),
        writer=writer_text(receipt.writer),
        origin=origin,
        salts=_hex_pieces(salts, _SALT_BYTES) if every else UNSET,
        leaf_hashes=_hex_pieces(leaves, _HASH_BYTES) if every else UNSET,
    )


def _hex_pieces(joined: bytes, size: int) -> list[str]:
    return [joined[at : at + size].hex() for at in range(0, len(joined), size)]


def log(state: LogState) -> wire.LogOut:
    """Return a log and its head."""
    info, head = state
    time = format_micros(head.time) if head.size else None
    return wire.LogOut(
        log_id=str(info.log_id),
        name=info.name,
        origin=info.origin,
        created=format_micros(info.created),
        erasable=info.erasable,
        public_proofs=info.public_proofs,
        head=wire.HeadOut(head.size, head.root.hex(), time),
    )


def event(found: Event, *, exact: bool) -> wire.EventOut:
    """Return an event: its JSON as it was sent, and its bytes where that is none or `exact` asks for them."""
    payload: Raw | UnsetType = Raw(found.payload) if is_json(found.payload) else UNSET
    encoded = exact or payload is UNSET
    return wire.EventOut(
        sequence=found.sequence,
        time=format_micros(found.time),
        writer=writer_text(found.writer),
        salt=found.salt.hex(),
        payload=payload,
        payload_base64=base64.b64encode(found.payload).decode() if encoded else UNSET,
    )


def page(found: EventPage, *, exact: bool) -> wire.EventsOut:
    """Return a page of events."""
    return wire.EventsOut([event(one, exact=exact) for one in found.events], found.next)


def lines(events: Sequence[Event], *, exact: bool) -> bytes:
    """Write events as NDJSON. Line ends inside a payload's JSON, where they mean nothing, become spaces."""
    pieces = []
    for found in events:
        line = wire.encode(event(found, exact=exact))[:-1]
        if b"\n" in line or b"\r" in line:
            line = line.translate(_LINE_ENDS_TO_SPACES)
        pieces.append(line)
    pieces.append(b"")
    return b"\n".join(pieces)


_LINE_ENDS_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")


def inclusion(answer: InclusionAnswer) -> wire.InclusionOut:
    """Return an inclusion proof."""
    return wire.InclusionOut(
        sequence=answer.sequence,
        index=answer.leaf_index,
        size=answer.size,
        leaf_hash=answer.leaf_hash.hex(),
        hashes=[one.hex() for one in answer.hashes],
        checkpoint=answer.checkpoint.decode(),
    )


def consistency(answer: ConsistencyAnswer) -> wire.ConsistencyOut:
    """Return a consistency proof."""
    return wire.ConsistencyOut(
        first=answer.from_size,
        second=answer.to_size,
        hashes=[one.hex() for one in answer.hashes],
        checkpoint=answer.checkpoint.decode(),
    )


def range_proof(answer: RangeAnswer) -> wire.RangeOut:
    """Return a range proof."""
    window = None if answer.window is None else wire.TimesOut(*map(_instant, answer.window))
    return wire.RangeOut(
        first=answer.first_sequence,
        last=answer.last_sequence,
        size=answer.size,
        window=window,
        window_closed=answer.closed,
        entries=[one.hex() for one in answer.entries],
        hashes=[one.hex() for one in answer.hashes],
        checkpoint=answer.checkpoint.decode(),
    )


def log_key(told: Mapping[str, object]) -> wire.LogKeyOut:
    """Return a signing key of a log."""
    return msgspec.convert(told, wire.LogKeyOut)


def view(info: ViewInfo) -> wire.ViewOut:
    """Return a deployed view."""
    return wire.ViewOut(
        view_id=info.view_id,
        name=info.name,
        version=info.version,
        sha256=info.sha256,
        config_sha256=info.config_sha256,
        world=info.world,
        builtin=info.builtin,
        state=info.state,
        applied=info.applied,
        head=info.head,
        error=None if info.error is None else dict(info.error),
        pending=None if info.pending is None else dict(info.pending),
        memory_bytes=info.memory_bytes,
        created=format_micros(info.created),
    )


def versions(page: VersionsPage) -> VersionsOut:
    """Return versions of a view."""
    return VersionsOut([_version(info) for info in page.versions], page.next)


def _version(info: VersionInfo) -> VersionOut:
    config = info.config.encode()
    return VersionOut(
        version=info.version,
        sha256=info.sha256,
        config_sha256=info.config_sha256,
        config=Raw(config if is_json(config) else msgspec.json.encode(info.config)),
        world=info.world,
        builtin=info.builtin,
        state=info.state,
        created=format_micros(info.created),
        author=writer_text(info.author),
    )


def key(info: KeyInfo, secret: str | UnsetType = UNSET) -> wire.KeyOut:
    """Return a key, with its secret in the answer that made it."""
    return wire.KeyOut(
        key_id=info.key_id,
        writer=str(info.writer),
        label=info.label,
        workspace=info.workspace,
        scopes=info.scopes,
        logs=info.logs,
        views=info.views,
        not_before=_instant(info.not_before),
        expires=_instant(info.expires),
        created=format_micros(info.created),
        revoked=_instant(info.revoked),
        preset=info.preset,
        secret=secret,
    )


def workspace(info: WorkspaceInfo, first_key: wire.KeyOut | UnsetType = UNSET) -> wire.WorkspaceOut:
    """Return a workspace, with its first key in the answer that made it."""
    return wire.WorkspaceOut(
        workspace_id=str(info.workspace_id),
        name=info.name,
        created=format_micros(info.created),
        audit_log_id=str(info.audit_log_id),
        key=first_key,
    )


def _instant(micros: int | None) -> str | None:
    return None if micros is None else format_micros(micros)
