"""Attacks on signing keys, against readers who remember: pins, monitors, and a log that is verified live.

The logs stand on a real HTTP server, as whoever has these keys can show them. Each test says the attack and
who finds it.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.harness.tiles import ORIGIN, SIGNER, Shown, Site, connected, entries_of, shown

from indelible.client import HistoryChanged, NotProved, Pin, PinStore, key_history, verify_checkpoint
from indelible.client.continuity import check_history, read_head
from indelible.client.errors import Change
from indelible.client.examine_live import examine_live
from indelible.client.monitor import Watch
from indelible.client.tiled import TiledLog
from indelible.client.transport import Transport
from indelible.client.trust import Trust
from indelible.notes.checkpoint import format_checkpoint
from indelible.notes.keys import Signer
from indelible.notes.note import parse_note, sign_note
from indelible.notes.statements import KeyStatement, format_statement, sign_statement

ENTRIES = entries_of(30)
OLD, NEXT, LAST, THIEF = (
    SIGNER,
    Signer(ORIGIN, b"n" * 32),
    Signer(ORIGIN, b"l" * 32),
    Signer(ORIGIN, b"t" * 32),
)
TIME = 1_735_689_600_000_000


def statement(old: Signer, new: Signer, size: int) -> bytes:
    """A statement that both keys signed."""
    return sign_statement(KeyStatement(ORIGIN, old.verifier, new.verifier, size, TIME + size), old, new)


FIRST = statement(OLD, NEXT, 11)
"""From 11 events on the next key signs."""


def signed(size: int, *by: Signer, told: Sequence[bytes] = (), keys: Sequence[Signer] = ()) -> Shown:
    """A log of so many events whose head these keys signed, and the keys and statements that it shows."""
    what = shown(ENTRIES, size)
    note = sign_note(format_checkpoint(read_head(what.note)), by)
    listed = tuple(key.verifier.vkey for key in keys or by)
    return what._replace(note=note, keys=listed, statements=tuple(told))


class Reader:
    """A client with pins, and what it was told of keys."""

    def __init__(self, server: Site, transport: Transport, folder: Path) -> None:
        self.site = server
        self.transport = transport
        self.told: list[bytes] = []
        self.pins = PinStore(folder, on_new_key=self._tell)
        self.log = TiledLog(transport)

    def _tell(self, pin: Pin) -> None:
        self.told.append(pin.keys.newest.key_id)

    def sees(self, what: Shown, *trusted: Signer, statements: Sequence[bytes] = ()) -> str:
        """Show the reader a log, and give what it says of its head."""
        self.site.logs["/log"] = what
        keys = Trust(tuple(key.verifier for key in trusted), tuple(statements))
        return check_history(self.pins, self.log, self.log.checkpoint(), keys).state

    def refuses(self, what: Shown, kind: Change, *trusted: Signer) -> HistoryChanged:
        """Show the reader a log that it must take for a conflict, at each look, and as a monitor does."""
        before = self.pins.read(ORIGIN)
        for _ in range(2):
            with pytest.raises(HistoryChanged) as found:
                self.sees(what, *trusted)
            assert found.value.kind == kind
        (check,) = Watch(self.transport, self.pins).round()
        assert (check.state, check.code) == ("conflict", f"history_changed_{kind}")
        assert self.pins.read(ORIGIN) == before
        evidence = found.value.evidence
        assert evidence is not None
        text = evidence.read_bytes()
        assert all(note in text for note in (found.value.pinned, found.value.seen, *found.value.statements))
        return found.value

    def keys(self) -> list[bytes]:
        """The ids of the keys that are remembered, oldest first."""
        pin = self.pins.read(ORIGIN)
        assert pin is not None
        return [key.key_id for key in pin.keys.verifiers]


def ids(*keys: Signer) -> list[bytes]:
    """The ids of keys."""
    return [key.key_id for key in keys]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Site, Transport]]:
    """A site, and a connection to the log on it."""
    with connected("/log") as both:
        yield both


@pytest.fixture
def reader(served: tuple[Site, Transport], tmp_path: Path) -> Reader:
    """Somebody who saw nothing yet."""
    served[0].logs.clear()
    served[0].asked.clear()
    return Reader(*served, tmp_path / "pins")


def test_an_honest_rotation_is_followed_from_the_old_key_and_remembered(reader: Reader) -> None:
    """No attack: a pin goes from key to key by the statements, and then needs them from nobody any more."""
    assert reader.sees(signed(10, OLD)) == "first"
    assert reader.sees(signed(12, NEXT, OLD, told=[FIRST], keys=[OLD, NEXT])) == "newer"
    assert reader.keys() == ids(OLD, NEXT)
    assert reader.sees(signed(15, NEXT)) == "newer"
    second = statement(NEXT, LAST, 16)
    assert reader.sees(signed(20, LAST, told=[FIRST, second], keys=[OLD, NEXT, LAST])) == "newer"
    assert reader.told == ids(NEXT, LAST)
    assert reader.keys() == ids(OLD, NEXT, LAST)
    reader.site.asked.clear()
    assert reader.sees(signed(25, LAST)) == "newer"
    assert "/log/keys" not in reader.site.asked
    whole = signed(25, LAST)
    for size, key in ((5, OLD), (15, NEXT)):  # out of a cache, signed as it was then
        assert reader.sees(whole._replace(note=signed(size, key).note)) == "older"


def test_two_rotations_that_were_missed_are_followed_at_once(reader: Reader) -> None:
    """No attack: a reader who was away; and one who begins with the newest key meets an old head."""
    second = statement(NEXT, LAST, 16)
    late = signed(20, LAST, told=[FIRST, second], keys=[OLD, NEXT, LAST])
    assert reader.sees(signed(10, OLD)) == "first"
    assert reader.sees(late) == "newer"
    other = Reader(reader.site, reader.transport, reader.pins.folder / "another")
    assert other.sees(late) == "first"
    assert other.sees(late._replace(note=signed(5, OLD).note)) == "older"
    assert other.keys() == ids(OLD, NEXT, LAST)


def test_who_knows_the_old_key_alone_goes_on_through_the_overlap(reader: Reader) -> None:
    """No attack: where no statement can be had, the old key's line is enough while both sign."""
    reader.sees(signed(10, OLD))
    mirror = signed(12, NEXT, OLD)._replace(keys=(), listed=False)
    assert reader.sees(mirror) == "newer"
    assert reader.keys() == ids(OLD)
    with pytest.raises(NotProved, match="had first, nor one that followed it"):
        reader.sees(signed(14, NEXT)._replace(keys=(), listed=False))


