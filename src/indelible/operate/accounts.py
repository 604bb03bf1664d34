"""What `_audit` says of a workspace: its name, its logs, keys and views, as they ought to stand in the store.

`_audit` is in the Merkle tree, rows are not. So a log that was renamed, a key that was given another owner or
brought back after it was revoked, and a writer that no key stands for, show by comparing the two. Memory
grows with logs, keys and versions of views, not with events.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from indelible.log.chunk import Chunk

OF_STATE = ("workspace.", "log.", "signing_key.", "key.", "view.d", "view.a", "view.r")
"""How the types of those events begin that change what is stored; questions and exports change nothing."""


class Said(NamedTuple):
    """One event of `_audit`: its facts, when it was received (µs), and whether that was held back.

    A time that is not after the one before may be held back by a clock that stepped back: then what was
    stored at that moment can be dated earlier.
    """

    sequence: int
    time: int
    held_back: bool
    actor: bytes
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of what the event is about."""
        return str(self.facts["resource"]["name"])


@dataclass(slots=True)
class AuditedView:
    """A version of a view, and the state that the events since leave it in."""

    said: Said
    state: str


@dataclass(slots=True)
class Account:
    """All that `_audit` says of a workspace. `whole` unless events of it could not be read."""

    workspaces: dict[str, Said] = field(default_factory=dict)
    logs: dict[str, Said] = field(default_factory=dict)
    public_proofs: dict[str, bool] = field(default_factory=dict)  # by log id
    signing_keys: dict[str, list[str]] = field(default_factory=dict)  # by origin, as they followed each other
    keys: dict[str, Said] = field(default_factory=dict)
    revoked: dict[str, Said] = field(default_factory=dict)
    views: dict[str, dict[int, AuditedView]] = field(default_factory=dict)  # by id and version
    whole: bool = True
    _time: int = 0

    def take(self, chunk: Chunk, upto: int) -> None:
        """Read the next chunk of `_audit` that ends at `upto` or before; pass over what changes no state."""
        if chunk.last > upto:
            return
        held_back = chunk.time <= self._time
        for at, payload in enumerate(chunk.payloads()):
            facts = _facts(payload)
            if facts is not None:
                said = Said(chunk.first + at, chunk.time, held_back, chunk.writer(at), facts)
                try:
                    self._note(facts["type"], str(facts["resource"]["id"]), said)
                except (KeyError, TypeError, ValueError):
                    self.whole = False
        self._time = chunk.time

    def _note(self, kind: str, subject: str, said: Said) -> None:
        if kind == "workspace.created":
            self.workspaces[subject] = said
        elif kind == "log.created":
            self.logs[subject] = said
            self.public_proofs[subject] = said.facts.get("public_proofs", False)
        elif kind == "log.access_changed":
            self.public_proofs[subject] = said.facts["public_proofs"]
        elif kind == "signing_key.declared":
            self.signing_keys.setdefault(said.facts["origin"], [said.facts["verifier_key"]])
        elif kind == "signing_key.rotated":
            self.signing_keys[said.facts["origin"]].append(said.facts["verifier_key"])
        elif kind == "key.created":
            self.keys[subject] = said
        elif kind == "key.revoked":
            self.revoked[subject] = said
        elif kind in {"view.deployed", "view.activated", "view.rolled_back", "view.deleted"}:
            self._note_view(kind, subject, said)

    def _note_view(self, kind: str, view_id: str, said: Said) -> None:
        """As `service/deployments.py` moves versions: one is active, at most one pending."""
        version = int(said.facts["to" if kind == "view.rolled_back" else "version"])
        versions = self.views.setdefault(view_id, {})
        in_use = {view.state for view in versions.values()} - {"retired"}
        retired = {"view.deployed": {"pending"}, "view.activated": {"active"}}.get(kind, in_use)
        for view in versions.values():
            if view.state in retired:
                view.state = "retired"
        if kind == "view.deployed":
            versions[version] = AuditedView(said, "pending" if in_use else "active")
        elif kind in {"view.activated", "view.rolled_back"}:
            versions[version].state = "active"


def _facts(payload: bytes) -> Mapping[str, Any] | None:
    if not payload.startswith(_BEGINNINGS):
        return None
    try:
        facts = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return facts if isinstance(facts, dict) else None


_BEGINNINGS = tuple(f'{{"type":"{kind}'.encode() for kind in OF_STATE)


def id_of(raw: bytes) -> str:
    """A stored id as `_audit` writes it; what has no 16 bytes, in hex."""
    return str(uuid.UUID(bytes=raw)) if len(raw) == 16 else raw.hex()  # noqa: PLR2004 - a UUID's bytes
