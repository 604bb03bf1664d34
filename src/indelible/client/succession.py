"""Which keys a head of a log that is served must be signed with: those trusted, and those they lead to.

What a log shows of its keys is nobody's word. It is read only where a head asks for it: one that is not
signed as it would have to be, or that has a line of the log's own name by a key that is not known yet.
"""

from collections.abc import Sequence
from functools import cached_property

from indelible.client.errors import NotProved
from indelible.client.tiled import LogKeys, TiledLog
from indelible.client.trust import Trust
from indelible.notes.checkpoint import Checkpoint
from indelible.notes.keys import Verifier
from indelible.notes.note import open_note, parse_note
from indelible.notes.statements import KeyHistory, follow, open_checkpoint_with
from indelible.notes.strict import NoteError


class ShownKeys:
    """The keys and statements that a log shows, read once, when they are first asked for."""

    def __init__(self, log: TiledLog) -> None:
        self._log = log

    @cached_property
    def told(self) -> LogKeys:
        """What the log shows; raises what `TiledLog.keys` raises."""
        return self._log.keys()


def is_signed(note: bytes, keys: KeyHistory) -> bool:
    """Say whether the key for its size signed a checkpoint."""
    try:
        open_checkpoint_with(keys, note)
    except ValueError:
        return False
    return True


def signers(note: bytes, keys: Sequence[Verifier]) -> list[Verifier]:
    """Those of the keys that signed a note, whatever else stands there."""
    found = []
    for key in keys:
        try:
            open_note(note, [key])
        except ValueError:
            continue
        found.append(key)
    return found


def reach(key: Verifier, statements: Sequence[bytes], note: bytes, shown: ShownKeys) -> KeyHistory:
    """Return the history of a log's keys from a trusted one, as far as a checkpoint asks for it.

    Whether the checkpoint is signed as that history demands is not said: `is_signed` says it.

    Args:
        key: is trusted.
        statements: those known already.
        note: the checkpoint.
        shown: what the log shows; not asked where what is known explains every line of the log's name.

    Raises:
        ForkError: two of the statements cannot both be honest.
        NoteError: a statement does not hold, or they make no chain with the key.
    """
    known = follow(key, statements)
    if is_signed(note, known) and not _unknown_line(note, known):
        return known
    return follow(key, [*statements, *shown.told.statements])


def _unknown_line(note: bytes, keys: KeyHistory) -> bool:
    ids = {key.key_id for key in keys.verifiers}
    return any(line.name == keys.name and line.key_id not in ids for line in parse_note(note).signatures)


def reach_given(
    given: Trust, note: bytes, head: Checkpoint, shown: ShownKeys, more: Sequence[bytes] = ()
) -> list[KeyHistory]:
    """Return the history of each key of the head's log that was given from elsewhere; none for no key.

    Args:
        given: keys, and statements that came with them.
        note: the checkpoint.
        head: the same, read.
        shown: what the log shows of its keys.
        more: statements that are known besides.

    Raises:
        NotProved: the statements hold with none of the keys.
    """
    named = given.about(head.origin)
    found = []
    wrong: NoteError | None = None
    for key in named.keys:
        try:
            found.append(reach(key, [*named.statements, *more], note, shown))
        except NoteError as error:
            wrong = error
    if wrong is not None and not found:
        raise NotProved(f"the key statements of {head.origin} do not hold: {wrong}")
    return found