def test_a_mirror_of_files_shows_the_statements_as_files(reader: Reader) -> None:
    """No attack: `keys/1`, `keys/2` beside the checkpoint, as the object store has them."""
    reader.sees(signed(10, OLD))
    second = statement(NEXT, LAST, 16)
    mirror = signed(20, LAST, told=[FIRST, second])._replace(keys=(), listed=False)
    assert reader.sees(mirror) == "newer"
    assert reader.keys() == ids(OLD, NEXT, LAST)


def test_a_stolen_retired_key_signs_a_larger_head(reader: Reader) -> None:
    """Attack: its thief goes on above its end. Found by every pin that has heard of the statement."""
    reader.sees(signed(12, NEXT, OLD, told=[FIRST], keys=[OLD, NEXT]))
    reader.sees(signed(13, NEXT))
    found = reader.refuses(signed(20, OLD), "retired_key")
    assert found.statements == (FIRST,)
    assert reader.sees(signed(20, NEXT)) == "newer"  # the true log goes on


def test_a_head_that_a_retired_key_signed_is_found_afterwards(reader: Reader) -> None:
    """Attack: the same, before the pin has heard of the statement. Found when it hears of it."""
    reader.sees(signed(10, OLD))
    assert reader.sees(signed(20, OLD)) == "newer"  # nothing told it that the key was retired
    found = reader.refuses(signed(25, NEXT, told=[FIRST], keys=[OLD, NEXT]), "retired_key")
    assert found.pinned == signed(20, OLD).note
    assert found.statements == (FIRST,)


def test_a_new_key_signs_a_head_of_the_old_key_s_time(reader: Reader) -> None:
    """Attack: the thief of the new key alone makes another head of an old size. Found by every pin."""
    reader.sees(signed(12, NEXT, told=[FIRST], keys=[OLD, NEXT]))
    reader.sees(
        signed(12, NEXT)._replace(note=signed(5, OLD).note, keys=(), statements=(FIRST,), listed=False)
    )
    assert reader.keys() == ids(OLD, NEXT)
    reader.refuses(signed(12, NEXT)._replace(note=signed(5, NEXT).note), "retired_key")


