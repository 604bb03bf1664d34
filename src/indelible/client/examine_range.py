"""Examining a range proof: that a run of events is all that the log has there, and what each one says."""

import base64
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from indelible.client.claims import Claim, check_signature, when
from indelible.client.results import RangeProof, Window
from indelible.merkle import entry as entries
from indelible.merkle.hashing import leaf_hash
from indelible.merkle.ranges import verify_range
from indelible.model.instants import parse_instant
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint
from indelible.notes.note import parse_note
from indelible.notes.statements import KeyHistory


def examine_range(data: bytes, events: bytes | None, trusted: Sequence[KeyHistory]) -> list[Claim]:
    """Examine a range proof; `events` are those events as NDJSON, with their exact bytes, or None."""
    try:
        proof = msgspec.json.decode(data, type=RangeProof)
        found = [entries.decode_entry(bytes.fromhex(text)) for text in proof.entries]
        head = parse_checkpoint(parse_note(proof.checkpoint.encode()).text)
        hashes = [bytes.fromhex(text) for text in proof.hashes]
        window = None if proof.window is None else _times(proof.window)
    except (ValueError, RecursionError) as error:
        return [Claim("refuted", f"The range proof is malformed: {error}")]
    claims = [
        check_signature(proof.checkpoint.encode(), head, trusted),
        _completeness(proof, found, hashes, head),
    ]
    inside = found
    if window is not None:
        inside = _inside(found, *window)
        claims += _window(found, inside, window, head)
    return [*claims, _contents(events, found, inside)]


def _times(window: Window) -> tuple[int | None, int | None]:
    low, high = window.from_, window.to
    return (
        None if low is None else parse_instant(low),
        None if high is None else parse_instant(high),
    )


def _completeness(
    proof: RangeProof, found: Sequence[entries.Entry], hashes: Sequence[bytes], head: Checkpoint
) -> Claim:
    numbers = [event.sequence for event in found]
    leaves = [leaf_hash(entries.encode_entry(event)) for event in found]
    try:
        if proof.size != head.size or numbers != list(range(proof.first, proof.last + 1)):
            raise ValueError("its numbers do not fit together")  # noqa: TRY301 - told as what it refutes
        verify_range(proof.first - 1, leaves, head.size, hashes, head.root)
    except ValueError as error:
        return Claim("refuted", f"It is not proved that these are all events of the range: {error}")
    if not found:
        return Claim("proved", "Under that head stands no event.")
    return Claim(
        "proved",
        f"Under that head stand the events {proof.first} to {proof.last}, {len(found)} of them, and none "
        "between them is missing.",
    )


def _inside(found: Sequence[entries.Entry], low: int | None, high: int | None) -> list[entries.Entry]:
    return [event for event in found if (low or 0) <= event.time and (high is None or event.time < high)]


def _window(
    found: Sequence[entries.Entry],
    inside: Sequence[entries.Entry],
    window: tuple[int | None, int | None],
    head: Checkpoint,
) -> Iterator[Claim]:
    low, high = window
    where = f"event {inside[0].sequence} to {inside[-1].sequence}" if inside else "no event"
    if any(later.time < earlier.time for earlier, later in pairwise(found)):
        yield Claim("refuted", "The times of the events go back, so none of them bounds a window.")
        return
    if not found and head.size:
        yield Claim("refuted", "The window is not complete: the events beside it are left out.")
        return
    yield Claim("proved", f"Received in the window: {len(inside)} events ({where}).")
    yield window_beginning(found[0] if found else None, low)
    yield window_end(found[-1] if found else None, high, head)


def window_beginning(first: entries.Entry | None, low: int | None) -> Claim:
    """Whether a window (µs) is complete at its beginning, given the first entry of its range."""
    if low is None or first is None:
        return Claim("proved", "The window is complete at its beginning: the log begins inside it.")
    if first.time < low:
        says = f"event {first.sequence} was received {when(first.time)}, before the window"
        return Claim("proved", f"The window is complete at its beginning: {says}.")
    if first.sequence == 1:
        return Claim("proved", "The window is complete at its beginning: the log begins inside it.")
    return Claim("refuted", "The window is not complete at its beginning: earlier events are left out.")


def window_end(last: entries.Entry | None, high: int | None, head: Checkpoint) -> Claim:
    """Whether a window (µs) is complete at its end, given the last entry of its range.

    Times never decrease, so what follows an event after the window is after it too.
    """
    if last is not None and high is not None and last.time >= high:
        says = f"event {last.sequence} was received {when(last.time)}, after it"
        return Claim("proved", f"The window is complete at its end: {says}.")
    if last is not None and last.sequence != head.size:
        return Claim("refuted", "The window is not complete at its end: later events are left out.")
    return Claim(
        "unproved",
        "Whether the window is complete at its end is not known: nothing was received after it under that "
        "head, so an event could still be dated into it. Ask again when the log has gone on.",
    )


def _contents(events: bytes | None, found: Sequence[entries.Entry], inside: Sequence[entries.Entry]) -> Claim:
    if not inside:
        return Claim("proved", "There is no event whose content could be checked.")
    if events is None:
        return Claim("unproved", "What the events say was not checked: they were not given.")
    lines = [line for line in events.split(b"\n") if line.strip()]
    try:
        wrong = _first_wrong([_Line.of(line) for line in lines], found, inside)
    except (ValueError, RecursionError) as error:
        wrong = f"The events given are malformed: {error}"
    if wrong is not None:
        return Claim("refuted", wrong)
    return Claim("proved", f"The {len(lines)} events given are what the log has, byte for byte.")


def _first_wrong(
    lines: Sequence["_Line"], found: Sequence[entries.Entry], inside: Sequence[entries.Entry]
) -> str | None:
    """What is wrong with the events given; the neighbours of a window may be among them or not."""
    given = {line.sequence: line for line in lines}
    if len(given) != len(lines):
        return "An event is given twice."
    needed = {event.sequence for event in inside}
    for entry in found:
        line = given.pop(entry.sequence, None)
        if line is None:
            if entry.sequence in needed:
                return f"Event {entry.sequence} is not among those given."
        elif entries.commitment(line.salt_bytes, line.payload) != entry.commitment:
            return f"Event {entry.sequence} as it is given is not what the log has."
    return f"Event {min(given)} is given, and is not in the range." if given else None


class _Line(msgspec.Struct, frozen=True):
    sequence: int
    salt: str
    payload_base64: str

    @classmethod
    def of(cls, line: bytes) -> "_Line":
        return msgspec.json.decode(line, type=cls)

    @property
    def salt_bytes(self) -> bytes:
        return bytes.fromhex(self.salt)

    @property
    def payload(self) -> bytes:
        return base64.b64decode(self.payload_base64, validate=True)


def is_range(data: bytes) -> bool:
    """Say whether a JSON object is meant as a range proof."""
    try:
        members: dict[str, Any] = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        return False
    return "entries" in members
