"""Examining a log that a server shows: its whole history, by tiles, in sentences for an auditor.

Nothing that the server says is believed. What is trusted is a verifier key from elsewhere, and what was
remembered of the log when it was seen before.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from indelible.client.claims import Claim, check_signature, when
from indelible.client.continuity import Sighting, check_history, read_head
from indelible.client.entries import NOTHING, read_entries
from indelible.client.errors import NotProved
from indelible.client.examine import Examined
from indelible.client.pins import PinStore
from indelible.client.reading import EventReader, event_params
from indelible.client.results import Event
from indelible.client.tiled import TiledLog
from indelible.client.verify import parse_keys
from indelible.merkle.entry import Entry, commitment
from indelible.model.errors import Problem
from indelible.notes.checkpoint import Checkpoint
from indelible.notes.keys import Verifier
from indelible.notes.statements import KeyHistory


def examine_live(
    log: TiledLog,
    keys: Sequence[str],
    pins: PinStore | None,
    *,
    payloads: bool = False,
    progress: Callable[[int, int], object] = lambda _done, _of: None,
) -> Examined:
    """Examine a log from its first event to its newest checkpoint.

    Args:
        log: where it is served.
        keys: verifier keys that are trusted.
        pins: what is remembered of logs; the head is compared with it and remembered. None: neither.
        payloads: read the events too, and check each against its commitment.
        progress: told how many events of how many are done.

    Raises:
        HistoryChanged: it is not the history that was seen before; the evidence was written.
        NotProved: the checkpoint is malformed, or a key is.
        PinsUnusable: what is remembered cannot be read or kept.
        Problem, Unreachable, UnexpectedAnswer: the log could not be read.
    """
    trusted = parse_keys(keys)
    note = log.checkpoint()
    head = read_head(note)
    claims = [check_signature(note, head, [KeyHistory.only(key) for key in trusted])]
    if pins is not None and claims[0].verdict != "refuted":
        sighting = check_history(pins, log, note, trusted)
        claims = [*_first_seen_key(sighting, claims[0], trusted), *_continued(sighting)]
    claims += _history(log, head, payloads=payloads, progress=progress)
    return Examined("log", tuple(claims))


def _first_seen_key(sighting: Sighting, signature: Claim, trusted: Sequence[Verifier]) -> Iterator[Claim]:
    """Where no key was given, say what the one that is remembered shows."""
    if trusted:
        yield signature
        return
    head, key = sighting.head, sighting.pin.verifier.key_id.hex()
    yield Claim(
        "unproved",
        f"{head.origin} signed its head of {head.size} events with the key {key}, which came from the server "
        "itself when the log was first seen. Give a key from elsewhere to have that proved.",
    )


def _continued(sighting: Sighting) -> Iterator[Claim]:
    held, head = sighting.held, sighting.head
    if held is None:
        return
    if sighting.state == "older":
        says = f"It is the beginning of the head of {held.head.size} events that was seen before"
    else:
        says = f"It continues the head of {held.head.size} events that was seen before"
    yield Claim("proved", f"{says}: of those {min(held.head.size, head.size)} none was changed.")


def _history(
    log: TiledLog, head: Checkpoint, *, payloads: bool, progress: Callable[[int, int], object]
) -> Iterator[Claim]:
    contents = _Contents(log, head) if payloads and head.size else None
    done = 0

    def each(entries: Sequence[Entry]) -> None:
        nonlocal done
        if contents is not None:
            contents.check(entries)
        done += len(entries)
        progress(done, head.size)

    try:
        reached = read_entries(log, NOTHING, head, each)
    except _OtherContentError as error:
        yield Claim("refuted", str(error))
        return
    except NotProved as error:
        yield Claim("refuted", f"The log is not what it signed: {error}.")
        return
    except Problem as problem:
        if problem.code.name != "not_found":
            raise
        yield Claim("unproved", f"Not all of the log's {head.size} events are shown: {problem.detail}.")
        return
    yield from _whole(head, reached.first_time, reached.last_time)
    if contents is not None:
        yield Claim(
            "proved", f"What each of the {head.size} events says is what was committed, byte for byte."
        )


def _whole(head: Checkpoint, first: int | None, last: int) -> Iterator[Claim]:
    if first is None:
        yield Claim("proved", "Under that head stands no event.")
        return
    yield Claim(
        "proved",
        f"Under that head stand the events 1 to {head.size}, and none between them is missing: all entries "
        "were read, and they give its root.",
    )
    yield Claim("proved", f"Their times never go back, from {when(first)} to {when(last)}.")


class _OtherContentError(Exception):
    """An event as it is read is not what its entry commits to; the text is a claim's."""


class _Contents:
    """Reads events beside the entries, in one stream, and compares."""

    def __init__(self, log: TiledLog, head: Checkpoint) -> None:
        params = event_params(None, None, None, None, "asc", exact=True)
        self._lines = iter(EventReader(log.transport, f"{log.path}/events", params))
        self._origin = head.origin

    def check(self, entries: Sequence[Entry]) -> None:
        """Compare the next events with these entries."""
        for entry in entries:
            line = next(self._lines, None)
            if line is None:
                raise _OtherContentError(
                    f"Event {entry.sequence} is in the tree of {self._origin}, and is not among its events."
                )
            wrong = _differs(line, entry)
            if wrong is not None:
                raise _OtherContentError(
                    f"Event {entry.sequence} as it is read is not the one logged: {wrong}."
                )


def _differs(line: bytes, entry: Entry) -> str | None:
    try:
        event = msgspec.json.decode(line, type=Event)
        fields = (event.sequence, event.time_micros, event.writer_bytes)
        committed = commitment(bytes.fromhex(event.salt), event.payload_bytes)
    except (ValueError, RecursionError) as error:
        return f"it is malformed ({error})"
    for name, found, logged in zip(("sequence", "time", "writer"), fields, entry[:3], strict=True):
        if found != logged:
            return f"its {name} is another"
    return None if committed == entry.commitment else "its bytes or its salt are others"
