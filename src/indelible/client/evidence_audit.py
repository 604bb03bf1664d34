"""What `_audit` says in an evidence file: which log it is of, and whose keys wrote."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from indelible.client.claims import Claim, Verdict, check_signature, when
from indelible.client.evidence_events import micros_of, salts_of, writer_of
from indelible.client.evidence_parts import AuditProof
from indelible.client.results import NamedKey
from indelible.merkle.entry import Entry, commitment, encode_entry
from indelible.merkle.hashing import leaf_hash
from indelible.merkle.proofs import verify_inclusion
from indelible.model.types import NO_AUTH_WRITER, ROOT_WRITER
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint
from indelible.notes.evidence import Line, decode_lines, payload_of
from indelible.notes.keys import parse_vkey
from indelible.notes.note import parse_note
from indelible.notes.statements import KeyHistory

_FIXED = {
    str(ROOT_WRITER): "with the deployment's root key",
    str(NO_AUTH_WRITER): "by whoever reached a server without keys",
}


class _Resource(msgspec.Struct, frozen=True):
    type: str
    id: str
    name: str


class _Said(msgspec.Struct, frozen=True):
    type: str
    resource: _Resource
    origin: str | None = None


class _Word(NamedTuple):
    """An event of `_audit` that was read."""

    said: _Said
    time: int


class AuditWords:
    """The words of `_audit` that came with a file, and how far they are proved.

    Raises (from the constructor):
        ValueError: the lines or the proof are malformed, or do not fit together.
    """

    def __init__(self, lines: bytes, proof: AuditProof, trusted: Sequence[KeyHistory]) -> None:
        note = proof.checkpoint.encode()
        head = self._head = parse_checkpoint(parse_note(note).text)
        if (proof.origin, proof.size, proof.root) != (head.origin, head.size, head.root.hex()):
            raise ValueError("audit-proof.json and its checkpoint speak of two heads")
        check_names(proof.keys, head.origin, "audit-proof.json")
        self._lines = decode_lines(lines)
        self._words = [_word(line) for line in self._lines]
        self._signed = check_signature(note, head, trusted)
        self._stands = _standing(self._lines, proof, head)

    @property
    def origin(self) -> str:
        """The origin of the log that speaks."""
        return self._head.origin

    def claims(self, origin: str, name: str, writers: Mapping[str, int]) -> Iterable[Claim]:
        """What is claimed of the log and of its writers, with the number of events of each."""
        yield self._signed
        yield self._stands
        yield self._log(origin, name)
        yield from (self._writer(writer, events) for writer, events in writers.items())

    def _by_word(self, says: str) -> Claim:
        verdicts: set[Verdict] = {self._signed.verdict, self._stands.verdict}
        if "refuted" in verdicts:
            return Claim("refuted", f"It is not proved that {says}.")
        if "unproved" in verdicts:
            return Claim(
                "unproved", f"That {says}, stands in {self.origin}, whose signature was not checked."
            )
        return Claim("proved", f"{self.origin} says that {says}.")

    def _log(self, origin: str, name: str) -> Claim:
        log_id = origin.rpartition("/logs/")[2]
        for said, time in self._words:
            if (said.type, said.resource.type, said.resource.id) == ("log.created", "log", log_id):
                if (said.origin, said.resource.name) != (origin, name):
                    other = f'"{said.resource.name}", {said.origin}'
                    return Claim(
                        "refuted", f'The cover sheet names the log "{name}", {origin}; it is {other}.'
                    )
                return self._by_word(f'{origin} is the log "{name}", created {when(time)}')
        return Claim(
            "unproved", f'That {origin} is the log "{name}" was not checked: no word of _audit says so.'
        )

    def _writer(self, writer: str, events: int) -> Claim:
        if writer == "":
            return Claim(
                "unproved",
                f"{_counted(events)} written with more keys than are looked up; whose was not checked.",
            )
        if writer in _FIXED:
            return Claim("proved", f"{_counted(events)} written {_FIXED[writer]} ({writer}).")
        for said, time in self._words:
            if (said.type, said.resource.type, said.resource.id) == ("key.created", "key", writer):
                label = f'"{said.resource.name}" ({writer})'
                return self._by_word(f"{_counted(events)} written with the key {label}, made {when(time)}")
        why = "no word of _audit says whose that is"
        return Claim("unproved", f"{_counted(events)} written with the key {writer}; {why}.")


def _word(line: Line) -> _Word:
    try:
        said = msgspec.json.decode(payload_of(line), type=_Said)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"event {line.sequence} of _audit is malformed: {error}") from None
    return _Word(said, micros_of(line.time))


def _standing(lines: Sequence[Line], proof: AuditProof, head: Checkpoint) -> Claim:
    """Whether each line is under the head of `_audit`."""
    if len(lines) != len(proof.proofs):
        return Claim("refuted", "audit-proof.json has not one proof for each line of audit.ndjson.")
    for line, hashes in zip(lines, proof.proofs, strict=True):
        committed = commitment(salts_of([line.salt]), payload_of(line))
        entry = Entry(line.sequence, micros_of(line.time), writer_of(line.writer), committed)
        path = [bytes.fromhex(text) for text in hashes]
        try:
            verify_inclusion(line.sequence - 1, head.size, leaf_hash(encode_entry(entry)), path, head.root)
        except ValueError as error:
            return Claim(
                "refuted", f"Event {line.sequence} of _audit is not proved to be under its head: {error}"
            )
    return Claim(
        "proved", f"Under that head of {head.origin} stands all that the file has of it: {len(lines)} events."
    )


def check_names(keys: Iterable[NamedKey], origin: str, where: str) -> None:
    """Check that the keys that a file names for a log are of that log; raises ValueError."""
    for name in {parse_vkey(key.verifier_key).name for key in keys}:
        if name != origin:
            raise ValueError(f"{where} names a key of {name}, not of {origin}")


def _counted(events: int) -> str:
    """Begin a sentence about what was done to a number of events."""
    return "1 event was" if events == 1 else f"{events} events were"
