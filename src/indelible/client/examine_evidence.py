"""Examining an evidence file: everything in it is recomputed, and what cannot be is said.

Every byte is hostile. The only thing trusted is what comes from somewhere else: verifier keys.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from indelible.client.claims import Claim, check_signature, check_signed, when
from indelible.client.evidence_audit import AuditWords, check_names
from indelible.client.evidence_deployment import check_deployment, cosigned_somewhere
from indelible.client.evidence_events import EventLines
from indelible.client.evidence_parts import (
    AuditProof,
    Files,
    Manifest,
    RangeClosing,
    open_files,
    parse,
    window_of,
)
from indelible.client.evidence_report import ReportParts, check_report, parse_report
from indelible.client.examine_range import window_beginning, window_end
from indelible.client.results import KeyList
from indelible.client.strictzip import ZipError, read_pieces
from indelible.client.trust import Trust
from indelible.merkle.entry import Entry, decode_entry
from indelible.merkle.frontier import Frontier, extend
from indelible.merkle.hashing import leaf_hash
from indelible.merkle.ranges import OpenRange, close_range, open_range
from indelible.model.limits import Limits
from indelible.model.names import AUDIT_LOG
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint
from indelible.notes.evidence import (
    CLOSING,
    DEPLOYMENT,
    EVENTS,
    FORMAT,
    MANIFEST,
    REPORT,
    SIGNATURE,
    Statement,
    parse_statement,
)
from indelible.notes.note import parse_note
from indelible.notes.statements import KeyHistory

ZIP_MAGIC = b"PK"

Told = Callable[[int, int], object]
"""Is told how many bytes of events were read, and of how many."""


class _Parts(NamedTuple):
    """The parts of a file but for its events, parsed; nothing of them is checked yet."""

    manifest: Manifest
    manifest_sha256: str
    statement: Statement
    signature: bytes
    proof: RangeClosing | None  # None where the events are left out
    note: bytes
    head: Checkpoint
    keys: KeyList
    audit_lines: bytes
    audit_proof: AuditProof
    deployment: bytes | None
    digests: dict[str, str]
    report: ReportParts | None


def _neighbours(proof: RangeClosing) -> tuple[Entry | None, Entry | None]:
    """The entries before and after a window."""
    before, after = proof.before, proof.after
    return (
        None if before is None else decode_entry(bytes.fromhex(before)),
        None if after is None else decode_entry(bytes.fromhex(after)),
    )


class _Read(NamedTuple):
    """What was read of the events, and the proof that closes the tree around them."""

    proof: RangeClosing
    events: EventLines
    ranged: OpenRange


def examine_evidence(
    file: BinaryIO, given: Trust, limits: Limits, told: Told = lambda _done, _all: None
) -> Iterator[Claim]:
    """Examine an evidence file, in bounded memory whatever its size.

    Args:
        file: seekable.
        given: keys of the log and of `_audit`, from somewhere else than the file; they lead to others by the
            statements in the file.
        limits: those named `evidence_…` bound what is read.
        told: is called from time to time.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        files = open_files(file, limits)
        parts = _parse(files)
        _check_agreement(parts)
        trusted = given.histories(key.statement for key in (*parts.keys.keys, *parts.audit_proof.keys))
        read = None if parts.proof is None else _read_events(files, parts.proof, limits, told)
        words = AuditWords(parts.audit_lines, parts.audit_proof, trusted)
        _check_audit(parts, words)
    except ZipError as error:
        yield Claim("refuted", f"The file is not an evidence zip as the format has it: {error}.")
    except ValueError as error:
        yield Claim("refuted", f"The file does not fit together: {error}.")
    else:
        claims = list(_claims(files, parts, read, trusted, words, given))
        yield from claims
        if parts.report is not None:
            wrong = any(claim.verdict == "refuted" for claim in claims)
            yield _recomputed(files, parts, parts.report, limits, told, wrong=wrong)
        yield from _stated(parts, trusted)


def _claims(
    files: Files,
    parts: _Parts,
    read: _Read | None,
    trusted: Sequence[KeyHistory],
    words: AuditWords,
    given: Trust,
) -> Iterator[Claim]:
    """All claims but that a report follows from the events, and what is only stated."""
    yield _check_digests(files, parts, read)
    origin = parts.head.origin
    yield check_signed(parts.signature, parts.head, trusted, "the cover sheet")
    yield check_signature(parts.note, parts.head, trusted)
    if read is None:
        yield Claim("unproved", _LEFT_OUT)
    else:
        yield from _check_range(parts, read)
    writers = Counter[str]() if read is None else read.events.writers
    yield from words.claims(origin, parts.manifest.log.name, writers)
    yield from check_deployment(parts.deployment, parts.head, trusted)
    yield from cosigned_somewhere(parts.note, parts.deployment, given)
    if parts.report is not None:
        yield from check_report(parts.report, parts.manifest, parts.head, trusted)


_LEFT_OUT = (
    "The events are not in the file, so nothing of them was checked: ask for it with its events (without "
    "_payloads=0)."
)


