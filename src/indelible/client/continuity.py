"""Comparing a log's head with the one that was seen before: the same history, or evidence that it changed.

A newer head must be proved to continue the pinned one. An older head may come from a cache: it must be
proved to be the beginning of the pinned one, whose tree the log must still show. All proofs are made here,
out of the log's tiles, and nothing that a server says is believed.
"""

from typing import Literal, NamedTuple

from indelible.client.conflict import changed
from indelible.client.errors import NotProved, PinsUnusable
from indelible.client.pinned_keys import Successors, first_pin, signed_with
from indelible.client.pins import Pin, PinStore
from indelible.client.succession import ShownKeys, reach_given
from indelible.client.tiled import TiledLog
from indelible.client.trust import Trust
from indelible.merkle.checks import ProofError
from indelible.merkle.proofs import consistency_proof, root_from_source, verify_consistency
from indelible.model.errors import Problem
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint
from indelible.notes.note import parse_note

_RACES = 10
NOTHING_GIVEN = Trust()
"""No key from elsewhere."""


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


def compare(pins: PinStore, log: TiledLog, note: bytes, trusted: Trust = NOTHING_GIVEN) -> Sighting:
    """Compare a checkpoint of a log with what is remembered of it. Remembers nothing: `remember` does.

    It must be signed with the key that the log was first seen with, or one that key statements tie to it,
    whichever is to sign heads of its size. At first sight the server's word for its keys is taken.

    Args:
        pins: what is remembered.
        log: shows the tiles that prove it, and its key statements.
        note: the checkpoint.
        trusted: keys and statements from elsewhere; where there is a key of the log's name, one of these,
            or one that it leads to, must have signed as well.

    Raises:
        HistoryChanged: it is another history, or the keys are others; the evidence was written.
        NotProved: the checkpoint is malformed, not signed by the key, or the statements do not hold.
        PinsUnusable: what is remembered cannot be read.
        Problem, Unreachable, UnexpectedAnswer: the log could not show what proves it.
    """
    head = read_head(note)
    given = trusted.about(head.origin)
    held = pins.read(head.origin)
    shown = ShownKeys(log)
    if held is None:
        return Sighting("first", head, None, first_pin(note, head, given, shown))
    keys = Successors(pins, log, held, note, head).find(given, shown)
    if given.keys:
        signed_with(reach_given(given, note, head, shown, keys.statements), note, head)
    kept = held._replace(keys=keys)
    if head.size == held.head.size:
        if head.root != held.head.root:
            raise changed("fork", pins, held, note, url=log.url)
        return Sighting("same", head, held, kept)
    if head.size > held.head.size:
        _check_newer(pins, log, held, note, head)
        return Sighting("newer", head, held, kept._replace(head=head, note=note))
    _check_older(pins, log, held, note, head)
    return Sighting("older", head, held, kept)


def remember(pins: PinStore, sighting: Sighting) -> bool:
    """Keep what was seen; False when another process kept something meanwhile: compare again."""
    if sighting.held == sighting.pin:
        return True
    return pins.replace(sighting.held, sighting.pin)


def check_history(pins: PinStore, log: TiledLog, note: bytes, trusted: Trust = NOTHING_GIVEN) -> Sighting:
    """Compare a checkpoint with what is remembered, and remember it. Raises what `compare` raises."""
    for _ in range(_RACES):
        sighting = compare(pins, log, note, trusted)
        if remember(pins, sighting):
            return sighting
    raise PinsUnusable(f"other processes change {pins.folder} all the time; give each a folder of its own")


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
