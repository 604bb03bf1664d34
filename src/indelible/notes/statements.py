r"""Key statements: how the key of a log is followed by another, and which key signs heads of which size.

    indelible/key/v1\n<origin>\n<old verifier key>\n<new verifier key>\n<valid from size>\n<time RFC 3339>\n

is the text of a signed note (C2SP signed-note) that both keys sign. From `valid from size` on, a head must be
signed by the new key; the old one's word counts for smaller heads only, whoever has it by then.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from indelible.model.instants import format_micros, parse_instant
from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint
from indelible.notes.keys import NoteSigner, NoteVerifier, Verifier
from indelible.notes.note import OpenedNote, open_note, parse_note, sign_note
from indelible.notes.strict import NoteError, decode_decimal, lines_of

HEADER = "indelible/key/v1"
"""The first line of a statement's text. No origin is so: an origin has `/logs/` in it."""

_LINES = 6
_SIGNATURES = 2


class KeyStatement(NamedTuple):
    """That `new` follows `old` from heads of `valid_from_size` on, said at `time` (µs since 1970)."""

    origin: str
    old: Verifier
    new: Verifier
    valid_from_size: int
    time: int


class KeyPeriod(NamedTuple):
    """A key, and the sizes of heads that it signs: `first` to `last`, both inside; None: it is the newest.

    `last` is smaller than `first` where a key was followed before it could sign anything alone.
    """

    verifier: Verifier
    first: int
    last: int | None


class KeyHistory(NamedTuple):
    """The keys of one log, oldest first, each followed by the next. Made by `follow` or `only`."""

    periods: tuple[KeyPeriod, ...]

    @classmethod
    def only(cls, verifier: Verifier) -> "KeyHistory":
        """The history of a key that nothing is known to follow: it signs heads of every size."""
        return cls((KeyPeriod(verifier, 0, None),))

    @property
    def name(self) -> str:
        """The name of the keys, which is the log's origin."""
        return self.periods[0].verifier.name

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """All keys, oldest first."""
        return tuple(period.verifier for period in self.periods)

    @property
    def newest(self) -> Verifier:
        """The key that nothing follows."""
        return self.periods[-1].verifier

    def key_for(self, size: int) -> Verifier:
        """The key that must have signed a head of this size.

        Raises:
            NoteError: no key of the history may sign it.
        """
        for period in reversed(self.periods):
            if period.first <= size:
                return period.verifier
        raise NoteError(f"No key of {self.name} that is known signs a head of {size} events.")


def format_statement(statement: KeyStatement) -> str:
    """Return a statement's text, the part that is signed.

    Raises:
        NoteError: `parse_statement` would refuse the text or read something else from it.
    """
    lines = (
        HEADER,
        statement.origin,
        statement.old.vkey,
        statement.new.vkey,
        str(statement.valid_from_size),
        format_micros(statement.time),
    )
    text = "".join(f"{line}\n" for line in lines)
    if parse_statement(text) != statement:
        raise NoteError("That key statement would not be read as it was written.")
    return text


def parse_statement(text: str) -> KeyStatement:
    """Return what a statement's text says; it is nobody's word yet.

    Raises:
        NoteError: it differs from the format in anything, names keys of another origin, or one key twice.
    """
    lines = lines_of(text, "A key statement")
    if len(lines) != _LINES or lines[0] != HEADER:
        raise NoteError(f"A key statement has {_LINES} lines, and the first is {HEADER}.")
    _, origin, old_text, new_text, size_text, time_text = lines
    old, new = Verifier.parse(old_text), Verifier.parse(new_text)
    if {old.name, new.name} != {origin}:
        raise NoteError("A key statement's keys have the name of its origin.")
    if old.public_key == new.public_key:
        raise NoteError("A key statement names two different keys.")
    return KeyStatement(
        origin, old, new, decode_decimal(size_text, "The size of a key statement"), _time(time_text)
    )


def _time(text: str) -> int:
    try:
        micros = parse_instant(text)
        canonical = format_micros(micros)
    except (ValueError, OverflowError):
        canonical = None
    if canonical != text:
        raise NoteError("The time of a key statement is not RFC 3339 in UTC with six digits and Z.")
    return micros


def sign_statement(statement: KeyStatement, old: NoteSigner, new: NoteSigner) -> bytes:
    """Return the note of a statement, signed by the old key and the new one.

    Raises:
        NoteError: these signers' are not the keys that it names, or it cannot be written.
    """
    note = sign_note(format_statement(statement), [old, new])
    open_statement(note)
    return note


