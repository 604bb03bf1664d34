"""Evidence files made by hand: as the format has them, to be spoilt by a test in one thing."""

import base64
import hashlib
import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.harness.logs import naive_leaf, naive_root

from indelible.client.examine import Examined, examine_file
from indelible.client.trust import trust
from indelible.merkle.proofs import inclusion_proof
from indelible.merkle.ranges import range_proof
from indelible.merkle.subtrees import HashSource
from indelible.model.limits import DEFAULT_LIMITS, Limits
from indelible.notes.checkpoint import Checkpoint, sign_checkpoint
from indelible.notes.keys import Signer, derive_seed
from indelible.notes.note import sign_note

CORPUS = "INDELIBLE_EVIDENCE_CORPUS"
MASTER = bytes(32)
DEPLOYMENT = "audit.example.com"
BILLING, SHOP = UUID(int=0xB111), UUID(int=0x5409)
START = 1_700_000_000  # 2023-11-14T22:13:20Z; event n is received n seconds later
Members = dict[str, bytes]


def time_of(second: int) -> str:
    """The time of an event that is received so many seconds after the start."""
    minutes, seconds = divmod(20 + second, 60)
    return f"2023-11-14T22:{13 + minutes:02}:{seconds:02}.000000Z"


def signer_of(origin: str) -> Signer:
    """The key of a log."""
    return Signer(origin, derive_seed(MASTER, origin))


@dataclass
class Event:
    """An event, and its line as somebody else's program would write it."""

    sequence: int
    writer: UUID
    payload: bytes
    second: int = -1

    def __post_init__(self) -> None:
        """Give it the time of its place."""
        self.second = self.sequence if self.second < 0 else self.second
        self.salt = hashlib.sha256(b"salt %d " % self.sequence + self.payload).digest()[:16]

    @property
    def entry(self) -> bytes:
        """The 65 bytes in the tree, written down from formats.md."""
        head = b"\x01" + self.sequence.to_bytes(8, "big") + (self.micros).to_bytes(8, "big")
        return head + self.writer.bytes + hashlib.sha256(self.salt + self.payload).digest()

    @property
    def micros(self) -> int:
        """When it was received."""
        return (START + self.second) * 1_000_000

    @property
    def leaf(self) -> bytes:
        """Its leaf hash."""
        return naive_leaf(self.sequence, self.micros, self.writer.bytes, self.salt, self.payload)

    def content(self) -> dict[str, str]:
        """The payload as it stands on the line."""
        try:
            return {"payload": self.payload.decode()}
        except UnicodeDecodeError:
            return {"payload_base64": base64.b64encode(self.payload).decode()}

    def line(self, **changes: Any) -> bytes:
        """Its line in events.ndjson."""
        members = {
            "sequence": self.sequence,
            "time": time_of(self.second),
            "writer": str(self.writer),
            "salt": self.salt.hex(),
            **self.content(),
            **changes,
        }
        return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


@dataclass
class Story:
    """A log with its events, and the key that signs its heads."""

    log_id: UUID
    name: str
    events: list[Event] = field(default_factory=list)
    deployment: str = DEPLOYMENT

    @property
    def origin(self) -> str:
        """Its origin."""
        return f"{self.deployment}/logs/{self.log_id}"

    @property
    def signer(self) -> Signer:
        """Its key."""
        return signer_of(self.origin)

    @cached_property
    def leaves(self) -> list[bytes]:
        """All leaf hashes."""
        return [event.leaf for event in self.events]

    @cached_property
    def root(self) -> bytes:
        """The root over all events."""
        return naive_root(self.leaves)

    def source(self) -> HashSource:
        """Hashes of perfect subtrees, each computed from its leaves."""
        leaves = self.leaves
        return lambda asked: [naive_root(leaves[at << level : (at + 1) << level]) for level, at in asked]

    def note(self) -> bytes:
        """The signed checkpoint."""
        return sign_checkpoint(Checkpoint(self.origin, len(self.events), self.root), self.signer)

    def keys(self) -> list[dict[str, Any]]:
        """What the server says of its keys."""
        return [{"verifier_key": self.signer.verifier.vkey, "valid_from_size": 0, "valid_to_size": None}]


