"""What a reader trusts: verifier keys that came another way than from the server, and who followed them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from indelible.client.cosigned import parse_witnesses
from indelible.client.errors import NotProved
from indelible.client.results import KeyList
from indelible.notes.cosignature import CosignatureVerifier
from indelible.notes.keys import Verifier
from indelible.notes.statements import KeyHistory, follow, open_statement, split_statements

Trusted = str | KeyHistory
"""A verifier key (`<origin>+<id>+<base64>`), or the history of a log's keys."""


def key_history(key: str, statements: Iterable[bytes | str]) -> KeyHistory:
    """Return the keys of a log: one that is trusted, and those that its statements tie to it.

    Raises:
        NotProved: a statement does not hold, or they do not make one chain with the key.
    """
    try:
        notes = [note.encode() if isinstance(note, str) else note for note in statements]
        return follow(Verifier.parse(key), notes)
    except ValueError as error:
        raise NotProved(f"the key statements do not hold: {error}") from None


def history_of(key: Trusted) -> KeyHistory:
    """The history that is trusted; raises ValueError where a key is malformed."""
    return key if isinstance(key, KeyHistory) else KeyHistory.only(Verifier.parse(key))


def read_statements(data: bytes) -> list[bytes]:
    """Return the statements of a file: notes one after the other, or JSON with `keys` as the server gives it.

    Raises:
        NotProved: it is neither.
    """
    try:
        if data.lstrip()[:1] == b"{":
            return list(msgspec.json.decode(data, type=KeyList).statements)
        return split_statements(data)
    except (ValueError, RecursionError) as error:
        raise NotProved(f"that is no file of key statements: {error}") from None


class Trust(NamedTuple):
    """Keys that are trusted, and key statements that were given with them. Made by `trust`.

    `witnesses` are keys whose cosignatures are wanted, `quorum` how many of them suffice (None: all).
    """

    keys: tuple[Verifier, ...] = ()
    statements: tuple[bytes, ...] = ()
    witnesses: tuple[CosignatureVerifier, ...] = ()
    quorum: int | None = None

    def about(self, origin: str) -> "Trust":
        """Return what of this is of one log."""
        return Trust(
            tuple(key for key in self.keys if key.name == origin),
            tuple(note for note in self.statements if open_statement(note).origin == origin),
        )

    def histories(self, told: Iterable[str | None] = ()) -> list[KeyHistory]:
        """Return the history of each key.

        Args:
            told: statements out of a file that is examined, None where a key has none. They count as far as
                a key that is trusted leads to them; those of a log without such a key say nothing.

        Raises:
            ValueError: a statement does not hold, or was given for a log without a key.
        """
        of_log: dict[str, list[bytes]] = {key.name: [] for key in self.keys}
        for note in self.statements:
            origin = open_statement(note).origin
            if origin not in of_log:
                raise ValueError(f"a key statement is of {origin}, and no key of it was given")
            of_log[origin].append(note)
        for text in told:
            if text is not None and (origin := open_statement(text.encode()).origin) in of_log:
                of_log[origin].append(text.encode())
        return [follow(key, of_log[key.name]) for key in self.keys]


def trust(
    keys: Sequence[str],
    statements: Sequence[bytes] = (),
    witnesses: Sequence[str] = (),
    quorum: int | None = None,
) -> Trust:
    """Return what is trusted: each key with the statements of its log, and witnesses.

    Raises:
        NotProved: a key is malformed, a witness's is given twice, or a statement does not hold or is of a log
            without a key here.
    """
    cosigners = tuple(parse_witnesses(witnesses))
    try:
        verifiers = tuple(Verifier.parse(key) for key in keys)
        trusted = Trust(verifiers, tuple(statements), cosigners, quorum)
    except ValueError as error:
        raise NotProved(f"a key that was given is malformed: {error}") from None
    try:
        trusted.histories()
    except ValueError as error:
        raise NotProved(f"the key statements do not hold: {error}") from None
    return trusted