def _recomputed(
    files: Files, parts: _Parts, report: ReportParts, limits: Limits, told: Told, *, wrong: bool
) -> Claim:
    if parts.proof is None:
        says = "the events are not in the file; it takes the file with its events"
    elif wrong:
        says = "the file is wrong in what stands above"
    else:
        from indelible.client.recompute import recompute  # noqa: PLC0415 - few files have a report

        return recompute(files, report, parts.manifest, limits, told)
    return Claim("unproved", f"That the report follows from the events was not recomputed: {says}.")


# ---------------------------------------------------------------------- reading


def _parse(files: Files) -> _Parts:
    digests = {}
    content = {}
    for name in files.members:
        if name != EVENTS:
            content[name] = files.read(name)
            digests[name] = hashlib.sha256(content[name]).hexdigest()
    closing = content.get(CLOSING)
    return _Parts(
        parse(MANIFEST, content[MANIFEST], Manifest),
        digests[MANIFEST],
        parse_statement(parse_note(content[SIGNATURE]).text),
        content[SIGNATURE],
        None if closing is None else parse(CLOSING, closing, RangeClosing),
        content["checkpoint"],
        parse_checkpoint(parse_note(content["checkpoint"]).text),
        parse("keys.json", content["keys.json"], KeyList),
        content["audit.ndjson"],
        parse("audit-proof.json", content["audit-proof.json"], AuditProof),
        content.get(DEPLOYMENT),
        digests,
        parse_report(content) if REPORT in content else None,
    )


def _check_agreement(parts: _Parts) -> None:
    """Whether all parts speak of the same events of the same log; raises ValueError."""
    sheet, said, head = parts.manifest, parts.statement, parts.head
    if (sheet.format, sheet.basis, sheet.time_zone) != (FORMAT, "received", "UTC"):
        raise ValueError("the cover sheet is of another format")
    if len({sheet.log.origin, said.origin, head.origin}) > 1:
        raise ValueError("its parts are of several logs")
    if head.origin != f"{sheet.deployment}/logs/{sheet.log.log_id}":
        raise ValueError("the cover sheet names another deployment or log than the checkpoint")
    if said.manifest_sha256 != parts.manifest_sha256:
        raise ValueError("manifest.sig is of another cover sheet")
    if {(head.size, head.root.hex()), (said.size, said.root.hex())} != {(sheet.head.size, sheet.head.root)}:
        raise ValueError("its parts are of several heads")
    first, last = sheet.first_sequence, sheet.last_sequence
    if (said.first, said.last) != (first, last):
        raise ValueError("its parts are of several ranges")
    if not 1 <= first <= last + 1 <= head.size + 1 or (sheet.events, sheet.gaps) != (last - first + 1, 0):
        raise ValueError("its range is none, or has another number of events than the cover sheet says")
    low, high = window_of(sheet.window) or (None, None)
    if low is not None and high is not None and low >= high:
        raise ValueError("its window of time has no time in it")
    check_names(parts.keys.keys, head.origin, "keys.json")
    if parts.proof is not None:
        _check_closing(parts.proof, sheet)


def _check_closing(proof: RangeClosing, sheet: Manifest) -> None:
    """Whether the proof is of what the cover sheet speaks of; raises ValueError."""
    if proof.origin != sheet.log.origin:
        raise ValueError("its parts are of several logs")
    if (proof.size, proof.root) != (sheet.head.size, sheet.head.root):
        raise ValueError("its parts are of several heads")
    if (proof.first, proof.last) != (sheet.first_sequence, sheet.last_sequence):
        raise ValueError("its parts are of several ranges")
    if sheet.window != proof.window or (proof.window is None and (proof.before or proof.after)):
        raise ValueError("its parts are of several windows of time")


def _check_audit(parts: _Parts, words: AuditWords) -> None:
    """Whether the words are of a log that can be this one's `_audit`; raises ValueError."""
    own = words.origin == parts.head.origin
    if own != (parts.manifest.log.name == AUDIT_LOG):
        raise ValueError("the words of _audit are of the log itself, or not of itself where it is _audit")
    if words.origin.partition("/logs/")[0] != parts.manifest.deployment:
        raise ValueError("the words of _audit are of another deployment")


def _read_events(files: Files, proof: RangeClosing, limits: Limits, told: Told) -> _Read:
    """Read the events into the tree; raises ValueError, ZipError."""
    before, after = _neighbours(proof)
    if before is not None and before.sequence != proof.first - 1:
        raise ValueError("the event before the window has another sequence")
    if after is not None and after.sequence != proof.last + 1:
        raise ValueError("the event after the window has another sequence")
    begin = proof.first - (1 if before is None else 2)
    end = proof.last + (0 if after is None else 1)
    ranged = open_range(begin, end, proof.size, [bytes.fromhex(text) for text in proof.hashes])
    left = ranged.left if proof.before is None else _extended(ranged.left, proof.before)
    events = EventLines(proof.first, left, limits)
    member = files.members[EVENTS]
    try:
        events.read(read_pieces(files.file, member), lambda done: told(done, member.size))
    except ZipError:
        raise
    except ValueError as error:
        raise ValueError(f"events.ndjson is malformed: {error}") from None
    if events.next != proof.last + 1:
        raise ValueError(f"there are {events.next - proof.first} events in it, and {proof.last} is the last")
    if proof.after is not None:
        events.frontier = _extended(events.frontier, proof.after)
    return _Read(proof, events, ranged)


