"""Attacks on the signature lines of a head: no signature covers the name that stands before it."""

from pathlib import Path

import pytest
from tests.harness.tiles import ORIGIN, SIGNER, entries_of, shown, site

from indelible.client import NotProved, PinStore, Retry
from indelible.client.continuity import check_history
from indelible.client.tiled import TiledLog
from indelible.client.transport import Transport
from indelible.notes.checkpoint import open_checkpoint
from indelible.notes.keys import Signer, derive_seed
from indelible.notes.note import NoteError, NoteSignature, format_note, parse_note

VICTIM = Signer(
    "audit.example.com/logs/7c9e2f01-0000-4000-8000-000000000000",
    derive_seed(bytes(range(32)), "audit.example.com/logs/7c9e2f01-0000-4000-8000-000000000000"),
)
ENTRIES = entries_of(20)


def relabelled(note: bytes, name: str, key_id: bytes | None = None) -> bytes:
    """The note with another name on its signature line, and another key id where one is given."""
    parsed = parse_note(note)
    (line,) = parsed.signatures
    changed = NoteSignature(name, key_id or line.key_id, line.signature)
    return format_note(parsed._replace(signatures=(changed,)))


ATTACKS = {
    "the name alone": relabelled(shown(ENTRIES).note, VICTIM.name),
    "name and key id": relabelled(shown(ENTRIES).note, VICTIM.name, VICTIM.key_id),
    "the victim's own head, its text another log's": format_note(
        parse_note(shown(ENTRIES, signer=VICTIM).note)._replace(text=parse_note(shown(ENTRIES).note).text)
    ),
    "another log's line over the victim's text": relabelled(
        format_note(
            parse_note(shown(ENTRIES, signer=VICTIM).note)._replace(
                signatures=parse_note(shown(ENTRIES).note).signatures
            )
        ),
        VICTIM.name,
        VICTIM.key_id,
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_line_under_another_logs_name_opens_nothing(attack: str) -> None:
    """Attack: a head of one log is made to look signed by another log of the same deployment.

    Found by: every verifier, from the note alone: the key id names the key, the signature covers the text,
    and the text's first line must be the key's name.
    """
    for signer in (VICTIM, SIGNER):
        with pytest.raises(NoteError):
            open_checkpoint(ATTACKS[attack], signer.verifier)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("known", [True, False])
def test_a_client_remembers_no_relabelled_head(tmp_path: Path, attack: str, known: bool) -> None:
    """Attack: the same, served to a client that knows the log already, or sees it for the first time.

    Found by: the client; it is no proof and no first sight, and what was remembered stays.
    """
    pins = PinStore(tmp_path / "pins")
    with site() as server:
        transport = Transport(server.url, None, retry=Retry(1), timeout_seconds=10)
        log = TiledLog(transport, "/log")
        server.logs["/log"] = shown(ENTRIES, 10)
        if known:
            check_history(pins, log, log.checkpoint())
        server.logs["/log"] = shown(ENTRIES)._replace(
            note=ATTACKS[attack], keys=(SIGNER.verifier.vkey, VICTIM.verifier.vkey)
        )
        with pytest.raises(NotProved):
            check_history(pins, log, log.checkpoint())
        transport.close()
    pin = pins.read(ORIGIN)
    assert (pin.head.size if pin else None) == (10 if known else None)
    assert pins.read(VICTIM.name) is None
