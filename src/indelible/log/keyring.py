"""Which keys a log has had, which of them sign its heads now, and the statements that say so to others.

The rows of the store say how keys followed each other; every one is checked as a stranger would check it.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import structlog

from indelible.log.signers import DERIVED, LogSigner, Signers
from indelible.model.clock import Clock
from indelible.model.errors import Problem
from indelible.model.instants import MICROS_PER_SECOND
from indelible.model.limits import Limits
from indelible.model.types import LogInfo
from indelible.notes.checkpoint import Checkpoint, format_checkpoint
from indelible.notes.keys import Verifier
from indelible.notes.note import sign_note
from indelible.notes.statements import KeyHistory, KeyStatement, follow, open_statement, sign_statement
from indelible.notes.strict import NoteError
from indelible.store.base import LogKeyRow, Reader
from indelible.store.objects import Objects

CACHED_HISTORIES = 4_096


class Histories(Protocol):
    """Knows the keys that a log's checkpoints are opened with."""

    def history(self, info: LogInfo) -> KeyHistory:
        """The keys of a log; raises ValueError where what is stored of them does not hold."""


class Keys(NamedTuple):
    """The keys of a log as stored: rows, what the statements say (from the second on), and their history."""

    rows: tuple[LogKeyRow, ...]
    statements: tuple[KeyStatement, ...]
    history: KeyHistory


def statement_key(info: LogInfo, generation: int) -> str:
    """Where the statement by which a generation followed stands in the object store."""
    return f"proofs/{info.log_id}/keys/{generation}"


def first_row(log: int, holder: str, verifier: Verifier, created: int) -> LogKeyRow:
    """What is stored of a log's first key."""
    return LogKeyRow(log, 0, holder, verifier.vkey, b"", created)


