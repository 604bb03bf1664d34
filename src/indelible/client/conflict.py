"""What is written when a log's history changed: in plain words, with both signed notes as evidence."""

import time
from collections.abc import Sequence

from indelible.client.errors import Change, HistoryChanged, PinsUnusable
from indelible.client.pins import Pin, PinStore
from indelible.client.succession import signers
from indelible.model.instants import format_micros
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint
from indelible.notes.keys import Verifier
from indelible.notes.note import parse_note

_MEANS: dict[Change, str] = {
    "rollback": "Events that the log had are gone: its newest ones were removed, or an older copy of it was "
    "put in its place. An append-only log never gets shorter.",
    "fork": "There are two histories of this log. Its operator, or whoever has its key, signed both.",
    "rewritten": "Events that the log had were changed, removed or replaced, or two histories are shown to "
    "different readers.",
    "key": "Whoever answers now has another key than whoever answered when the log was first seen. Either "
    "somebody else answers in the log's name, or its operator changed its key without a statement "
    "that both keys signed.",
    "retired_key": "Whoever signed that head has a key of the log that signs heads of other sizes only. "
    "Either a retired key was stolen and is used, or a copy of the log from before its key was rotated "
    "went on.",
    "key_fork": "Two statements, each signed by the keys that it names, do not fit together. An honest log "
    "makes one for each key. Either a key was stolen, and its thief lets a key of his own follow it, or two "
    "copies of the log rotated its key, each for itself.",
    "replaced": "Another log stands where this one stood. The one seen before may still exist, and is not "
    "shown.",
}
_DO = """\
1. Keep this file. It cannot be made again by anybody who does not have the log's key.
2. Do not trust what the log shows now, and do not delete the file ending in .pin beside this one.
3. Ask the operator, giving the two heads below, and look for a restored backup, a moved database or a
   changed signing key. An error in transmission is possible only where the text says that the server
   could not show something: then the same check gives another result when it is repeated.
4. Show this file to other readers of the log: the two notes are signed, so anybody who has the log's key
   can check that both were, without trusting you.
5. Only when it is explained, and you accept the history shown now: delete the file ending in .pin.
"""


def explain(kind: Change, pin: Pin, seen: Checkpoint) -> str:
    """Say in one sentence what was found."""
    held, origin = pin.head, pin.head.origin
    return {
        "rollback": f"{origin} signed a head of {held.size} events before, shows {seen.size} now, and could "
        "not show that the events seen before are still there.",
        "fork": f"{origin} has two different heads of {held.size} events.",
        "rewritten": f"{origin} shows a head of {seen.size} events, and could not show that it has the same "
        f"history as the head of {held.size} events that it signed before.",
        "key": f"{origin} signs with another key than the one that it was first seen with "
        f"({pin.verifier.key_id.hex()}), and no statement ties the two.",
        "retired_key": f"A head of {origin} is signed with a key that its statements do not name for that "
        f"size: the one of {seen.size} events shown now, or that of {held.size} events seen before.",
        "key_fork": f"There are two key statements of {origin} that cannot both be honest.",
        "replaced": f"{seen.origin} stands where {origin} stood before.",
    }[kind]


def evidence(
    kind: Change,
    pin: Pin,
    seen_note: bytes,
    seen: Checkpoint,
    *,
    url: str,
    keys: Sequence[str],
    statements: Sequence[bytes] = (),
) -> bytes:
    """Return the file of evidence.

    Args:
        kind: what was found.
        pin: what was remembered.
        seen_note: the checkpoint that was shown, as it was signed.
        seen: the same, read.
        url: where it was shown.
        keys: the verifier keys that signed it, as far as they are known.
        statements: the key statements that show what was found.
    """
    found_at = format_micros(time.time_ns() // 1_000)
    lines = [
        "indelible-conflict/1",
        "",
        f"The history of the log {pin.head.origin} changed.",
        f"Found: {found_at}, at {url}",
        "",
        explain(kind, pin, seen),
        _MEANS[kind],
        "",
        "What to do with this file",
        _DO,
        f"---- the head that was seen before, signed with {pin.keys.key_for(pin.head.size).vkey}",
    ]
    signed_with = " ".join(keys) or "a key that is not known"
    parts = [
        "\n".join(lines).encode() + b"\n",
        pin.note,
        f"---- the head that is shown now, signed with {signed_with}\n".encode(),
        seen_note,
        *(b"---- a key statement, signed with both keys that it names\n" + note for note in statements),
        b"---- end\n",
    ]
    return b"".join(parts)


def changed(
    kind: Change,
    pins: PinStore,
    held: Pin,
    note: bytes,
    *,
    url: str,
    key: Verifier | None = None,
    statements: tuple[bytes, ...] = (),
) -> HistoryChanged:
    """Write the evidence, and return the exception that carries it.

    Args:
        kind: what was found.
        pins: where the evidence is written.
        held: what was remembered.
        note: what is shown now.
        url: where.
        key: what signed it, when that is not the key that had to.
        statements: the key statements that show it.
    """
    head = parse_checkpoint(parse_note(note).text)
    says = explain(kind, held, head)
    signed = [key] if key is not None else signers(note, held.keys.verifiers)
    text = evidence(
        kind, held, note, head, url=url, keys=[each.vkey for each in signed], statements=statements
    )
    try:
        path = pins.keep_conflict(held.head.origin, held.note, note, text)
    except (PinsUnusable, OSError):
        path = None  # the finding counts more than its file; the exception has both notes
    return HistoryChanged(
        kind,
        says,
        origin=held.head.origin,
        pinned=held.note,
        seen=note,
        evidence=path,
        statements=statements,
    )
