"""The keys of a log that is remembered: what a pin begins with, and which keys it leads to later.

A key that statements do not tie to the remembered one, a head signed by a key that signs other sizes, and
two statements that do not fit together are findings, with evidence. All else that is wrong is not proved.
"""

from collections.abc import Iterable
from typing import NamedTuple

from indelible.client.conflict import changed
from indelible.client.errors import Change, HistoryChanged, NotProved
from indelible.client.pins import Pin, PinStore
from indelible.client.succession import ShownKeys, is_signed, reach, reach_given, signers
from indelible.client.tiled import TiledLog
from indelible.client.trust import Trust
from indelible.notes.checkpoint import Checkpoint
from indelible.notes.keys import Verifier
from indelible.notes.statements import ForkError, KeyHistory
from indelible.notes.strict import NoteError


def first_pin(note: bytes, head: Checkpoint, given: Trust, shown: ShownKeys) -> Pin:
    """Return the pin of a log that was not seen before: by a key that was given, or by the server's word.

    Raises:
        NotProved: no such key signed the head, or the statements do not hold.
    """
    if given.keys:
        keys = signed_with(reach_given(given, note, head, shown), note, head)
        return Pin(head, next(key for key in given.keys if key in keys.verifiers), note, keys)
    told = Trust(tuple(signers(note, _of(head, shown.told.verifiers))), given.statements)
    keys = signed_with(reach_given(told, note, head, shown, shown.told.statements), note, head)
    return Pin(head, keys.key_for(head.size), note, keys)


def _of(head: Checkpoint, keys: Iterable[Verifier]) -> list[Verifier]:
    return [key for key in keys if key.name == head.origin]


def signed_with(histories: Iterable[KeyHistory], note: bytes, head: Checkpoint) -> KeyHistory:
    """Return the first of these histories whose key for the head's size signed it; raises NotProved."""
    for keys in histories:
        if is_signed(note, keys):
            return keys
    raise NotProved(
        f"the head of {head.size} events is not signed with a key of {head.origin} that is known here and"
        " signs heads of that size: give it with --key"
    )


class Successors(NamedTuple):
    """A head that is shown, beside a pin: finds the keys that the pin leads to, or how they are wrong."""

    pins: PinStore
    log: TiledLog
    held: Pin
    note: bytes
    head: Checkpoint

    def find(self, given: Trust, shown: ShownKeys) -> KeyHistory:
        """Return the log's keys, as far as the head asks for them; both heads must be signed as they demand.

        Raises:
            HistoryChanged: `key`, `retired_key` or `key_fork`; the evidence was written.
            NotProved: nobody who is known signed the head, or a statement does not hold.
        """
        known = [*self.held.keys.statements, *given.statements]
        try:
            keys = reach(self.held.verifier, known, self.note, shown)
        except ForkError as fork:
            raise self._changed("key_fork", statements=fork.statements) from None
        except NoteError as error:
            raise self._wrong(self.held.keys, shown, str(error)) from None
        if not is_signed(self.note, keys):
            raise self._wrong(keys, shown)
        if not is_signed(self.held.note, keys):  # a statement is heard of that was older than the pin
            raise self._changed("retired_key", statements=keys.statements)
        return keys

    def _wrong(self, keys: KeyHistory, shown: ShownKeys, why: str | None = None) -> NotProved:
        """Another key of the log is a changed history; no key at all is just a note that nobody signed."""
        origin, size = self.head.origin, self.head.size
        if is_signed(self.note, keys):
            return NotProved(f"the key statements of {origin} do not hold: {why}")
        for key in signers(self.note, keys.verifiers):
            return self._changed("retired_key", key=key, statements=keys.statements)
        for key in signers(self.note, _of(self.head, shown.told.verifiers)):
            return self._changed("key", key=key)
        more = "" if why is None else f", and its key statements do not hold: {why}"
        return NotProved(
            f"the head of {size} events is not signed with the key that {origin} had first, nor one that"
            f" followed it{more}"
        )

    def _changed(
        self, kind: Change, *, key: Verifier | None = None, statements: tuple[bytes, ...] = ()
    ) -> HistoryChanged:
        url = self.log.url
        return changed(kind, self.pins, self.held, self.note, url=url, key=key, statements=statements)