def open_statement(note: bytes) -> KeyStatement:
    """Verify a statement: both keys that it names signed it, and nobody else.

    That the old key is one that may be trusted is not said here; `follow` does.

    Raises:
        NoteError: anything of this does not hold.
    """
    statement = parse_statement(parse_note(note).text)
    opened = open_note(note, [statement.old, statement.new])
    if len(opened.verified) != _SIGNATURES or opened.unknown:
        raise NoteError("A key statement is signed by the old key and by the new one, and by no other.")
    return statement


def follow(trusted: Verifier, notes: Iterable[bytes]) -> KeyHistory:
    """Return the history of a log's keys from one key of it that is trusted and its statements, in any order.

    The statements must make one chain with the trusted key in it. Those after it say who followed; those
    before it were signed by the key that followed, so its word vouches for the sizes of the older.

    Raises:
        NoteError: a statement does not verify or is of another log; two keys follow one key, or one follows
            two; a key comes back; sizes or times go back; a statement is not connected with the trusted key.
    """
    statements = _distinct(trusted, notes)
    by_old = {statement.old: statement for statement in statements}
    by_new = {statement.new: statement for statement in statements}
    if len(by_old) != len(statements) or len(by_new) != len(statements):
        raise NoteError(
            f"The key statements of {trusted.name} fork: one key is followed by two, or follows two."
        )
    first = trusted
    for _ in statements:
        if first in by_new:
            first = by_new[first].old
    chain: list[KeyStatement] = []
    key = first
    while key in by_old and len(chain) < len(statements):
        chain.append(by_old[key])
        key = chain[-1].new
    _check_chain(trusted, first, chain, len(statements))
    return _history(first, chain)


def _distinct(trusted: Verifier, notes: Iterable[bytes]) -> list[KeyStatement]:
    """The statements, each once; the same one given twice says nothing new."""
    limit = DEFAULT_LIMITS.keys_per_log
    found: dict[KeyStatement, None] = {}
    for note in notes:
        statement = open_statement(note)
        if statement.origin != trusted.name:
            raise NoteError(f"A key statement of {statement.origin} says nothing of {trusted.name}.")
        found[statement] = None
        if len(found) >= limit:
            raise NoteError(f"A log has at most {limit} keys.")
    return list(found)


def _check_chain(trusted: Verifier, first: Verifier, chain: Sequence[KeyStatement], statements: int) -> None:
    keys = [first, *(statement.new for statement in chain)]
    if len(set(keys)) != len(keys):
        raise NoteError(f"The key statements of {trusted.name} go back to a key that was retired.")
    if len(chain) != statements or trusted not in keys:
        raise NoteError(f"Key statements of {trusted.name} are not connected with the key that is trusted.")
    for before, after in pairwise(chain):
        if after.valid_from_size < before.valid_from_size or after.time < before.time:
            raise NoteError(f"The key statements of {trusted.name} go back in size or in time.")


def _history(first: Verifier, chain: Sequence[KeyStatement]) -> KeyHistory:
    keys = [first, *(statement.new for statement in chain)]
    starts = [0, *(statement.valid_from_size for statement in chain)]
    ends = [*(start - 1 for start in starts[1:]), None]
    return KeyHistory(tuple(KeyPeriod(*period) for period in zip(keys, starts, ends, strict=True)))


def open_checkpoint_with(
    history: KeyHistory, note: bytes, cosigners: Sequence[NoteVerifier] = ()
) -> tuple[Checkpoint, OpenedNote]:
    """Verify a checkpoint with a log's keys: the one for its size must have signed it, whoever else did.

    So a retired key, stolen or not, signs no head above its end.

    Raises:
        NoteError: that does not hold, a known key's signature does not verify, or the origin is another.
    """
    opened = open_note(note, [*history.verifiers, *cosigners])
    checkpoint = parse_checkpoint(opened.text)
    if checkpoint.origin != history.name:
        raise NoteError(f"The checkpoint's origin is {checkpoint.origin}, and the keys are {history.name}'s.")
    key = history.key_for(checkpoint.size)
    if not any((item.name, item.key_id) == (key.name, key.key_id) for item in opened.verified):
        raise NoteError(
            f"A head of {checkpoint.size} events of {key.name} must be signed with its key"
            f" {key.key_id.hex()}, and this one is not."
        )
    return checkpoint, opened


def split_statements(data: bytes) -> list[bytes]:
    """Return the notes of a file that holds statements one after the other, not verified."""
    mark = f"{HEADER}\n".encode()
    pieces = (b"\n" + data.replace(b"\r\n", b"\n").strip(b"\n") + b"\n").split(b"\n" + mark)
    if pieces[0].strip() or len(pieces) == 1:
        raise NoteError(f"A file of key statements begins with the line {HEADER}.")
    return [mark + piece.strip(b"\n") + b"\n" for piece in pieces[1:]]