def _extended(frontier: Frontier, entry: str) -> Frontier:
    return extend(frontier, [leaf_hash(bytes.fromhex(entry))]).frontier


# ---------------------------------------------------------------------- claims


def _check_digests(files: Files, parts: _Parts, read: _Read | None) -> Claim:
    listed = {name: (file.sha256, file.bytes) for name, file in parts.manifest.files.items()}
    digests = parts.digests if read is None else {**parts.digests, EVENTS: read.events.sha256}
    found = {
        name: (digests[name], member.size)
        for name, member in files.members.items()
        if name not in {MANIFEST, SIGNATURE}
    }
    if listed == found:
        return Claim("proved", f"The cover sheet lists the {len(found)} files with it as they are (SHA-256).")
    wrong = next(name for name in (*found, *listed) if listed.get(name) != found.get(name))
    return Claim(
        "refuted", f"{wrong} is not as the cover sheet lists it: it was changed, added or taken away."
    )


def _check_range(parts: _Parts, read: _Read) -> Iterator[Claim]:
    (proof, events, ranged), head = read, parts.head
    count = proof.last - proof.first + 1
    try:
        close_range(ranged, events.frontier, head.root)
    except ValueError as error:
        says = "It is not proved that these are the log's events: one was edited, left out, added or moved"
        yield Claim("refuted", f"{says}. {error}")
        return
    if count:
        says = f"Under that head stand the events {proof.first} to {proof.last}, {count} of them"
        yield Claim("proved", f"{says}, and none between them is missing.")
        yield Claim("proved", f"The {count} events in the file are what the log has, byte for byte.")
    else:
        yield Claim("proved", f"The file holds no event, of {head.size} under that head.")
    yield from _check_times(parts, proof, events)


def _check_times(parts: _Parts, proof: RangeClosing, events: EventLines) -> Iterator[Claim]:
    before, after = _neighbours(proof)
    known = [before and before.time, events.first_time, events.last_time, after and after.time]
    edges = [time for time in known if time is not None]
    if events.times_fall is not None or edges != sorted(edges):
        where = f" at event {events.times_fall}" if events.times_fall is not None else ""
        yield Claim("refuted", f"The times of the events go back{where}, so none of them bounds a window.")
        return
    if events.first_time is not None and events.last_time is not None:
        span = f"from {when(events.first_time)} to {when(events.last_time)}"
        yield Claim("proved", f"They were received {span}, by the server's clock, and no time goes back.")
    window = window_of(proof.window)
    if window is not None:
        yield from _check_window(parts, proof, events, window)


def _check_window(
    parts: _Parts, proof: RangeClosing, events: EventLines, window: tuple[int | None, int | None]
) -> Iterator[Claim]:
    (low, high), (before, after) = window, _neighbours(proof)
    first, last = events.first_time, events.last_time
    early = low is not None and first is not None and first < low
    late = high is not None and last is not None and last >= high
    if early or late:
        yield Claim("refuted", "There are events in the file that were received outside of its window.")
        return
    outside = (before is None or low is not None) and (
        after is None or (high is not None and after.time >= high)
    )
    beside = (before is not None or proof.first == 1) and (after is not None or proof.last == proof.size)
    if not (outside and beside):
        yield Claim(
            "refuted", "The window is not complete: an event of it or beside it is left out at an end."
        )
        return
    count = proof.last - proof.first + 1
    where = f"event {proof.first} to {proof.last}" if count else "no event"
    yield Claim("proved", f"Received in the window: {count} events ({where}).")
    edge = bytes(16), bytes(32)
    begin = before or (after if first is None else Entry(proof.first, first, *edge))
    end = after or (before if last is None else Entry(proof.last, last, *edge))
    yield window_beginning(begin, low)
    yield window_end(end, high, parts.head)
    if parts.manifest.window_closed and after is None:
        says = "says that no event can be dated into the window any more; nothing here proves it"
        yield Claim("stated", f"{parts.head.origin} {says}.")


def _stated(parts: _Parts, trusted: Sequence[KeyHistory]) -> Iterator[Claim]:
    """What stands on the cover sheet in the server's words."""
    sheet = parts.manifest
    asked = f'made {sheet.made} by {sheet.software} for the key "{sheet.asked_by.label}"'
    asked += f" ({sheet.asked_by.key_id}), who asked {sheet.query} in the workspace {sheet.workspace}"
    yield Claim("stated", f"In the server's words, which nothing here proves: {asked}.")
    given = {key.name for key in trusted}
    of_log, of_audit = parts.keys.keys, parts.audit_proof.keys
    missing = {key.verifier_key: None for key in (*of_log, *of_audit)}
    for key in missing:
        if key.partition("+")[0] not in given:
            says = "The file names this key, which has to be compared with one from elsewhere"
            yield Claim("stated", f"{says}: {key}")