@pytest.mark.parametrize(
    "forged", [statement(OLD, THIEF, 11), statement(OLD, NEXT, 300), statement(THIEF, NEXT, 9)]
)
def test_statements_that_fork_are_a_conflict_with_both_as_evidence(reader: Reader, forged: bytes) -> None:
    """Attack: the thief of a retired key lets his own key follow it, moves its end, or puts one before it.

    Found by every pin that has followed the true statement, whoever shows the other one later.
    """
    reader.sees(signed(10, OLD))
    reader.sees(signed(12, NEXT, told=[FIRST], keys=[OLD, NEXT]))
    found = reader.refuses(signed(20, THIEF, told=[forged], keys=[OLD, THIEF]), "key_fork")
    assert set(found.statements) == {FIRST, forged}
    assert reader.keys() == ids(OLD, NEXT)


def test_who_followed_the_thief_first_finds_it_at_the_true_log(reader: Reader) -> None:
    """Attack: the same, shown before the true one. Nobody can tell then; found when the true one is met."""
    reader.sees(signed(10, OLD))
    forged = statement(OLD, THIEF, 11)
    assert reader.sees(signed(12, THIEF, told=[forged], keys=[OLD, THIEF])) == "newer"
    assert reader.told == ids(THIEF)  # said aloud, so that somebody can ask the operator
    found = reader.refuses(signed(13, NEXT, told=[FIRST], keys=[OLD, NEXT]), "key_fork")
    assert set(found.statements) == {FIRST, forged}


def forgeries() -> dict[str, bytes]:
    """Statements that are none, each to be shown in the place of the true one."""
    text = format_statement(KeyStatement(ORIGIN, OLD.verifier, THIEF.verifier, 11, TIME))
    other = Signer("other.example/logs/1", b"o" * 32), Signer("other.example/logs/1", b"p" * 32)
    foreign = KeyStatement(other[0].name, other[0].verifier, other[1].verifier, 11, TIME)
    return {
        "by the thief alone": sign_note(text, [THIEF]),
        "by the old key alone": sign_note(text, [OLD]),
        "by a third": sign_note(text, [THIEF, LAST]),
        "of another log": sign_statement(foreign, *other),
        "not connected": statement(LAST, THIEF, 11),
        "no statement": b"indelible/key/v1\n",
    }


@pytest.mark.parametrize("forged", forgeries().values(), ids=forgeries())
def test_a_forged_statement_leads_no_pin_to_a_key(reader: Reader, forged: bytes) -> None:
    """Attack: a key of somebody's own, with a statement made up. Found by every pin, as another key."""
    reader.sees(signed(10, OLD))
    found = reader.refuses(signed(12, THIEF, told=[forged], keys=[OLD, THIEF]), "key")
    assert found.evidence is not None
    assert THIEF.verifier.vkey.encode() in found.evidence.read_bytes()
    beside = signed(12, OLD, THIEF, told=[forged], keys=[OLD, THIEF])
    with pytest.raises(NotProved, match=r"statements of .* do not hold") as refused:
        reader.sees(beside)  # under a head that is right itself
    assert not isinstance(refused.value, HistoryChanged)
    assert reader.keys() == ids(OLD)


def test_a_statement_that_goes_back_is_not_followed(reader: Reader) -> None:
    """Attack: the new key's thief gives the log back to the retired key. Found by every pin."""
    reader.sees(signed(12, NEXT, told=[FIRST], keys=[OLD, NEXT]))
    back = statement(NEXT, OLD, 15)
    for what in (signed(20, OLD, told=[FIRST, back], keys=[OLD, NEXT]), signed(20, OLD, told=[back])):
        with pytest.raises(NotProved):
            reader.sees(what)