def story(name: str, number: int, count: int) -> Story:
    """A log of `count` events."""
    made = Story(UUID(int=number), name)
    made.events = [
        Event(n, BILLING if n % 3 else SHOP, json.dumps({"log": name, "n": n}).encode())
        for n in range(1, count + 1)
    ]
    return made


def audit_story(*logs: Story) -> Story:
    """The log `_audit` that knows these logs and both writers."""
    made = Story(UUID(int=0xA0D1), "_audit")
    said: list[tuple[str, dict[str, str], dict[str, str]]] = [
        ("workspace.created", {"type": "workspace", "id": str(UUID(int=5)), "name": "w"}, {})
    ]
    for log in (made, *logs):
        about = {"type": "log", "id": str(log.log_id), "name": log.name}
        said.append(("log.created", about, {"origin": log.origin}))
    for writer, label in ((BILLING, "billing"), (SHOP, "shop")):
        said.append(("key.created", {"type": "key", "id": str(writer), "name": label}, {}))
    for at, (kind, resource, more) in enumerate(said, 1):
        payload = {
            "type": kind,
            "actor": {"type": "key", "id": str(UUID(int=1))},
            "resource": resource,
            **more,
        }
        made.events.append(Event(at, UUID(int=1), json.dumps(payload).encode(), 0))
    return made


ACME, OTHER = story("acme", 0xAC, 21), story("other", 0x07, 21)
AUDIT = audit_story(ACME, OTHER)
KEYS = [story.signer.verifier.vkey for story in (ACME, OTHER, AUDIT)]


def members_of(
    log: Story = ACME,
    first: int = 4,
    last: int = 9,
    window: tuple[int | None, int | None] | None = None,
    audit: Story = AUDIT,
) -> Members:
    """The files of the evidence of a range, as a server makes them; `window` in seconds after the start."""
    size = len(log.events)
    low, high = (None if at is None else time_of(at) for at in window or (None, None))
    times = None if window is None else {"from": low, "to": high}
    before = log.events[first - 2].entry.hex() if window and first > 1 else None
    after = log.events[last].entry.hex() if window and last < size else None
    ends = first - 1 - bool(before), last + bool(after)
    words = [event for event in audit.events if _concerns(event, log)]
    audit_size = len(audit.events)
    proofs = [inclusion_proof(event.sequence - 1, audit_size, audit.source()) for event in words]
    members: dict[str, Any] = {
        "VERIFY.txt": b"see docs/verify.md\n",
        "events.ndjson": b"".join(event.line() for event in log.events[first - 1 : last]),
        "proof.json": {
            "origin": log.origin, "first": first, "last": last, "size": size, "root": log.root.hex(),
            "window": times, "before": before, "after": after,
            "hashes": [one.hex() for one in range_proof(*ends, size, log.source())],
        },
        "checkpoint": log.note(),
        "keys.json": {"keys": log.keys()},
        "audit.ndjson": b"".join(event.line() for event in words),
        "audit-proof.json": {
            "origin": audit.origin, "size": audit_size, "root": audit.root.hex(),
            "checkpoint": audit.note().decode(), "keys": audit.keys(),
            "proofs": [[one.hex() for one in proof] for proof in proofs],
        },
        "manifest.json": {
            "format": "indelible/evidence/v1", "software": "indelible 0.1.0", "deployment": DEPLOYMENT,
            "workspace": "w", "log": {"log_id": str(log.log_id), "name": log.name, "origin": log.origin},
            "query": f"/logs/{log.name}/evidence", "basis": "received", "time_zone": "UTC", "window": times,
            "asked_by": {"key_id": str(UUID(int=9)), "label": "auditor"}, "made": time_of(100),
            "events": last - first + 1, "first_sequence": first, "last_sequence": last, "gaps": 0,
            "head": {"size": size, "root": log.root.hex()}, "files": {},
        },
    }  # fmt: skip
    return signed(listed({name: as_bytes(content) for name, content in members.items()}), log.signer)


