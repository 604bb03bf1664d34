"""Evidence made by hand from docs/formats.md, with keys of its own: for tests of those who check it."""

import base64
import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from indelible.merkle.entry import Entry, commitment, encode_entry
from indelible.merkle.hashing import leaf_hash, node_hash
from indelible.model.instants import format_micros, parse_instant
from indelible.notes.checkpoint import Checkpoint, sign_checkpoint
from indelible.notes.keys import Signer
from indelible.notes.note import sign_note

DEPLOYMENT = "audit.example.com"
START = parse_instant("2026-07-01T00:00:00.000000Z")
SECOND = 1_000_000
WRITER = uuid.UUID("0f0e0d0c-0b0a-4908-8706-050403020100")
ROOT = uuid.UUID("00000000-0000-0000-0000-000000000001")
JsonObject = dict[str, object]


class Made(NamedTuple):
    """An event of a log that tests make up: one a second from START on, unless they say otherwise."""

    time: int
    writer: uuid.UUID
    salt: bytes
    payload: bytes


class MadeLog(NamedTuple):
    """A log with its key."""

    signer: Signer
    log_id: uuid.UUID
    events: Sequence[Made]

    @property
    def origin(self) -> str:
        """Its origin, the key's name."""
        return self.signer.name

    @property
    def vkey(self) -> str:
        """Its verifier key."""
        return str(self.signer.verifier)

    def entry(self, sequence: int) -> bytes:
        """The entry of an event."""
        made = self.events[sequence - 1]
        return encode_entry(
            Entry(sequence, made.time, made.writer.bytes, commitment(made.salt, made.payload))
        )

    def leaves(self) -> list[bytes]:
        """All leaf hashes."""
        return [leaf_hash(self.entry(at + 1)) for at in range(len(self.events))]

    def checkpoint(self) -> bytes:
        """The signed head."""
        return sign_checkpoint(Checkpoint(self.origin, len(self.events), tree(self.leaves())), self.signer)

    def line(self, sequence: int) -> JsonObject:
        """A line of events.ndjson or audit.ndjson."""
        made = self.events[sequence - 1]
        line: JsonObject = {
            "sequence": sequence,
            "time": format_micros(made.time),
            "writer": str(made.writer),
            "salt": made.salt.hex(),
        }
        try:
            line["payload"] = made.payload.decode()
        except UnicodeDecodeError:
            line["payload_base64"] = base64.b64encode(made.payload).decode()
        return line