def test_a_key_from_elsewhere_leads_on_by_statements_too(reader: Reader) -> None:
    """Attack: another key for those who begin with an old one. Found by whoever gives key or statement."""
    late = signed(12, NEXT, told=[FIRST], keys=[OLD, NEXT])
    with pytest.raises(NotProved):
        reader.sees(signed(12, THIEF), OLD)
    with pytest.raises(NotProved, match="signs heads of that size"):
        reader.sees(signed(12, OLD), OLD, statements=[FIRST])  # retired, says the file
    assert reader.sees(late, OLD) == "first"
    assert reader.keys() == ids(OLD, NEXT)
    other = Reader(reader.site, reader.transport, reader.pins.folder / "another")
    assert other.sees(signed(12, NEXT), OLD, statements=[FIRST]) == "first"
    assert other.sees(signed(13, NEXT), NEXT) == "newer"
    with pytest.raises(NotProved, match=r"do not hold|signs heads"):
        other.sees(signed(14, NEXT), THIEF)


def claims_of(
    reader: Reader, what: Shown, key: Signer, pins: PinStore | None = None, *statements: bytes
) -> str:
    """What `verify URL` says of the signature of a log."""
    reader.site.logs["/log"] = what
    claim = examine_live(reader.log, [key.verifier.vkey], pins, statements=statements).claims[0]
    return f"{claim.verdict}: {claim.says}"


def test_verifying_live_follows_statements_and_says_by_which(reader: Reader) -> None:
    """Attack: the same keys, against `verify URL --key`. Retired keys and forged statements are refuted."""
    late = signed(12, NEXT, told=[FIRST], keys=[OLD, NEXT])
    said = claims_of(reader, late, OLD, None)
    assert said.startswith("proved")
    assert f"the key {NEXT.key_id.hex()}, which followed the key {OLD.key_id.hex()} from 11 events on" in said
    before = claims_of(reader, late._replace(note=signed(5, OLD).note), NEXT, None)
    assert (
        f"the key {OLD.key_id.hex()}, which the key {NEXT.key_id.hex()} followed from 11 events on" in before
    )
    assert claims_of(reader, signed(12, NEXT), OLD, None, FIRST).startswith("proved")
    assert claims_of(reader, signed(12, OLD), OLD, None).startswith("proved")  # who never heard of the other
    assert claims_of(reader, signed(12, OLD), OLD, None, FIRST).startswith("refuted")
    for forged in forgeries().values():
        assert claims_of(reader, signed(12, THIEF, told=[forged]), OLD, None).startswith("refuted")
    with pytest.raises(NotProved):
        claims_of(reader, late, OLD, None, forgeries()["by a third"])


def test_verifying_live_with_pins_keeps_the_evidence(reader: Reader) -> None:
    """Attack: a retired key's head, to who gives the old key. Refuted alone, a conflict with a pin."""
    reader.sees(signed(12, NEXT, told=[FIRST], keys=[OLD, NEXT]))
    forged = signed(20, OLD, told=[FIRST], keys=[OLD, NEXT])
    with pytest.raises(HistoryChanged) as found:
        claims_of(reader, forged, OLD, reader.pins, FIRST)
    assert found.value.kind == "retired_key"


def test_what_is_remembered_is_checked_as_it_is_read(reader: Reader) -> None:
    """Attack: a pin's file edited to lead to another key. It is damaged, and no first sight."""
    reader.sees(signed(12, NEXT, told=[FIRST], keys=[OLD, NEXT]), OLD)
    (path,) = reader.pins.folder.glob("*.pin")
    data = path.read_bytes()
    assert data.startswith(b"indelible-pin/2\n")
    forged = statement(OLD, THIEF, 11)
    edits: list[Callable[[bytes], bytes]] = [
        lambda pin: pin.replace(FIRST, forged),
        lambda pin: pin.replace(FIRST, b""),
        lambda pin: pin.replace(b"indelible-pin/2", b"indelible-pin/1"),
        lambda pin: pin.replace(f"\n{len(FIRST)}\n".encode(), b"\n0\n"),
        lambda pin: pin.replace(signed(12, NEXT).note, signed(12, OLD).note),
    ]
    for edit in edits:
        path.write_bytes(edit(data))
        assert edit(data) != data
        with pytest.raises(ValueError, match="damaged"):
            reader.sees(signed(13, NEXT))
    path.write_bytes(data)
    assert reader.sees(signed(13, NEXT)) == "newer"
    history = key_history(OLD.verifier.vkey, [FIRST])
    assert verify_checkpoint(signed(13, NEXT).note, history).size == 13
    assert len(parse_note(FIRST).signatures) == 2
