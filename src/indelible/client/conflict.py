"""What is written when a log's history changed: in plain words, with both signed notes as evidence."""

import time

from indelible.client.errors import Change
from indelible.client.pins import Pin
from indelible.model.instants import format_micros
from indelible.notes.checkpoint import Checkpoint

_MEANS: dict[Change, str] = {
    "rollback": "Events that the log had are gone: its newest ones were removed, or an older copy of it was "
    "put in its place. An append-only log never gets shorter.",
    "fork": "There are two histories of this log. Its operator, or whoever has its key, signed both.",
    "rewritten": "Events that the log had were changed, removed or replaced, or two histories are shown to "
    "different readers.",
    "key": "Whoever answers now has another key than whoever answered when the log was first seen. Either "
    "somebody else answers in the log's name, or its operator changed its key without a statement "
    "that both keys signed.",
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
        f"({pin.verifier.key_id.hex()}).",
        "replaced": f"{seen.origin} stands where {origin} stood before.",
    }[kind]


def evidence(
    kind: Change, pin: Pin, seen_note: bytes, seen: Checkpoint, *, url: str, keys: list[str]
) -> bytes:
    """Return the file of evidence.

    Args:
        kind: what was found.
        pin: what was remembered.
        seen_note: the checkpoint that was shown, as it was signed.
        seen: the same, read.
        url: where it was shown.
        keys: the verifier keys that signed it, as far as they are known.
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
        f"---- the head that was seen before, signed with {pin.verifier.vkey}",
    ]
    signed_with = " ".join(keys) or "a key that is not known"
    parts = [
        "\n".join(lines).encode() + b"\n",
        pin.note,
        f"---- the head that is shown now, signed with {signed_with}\n".encode(),
        seen_note,
        b"---- end\n",
    ]
    return b"".join(parts)