def tree(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash, as RFC 6962 section 2.1 defines it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    half = _half(len(leaves))
    return node_hash(tree(leaves[:half]), tree(leaves[half:]))


def path(at: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The audit path of RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    half = _half(len(leaves))
    if at < half:
        return [*path(at, leaves[:half]), tree(leaves[half:])]
    return [*path(at - half, leaves[half:]), tree(leaves[:half])]


def closure(low: int, high: int, leaves: Sequence[bytes], at: int = 0) -> list[bytes]:
    """The hashes that close the tree around the leaves [low, high) (docs/formats.md)."""
    end = at + len(leaves)
    if high <= at or low >= end:
        return [tree(leaves)]
    if low <= at and end <= high:
        return []
    half = _half(len(leaves))
    return closure(low, high, leaves[:half], at) + closure(low, high, leaves[half:], at + half)


def _half(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


def make_log(number: int, payloads: Sequence[bytes], *, writer: uuid.UUID = WRITER) -> MadeLog:
    """A log of these payloads; `number` tells logs apart."""
    log_id = uuid.UUID(int=(4 << 76) | (8 << 60) | number)
    signer = Signer(f"{DEPLOYMENT}/logs/{log_id}", hashlib.sha256(b"key %d" % number).digest())
    events = [
        Made(START + at * SECOND, writer, hashlib.sha256(b"salt %d %d" % (number, at)).digest()[:16], payload)
        for at, payload in enumerate(payloads)
    ]
    return MadeLog(signer, log_id, events)


def make_audit(number: int, log: MadeLog) -> MadeLog:
    """An `_audit` log that names `log` (as `acme`) and its writer (as `product`), among others."""
    records = [
        {"type": "workspace.created", "resource": {"type": "workspace", "id": "w", "name": "default"}},
        {
            "type": "log.created",
            "resource": {"type": "log", "id": str(log.log_id), "name": "acme"},
            "origin": log.origin,
        },
        {"type": "key.created", "resource": {"type": "key", "id": str(WRITER), "name": "product"}},
        {"type": "view.deployed", "resource": {"type": "view", "id": "v", "name": "report"}},
    ]
    return make_log(number, [json.dumps(record).encode() for record in records], writer=ROOT)


class Asked(NamedTuple):
    """What of a log is in the evidence: events by sequence; with a window, that window of time (µs)."""

    first: int
    last: int
    window: tuple[int | None, int | None] | None = None


def members(log: MadeLog, audit: MadeLog, asked: Asked) -> dict[str, bytes]:
    """All files of the zip, in order, but the cover sheet and its signature: see `sealed`."""
    low, high = asked.first, asked.last
    before = after = None
    if asked.window is not None:
        if low > 1:
            low, before = low - 1, log.entry(low - 1).hex()
        if high < len(log.events):
            high, after = high + 1, log.entry(high).hex()
            after = log.entry(high).hex()
    leaves, size = log.leaves(), len(log.events)
    proof = {
        "origin": log.origin,
        "first": asked.first,
        "last": asked.last,
        "size": size,
        "root": tree(leaves).hex(),
        "window": _window(asked),
        "before": before,
        "after": after,
        "hashes": [one.hex() for one in closure(low - 1, high, leaves)],
    }
    return {
        "VERIFY.txt": b"Check this with `indelible verify`.\n",
        "events.ndjson": ndjson([log.line(at) for at in range(asked.first, asked.last + 1)]),
        "proof.json": encode(proof),
        "checkpoint": log.checkpoint(),
        "keys.json": encode(
            {"keys": [{"verifier_key": log.vkey, "valid_from_size": 0, "valid_to_size": None}]}
        ),
        **_audit_members(audit),
    }


def _audit_members(audit: MadeLog) -> dict[str, bytes]:
    leaves, wanted = audit.leaves(), (2, 3)
    proof = {
        "origin": audit.origin,
        "size": len(leaves),
        "root": tree(leaves).hex(),
        "checkpoint": audit.checkpoint().decode(),
        "keys": [{"verifier_key": audit.vkey, "valid_from_size": 0, "valid_to_size": None}],
        "proofs": [[one.hex() for one in path(at - 1, leaves)] for at in wanted],
    }
    return {
        "audit.ndjson": ndjson([audit.line(at) for at in wanted]),
        "audit-proof.json": encode(proof),
    }


def _window(asked: Asked) -> JsonObject | None:
    if asked.window is None:
        return None
    low, high = (None if bound is None else format_micros(bound) for bound in asked.window)
    return {"from": low, "to": high}


def cover(log: MadeLog, asked: Asked, files: Mapping[str, bytes]) -> JsonObject:
    """The cover sheet for these files."""
    leaves = log.leaves()
    return {
        "format": "indelible/evidence/v1",
        "software": "indelible 0.0",
        "deployment": DEPLOYMENT,
        "workspace": "default",
        "log": {"log_id": str(log.log_id), "name": "acme", "origin": log.origin},
        "query": f"/logs/acme/evidence?first={asked.first}&last={asked.last}",
        "basis": "received",
        "time_zone": "UTC",
        "window": _window(asked),
        "asked_by": {"key_id": str(WRITER), "label": "product"},
        "made": "2026-08-01T00:00:00.000000Z",
        "events": asked.last - asked.first + 1,
        "first_sequence": asked.first,
        "last_sequence": asked.last,
        "gaps": 0,
        "head": {"size": len(leaves), "root": tree(leaves).hex()},
        "files": {
            name: {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
            for name, body in files.items()
        },
    }


def sealed(log: MadeLog, sheet: JsonObject, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files with the cover sheet, signed with the log's key."""
    manifest = encode(sheet)
    root = base64.b64encode(tree(log.leaves())).decode()
    text = (
        f"indelible/evidence/v1\n{log.origin}\n{len(log.events)}\n{root}\n"
        f"{sheet['first_sequence']} {sheet['last_sequence']}\n{hashlib.sha256(manifest).hexdigest()}\n"
    )
    return {**files, "manifest.json": manifest, "manifest.sig": sign_note(text, [log.signer])}


def evidence(log: MadeLog, audit: MadeLog, asked: Asked) -> dict[str, bytes]:
    """All files of good evidence."""
    files = members(log, audit, asked)
    return sealed(log, cover(log, asked, files), files)


def pack(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The zip of these files, in their order."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return target.getvalue()


def encode(value: object) -> bytes:
    """JSON without spaces, and only what must be escaped is: the one spelling that a line may have."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def ndjson(lines: Sequence[object]) -> bytes:
    """One JSON object a line."""
    return b"".join(encode(line) + b"\n" for line in lines)
