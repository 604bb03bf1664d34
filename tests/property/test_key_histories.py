"""Whatever way keys followed each other, a head is believed from the one key of its size, and no other."""

from itertools import accumulate
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from indelible.notes.checkpoint import Checkpoint, sign_checkpoint
from indelible.notes.keys import Signer
from indelible.notes.note import open_note, sign_note
from indelible.notes.statements import (
    KeyStatement,
    follow,
    format_statement,
    open_checkpoint_with,
    parse_statement,
    sign_statement,
)
from indelible.notes.strict import NoteError

ORIGIN = "x.example/logs/1"
KEYS = [Signer(ORIGIN, bytes([number]) * 32) for number in range(1, 8)]


class Chain(NamedTuple):
    """Keys by their places in KEYS, and from which size on each signs."""

    starts: list[int]
    notes: list[bytes]


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Up to six rotations, some of them without an event between."""
    steps = draw(st.lists(st.integers(0, 20), max_size=6))
    starts = [0, *accumulate(steps)]
    notes = []
    for at, start in enumerate(starts[1:]):
        old, new = KEYS[at], KEYS[at + 1]
        statement = KeyStatement(ORIGIN, old.verifier, new.verifier, start, at)
        notes.append(sign_statement(statement, old, new))
    return Chain(starts, notes)


def right_key(chain: Chain, size: int) -> int:
    """The place of the last key that begins at or before a size: written down from the docs alone."""
    return max(place for place, start in enumerate(chain.starts) if start <= size)


@given(chains(), st.data())
@settings(max_examples=60, deadline=None)
def test_only_the_key_of_a_size_signs_it(chain: Chain, data: st.DataObject) -> None:
    """Statements in any order, any key of the chain trusted: all agree on which single key is believed."""
    trusted = data.draw(st.sampled_from(KEYS[: len(chain.starts)])).verifier
    history = follow(trusted, data.draw(st.permutations(chain.notes)))
    size = data.draw(st.integers(1, 150))
    for place, key in enumerate(KEYS):
        note = sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), key)
        try:
            open_checkpoint_with(history, note)
        except NoteError:
            assert place != right_key(chain, size)
        else:
            assert place == right_key(chain, size)


@given(chains().filter(lambda chain: len(chain.notes) > 1), st.data())
@settings(max_examples=30, deadline=None)
def test_a_chain_with_a_link_missing_is_refused(chain: Chain, data: st.DataObject) -> None:
    """Nothing is believed over a gap."""
    missing = data.draw(st.integers(0, len(chain.notes) - 2))
    notes = chain.notes[:missing] + chain.notes[missing + 1 :]
    try:
        follow(KEYS[0].verifier, notes)
    except NoteError:
        return
    raise AssertionError("a gap was not seen")


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_character_is_another_text_or_none(data: st.DataObject) -> None:
    """One spelling for each statement: no other text is read as the same one, so no signature covers two."""
    statement = KeyStatement(ORIGIN, KEYS[0].verifier, KEYS[1].verifier, 42, 1_735_689_600_000_001)
    text = format_statement(statement)
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.characters(codec="utf-8")) + text[at + data.draw(st.integers(0, 1)) :]
    if changed == text:
        return
    try:
        read = parse_statement(changed)
    except NoteError:
        return
    assert read != statement
    good = sign_note(text, [KEYS[0], KEYS[1]])
    forged = changed.encode() + good[len(text.encode()) :]
    try:
        open_note(forged, [KEYS[0].verifier, KEYS[1].verifier])
    except NoteError:
        return
    raise AssertionError("a changed text kept its signatures")
