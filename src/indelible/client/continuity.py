"""Comparing a log's head with the one that was seen before: the same history, or evidence that it changed.

A newer head must be proved to continue the pinned one. An older head may come from a cache: it must be
proved to be the beginning of the pinned one, whose tree the log must still show. All proofs are made here,
out of the log's tiles, and nothing that a server says is believed.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from indelible.client.conflict import evidence, explain
from indelible.client.errors import Change, HistoryChanged, NotProved, PinsUnusable
from indelible.client.pins import Pin, PinStore
from indelible.client.tiled import TiledLog
from indelible.merkle.checks import ProofError
from indelible.merkle.proofs import consistency_proof, root_from_source, verify_consistency
from indelible.model.errors import Problem
from indelible.notes.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from indelible.notes.keys import Verifier
from indelible.notes.note import parse_note

_RACES = 10


class Sighting(NamedTuple):
    """A head that was seen, and how it stands to the one that was remembered (`held`, None at first sight).

    `pin` is what is to be remembered from now on: the larger of the two.
    """

    state: Literal["first", "same", "newer", "older"]
    head: Checkpoint
    held: Pin | None
    pin: Pin


def read_head(note: bytes) -> Checkpoint:
    """Read what a note says as a checkpoint, whoever signed it.

    Raises:
        NotProved: it is no checkpoint.
    """
    try:
        return parse_checkpoint(parse_note(note).text)
    except ValueError as error:
        raise NotProved(f"what the log shows is no checkpoint: {error}") from None


def compare(pins: PinStore, log: TiledLog, note: bytes, trusted: Sequence[Verifier] = ()) -> Sighting:
    """Compare a checkpoint of a log with what is remembered of it. Remembers nothing: `remember` does.

    Args:
        pins: what is remembered.
        log: shows the tiles that prove it.
        note: the checkpoint.
        trusted: keys from elsewhere; one of the log's name must then have signed. Without one, the key
            that the log was first seen with; at first sight the key that the server itself names.

    Raises:
        HistoryChanged: it is another history; the evidence was written.
        NotProved: the checkpoint is malformed, or not signed by the key.
        PinsUnusable: what is remembered cannot be read.
        Problem, Unreachable, UnexpectedAnswer: the log could not show what proves it.
    """
    head = read_head(note)
    held = pins.read(head.origin)
    named = [key for key in trusted if key.name == head.origin]
    if held is None:
        return Sighting(
            "first", head, None, Pin(head, _signer(note, head, named or _named_by_server(log)), note)
        )
    if not _signed(note, held.verifier):
        raise _not_by_the_pinned_key(pins, log, held, note, head)
    if named:
        _signer(note, head, named)
    if head.size == held.head.size:
        if head.root != held.head.root:
            raise changed("fork", pins, held, note, url=log.url)
        return Sighting("same", head, held, held)
    if head.size > held.head.size:
        _check_newer(pins, log, held, note, head)
        return Sighting("newer", head, held, Pin(head, held.verifier, note))
    _check_older(pins, log, held, note, head)
    return Sighting("older", head, held, held)


def remember(pins: PinStore, sighting: Sighting) -> bool:
    """Keep what was seen; False when another process kept something meanwhile: compare again."""
    if sighting.held == sighting.pin:
        return True
    return pins.replace(sighting.held, sighting.pin)


def check_history(pins: PinStore, log: TiledLog, note: bytes, trusted: Sequence[Verifier] = ()) -> Sighting:
    """Compare a checkpoint with what is remembered, and remember it. Raises what `compare` raises."""
    for _ in range(_RACES):
        sighting = compare(pins, log, note, trusted)
        if remember(pins, sighting):
            return sighting
    raise PinsUnusable(f"other processes change {pins.folder} all the time; give each a folder of its own")


def changed(
    kind: Change, pins: PinStore, held: Pin, note: bytes, *, url: str, key: Verifier | None = None
) -> HistoryChanged:
    """Write the evidence, and return the exception that carries it.

    Args:
        kind: what was found.
        pins: where the evidence is written.
        held: what was remembered.
        note: what is shown now.
        url: where.
        key: what signed it, when that is not the remembered key.
    """
    head = read_head(note)
    says = explain(kind, held, head)
    keys = [] if kind == "replaced" else [(key or held.verifier).vkey]
    text = evidence(kind, held, note, head, url=url, keys=keys)
    try:
        path = pins.keep_conflict(held.head.origin, held.note, note, text)
    except (PinsUnusable, OSError):
        path = None  # the finding counts more than its file; the exception has both notes
    return HistoryChanged(kind, says, origin=held.head.origin, pinned=held.note, seen=note, evidence=path)


def _named_by_server(log: TiledLog) -> Sequence[Verifier]:
    """The keys that the server names; none where it shows no such list, as a mirror of tiles does."""
    try:
        return log.keys()
    except Problem as problem:
        if problem.code.name != "not_found":
            raise
        return ()


def _signed(note: bytes, key: Verifier) -> bool:
    try:
        open_checkpoint(note, key)
    except ValueError:
        return False
    return True


def _signer(note: bytes, head: Checkpoint, keys: Sequence[Verifier]) -> Verifier:
    """The first key of the log's name that signed the note."""
    for key in keys:
        if key.name == head.origin and _signed(note, key):
            return key
    raise NotProved(
        f"the head of {head.size} events is not signed with a key of {head.origin} that is known here:"
        " give it with --key"
    )


def _not_by_the_pinned_key(
    pins: PinStore, log: TiledLog, held: Pin, note: bytes, head: Checkpoint
) -> NotProved:
    """Another key of the log is a changed history; no key at all is just a note that nobody signed."""
    try:
        key = _signer(note, head, _named_by_server(log))
    except NotProved:
        size, origin = head.size, head.origin
        return NotProved(f"the head of {size} events is not signed with the key that {origin} had first")
    return changed("key", pins, held, note, url=log.url, key=key)


def _check_newer(pins: PinStore, log: TiledLog, held: Pin, note: bytes, head: Checkpoint) -> None:
    old = held.head
    proof = consistency_proof(old.size, head.size, log.source(head.size))
    try:
        verify_consistency(old.size, head.size, old.root, head.root, proof)
    except ProofError:
        raise changed("rewritten", pins, held, note, url=log.url) from None


def _check_older(pins: PinStore, log: TiledLog, held: Pin, note: bytes, head: Checkpoint) -> None:
    """The whole right edge of the pinned tree is read: from size 0 a consistency proof shows nothing."""
    pinned = held.head
    source = log.source(pinned.size)
    try:
        root = root_from_source(pinned.size, source)
        proof = consistency_proof(head.size, pinned.size, source)
    except Problem as problem:
        if problem.code.name != "not_found":
            raise
        raise changed("rollback", pins, held, note, url=log.url) from None
    if root != pinned.root:
        raise changed("rewritten", pins, held, note, url=log.url)
    try:
        verify_consistency(head.size, pinned.size, head.root, pinned.root, proof)
    except ProofError:
        raise changed("rewritten", pins, held, note, url=log.url) from None