def _concerns(event: Event, log: Story) -> bool:
    said = json.loads(event.payload)
    of_log = said.get("type") == "log.created" and said["resource"]["id"] == str(log.log_id)
    return bool(of_log or said.get("type") == "key.created")


def as_bytes(content: Any) -> bytes:
    """JSON where it is not bytes yet."""
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def changed(members: Mapping[str, bytes], name: str, **changes: Any) -> Members:
    """The files with some members of one of them changed."""
    return {**members, name: json.dumps({**json.loads(members[name]), **changes}).encode()}


def listed(members: Mapping[str, bytes]) -> Members:
    """The files with all digests on the cover sheet recomputed, as whoever edits them can."""
    files = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in members.items()
        if not name.startswith("manifest.")
    }
    return changed(members, "manifest.json", files=files)


def signed(members: Members, signer: Signer, **changes: Any) -> Members:
    """The files with manifest.sig made anew from what the cover sheet says, by any key."""
    sheet = {**json.loads(members["manifest.json"]), **changes}
    root = base64.b64encode(bytes.fromhex(sheet["head"]["root"])).decode()
    digest = hashlib.sha256(members["manifest.json"]).hexdigest()
    text = (
        f"indelible/evidence/v1\n{sheet['log']['origin']}\n{sheet['head']['size']}\n{root}\n"
        f"{sheet['first_sequence']} {sheet['last_sequence']}\n{digest}\n"
    )
    return {**members, "manifest.sig": sign_note(text, [signer])}


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of the files, in the order given."""
    return zipped_pairs(list(members.items()), method)


def zipped_pairs(pairs: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of files that may have one name twice, written by hand (APPNOTE.TXT 4.3)."""
    body, directory = io.BytesIO(), io.BytesIO()
    for name, content in pairs:
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        data = packer.compress(content) + packer.flush() if method else content
        numbers = (0, method, 0, 0x21, zlib.crc32(content), len(data), len(content), len(name), 0)
        directory.write(struct.pack("<4sHHHHHHIIIHH", b"PK\x01\x02", 20, 20, *numbers))
        directory.write(struct.pack("<HHHII", 0, 0, 0, 0, body.tell()) + name.encode())
        body.write(struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, *numbers) + name.encode() + data)
    size, at, count = directory.tell(), body.tell(), len(pairs)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, size, at, 0)
    return body.getvalue() + directory.getvalue() + end


def examined(
    data: bytes | Members,
    keys: Sequence[str] = tuple(KEYS),
    limits: Limits = DEFAULT_LIMITS,
    witnesses: Sequence[str] = (),
) -> Examined:
    """What comes of it."""
    packed = data if isinstance(data, bytes) else zipped(data)
    found = examine_file(io.BytesIO(packed), None, trust(keys, (), witnesses), limits)
    if limits == DEFAULT_LIMITS:
        _keep(packed, [*keys, *witnesses], found)
    return found


def _keep(packed: bytes, keys: Sequence[str], found: Examined) -> None:
    """Keep a file in the folder that CORPUS names, for whoever has to come to the same verdict."""
    folder = os.environ.get(CORPUS)
    if folder is not None:
        place = Path(folder) / hashlib.sha256(packed + " ".join(keys).encode()).hexdigest()
        place.with_suffix(".zip").write_bytes(packed)
        wrong = " | ".join(claim.says for claim in found.claims if claim.verdict == "refuted")
        told = {"keys": list(keys), "verdict": found.verdict, "wrong": wrong}
        place.with_suffix(".json").write_text(json.dumps(told))


def wrong(data: bytes | Members, keys: Sequence[str] = tuple(KEYS), limits: Limits = DEFAULT_LIMITS) -> str:
    """The sentences that are refuted; fails where none is."""
    found = examined(data, keys, limits)
    assert found.verdict == "refuted", found
    return " | ".join(claim.says for claim in found.claims if claim.verdict == "refuted")