class Keyring:
    """The keys of all logs. Any thread; each call reads the store, so a rotation counts once committed."""

    def __init__(self, reader: Reader, signers: Signers, limits: Limits, clock: Clock) -> None:
        self._reader = reader
        self.signers = signers
        self._overlap = limits.key_overlap_seconds * MICROS_PER_SECOND
        self._wall_micros = clock.wall_micros
        self._checked: OrderedDict[int, Keys] = OrderedDict()
        self._stored: set[tuple[int, int]] = set()  # statements that this process knows to be in the objects

    def history(self, info: LogInfo) -> KeyHistory:
        """The keys of a log.

        Raises:
            ValueError: the stored rows do not follow each other, or are not the keys of this deployment.
        """
        return self.keys(info).history

    def keys(self, info: LogInfo) -> Keys:
        """The keys of a log with all that is stored of them; raises as `history`."""
        rows = tuple(self._reader.log_keys(info.key))
        known = self._checked.get(info.key)
        if known is not None and rows and known.rows == rows:
            return known
        keys = self._check(info, rows)
        self._checked[info.key] = keys
        if len(self._checked) > CACHED_HISTORIES:
            self._checked.popitem(last=False)
        return keys

    def _check(self, info: LogInfo, rows: tuple[LogKeyRow, ...]) -> Keys:
        if not rows:  # made before keys were stored: its one key derives
            verifier = self.signers.signer(info.origin).verifier
            rows = (first_row(info.key, DERIVED, verifier, info.created),)
        if [row.generation for row in rows] != list(range(len(rows))):
            raise NoteError("The stored generations of its keys do not follow each other.")
        for row in rows:
            self._check_derived(info, row)
        notes = [row.statement for row in rows[1:]]
        history = follow(Verifier.parse(rows[0].verifier_key), notes)
        if [key.vkey for key in history.verifiers] != [row.verifier_key for row in rows]:
            raise NoteError("The stored keys are not those of their statements.")
        if history.name != info.origin:
            raise NoteError("The stored keys are those of another log.")
        return Keys(rows, tuple(map(open_statement, notes)), history)

    def _check_derived(self, info: LogInfo, row: LogKeyRow) -> None:
        derived = row.holder == DERIVED
        if derived and self.signers.signer(info.origin, row.generation).verifier.vkey != row.verifier_key:
            raise NoteError(f"The stored key of generation {row.generation} does not derive from the secret.")

    # ------------------------------------------------------------------ signing

    def sign(self, info: LogInfo, checkpoint: Checkpoint, objects: Objects) -> bytes:
        """The signed note of a checkpoint; see `sign_text`."""
        return self.sign_text(info, checkpoint.size, format_checkpoint(checkpoint), objects)

    def sign_text(self, info: LogInfo, size: int, text: str, objects: Objects) -> bytes:
        """The note of a text about a head, once the statements of the keys that sign it are in the objects.

        The key for the head's size signs; those that were followed a short while ago sign beside it, where
        they can.

        Raises:
            Problem: `signer_failed`.
            ValueError: as `history`, or another statement stands in the objects.
            OSError: a statement could not be stored.
        """
        keys = self.keys(info)
        self.publish_statements(info, keys, objects)
        main = keys.history.key_for(size)
        signed = [_Signed(self._signer(keys, main), text)]
        for verifier in self._overlapping(keys, main):
            try:
                signed.append(_Signed(self._signer(keys, verifier), text))
            except Problem as problem:  # its time ends soon anyway, and the new key's word is what counts
                structlog.get_logger().warning("a retired key did not sign", found=problem.detail)
        return sign_note(text, signed)

    def _signer(self, keys: Keys, verifier: Verifier) -> LogSigner:
        row = next(row for row in keys.rows if row.verifier_key == verifier.vkey)
        return self.signers.known(row.holder, verifier, row.generation)

    def _overlapping(self, keys: Keys, main: Verifier) -> Sequence[Verifier]:
        """Keys before `main` that were followed less than the overlap ago, the newest first."""
        followed = keys.statements[: keys.history.verifiers.index(main)]
        if not followed:
            return ()
        now = self._wall_micros()
        return [each.old for each in reversed(followed) if now < each.time + self._overlap]

    def publish_statements(self, info: LogInfo, keys: Keys, objects: Objects) -> None:
        """Store a log's statements beside its checkpoint, for all to find before the new key is seen.

        Raises:
            ValueError: another statement stands there.
        """
        for row in keys.rows[1:]:
            at = (info.key, row.generation)
            if at in self._stored:
                continue
            place = statement_key(info, row.generation)
            if not objects.create(place, row.statement) and objects.get(place) != row.statement:
                raise NoteError(
                    f"Another statement was published for the key of generation {row.generation}."
                )
            self._stored.add(at)

    def published_differ(self, info: LogInfo, objects: Objects) -> str | None:
        """What is wrong where the objects have a statement that the store has not, or has otherwise."""
        rows = self.keys(info).rows
        while objects.get(statement_key(info, len(rows))) is not None:
            newer = self.keys(info).rows  # another node's is stored before its statement is published
            if len(newer) == len(rows):
                found = f"a key of generation {len(rows)} was published that the store does not have"
                return f"{found}: an older copy was restored"
            rows = newer
        for row in rows[1:]:
            note = objects.get(statement_key(info, row.generation))
            if note is not None and note != row.statement:
                return (
                    f"the published statement of its key of generation {row.generation} is not the stored one"
                )
        return None

    # ------------------------------------------------------------------ rotation

    def next_row(self, info: LogInfo, keys: Keys, valid_from_size: int) -> LogKeyRow:
        """The next key of a log with its statement, which both keys signed; nothing is stored.

        Raises:
            Problem: `signer_failed`.
        """
        generation = len(keys.rows)
        old = self._signer(keys, keys.history.newest)
        new = self.signers.new(info.origin, generation)
        time = max([self._wall_micros(), *(statement.time for statement in keys.statements)])
        statement = KeyStatement(info.origin, old.verifier, new.verifier, valid_from_size, time)
        note = sign_statement(statement, old, new)
        return LogKeyRow(info.key, generation, self.signers.holder, new.verifier.vkey, note, time)


class _Signed:
    """A signature that was made, as a signer: so that one that cannot be made leaves the others."""

    def __init__(self, signer: LogSigner, text: str) -> None:
        self.name = signer.name
        self.key_id = signer.key_id
        self._signature = signer.sign(text)

    def sign(self, _text: str) -> bytes:
        return self._signature
