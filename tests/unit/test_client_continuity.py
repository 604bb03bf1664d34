"""Comparing a head with the one that was seen before, against logs served as tiles over real HTTP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.harness.tiles import ORIGIN, SIGNER, Site, entries_of, shown, site

from indelible.client import HistoryChanged, NotProved, PinStore, PinsUnusable, Problem, Retry
from indelible.client.continuity import check_history
from indelible.client.tiled import TiledLog
from indelible.client.transport import Transport
from indelible.notes.keys import Signer, Verifier

SIZES = [0, 1, 2, 5, 255, 256, 257, 600]
ENTRIES = entries_of(601)
OTHERS = entries_of(601, lambda at, entry: entry._replace(writer=b"w" * 16) if at == 0 else entry)
STRANGER = Signer(ORIGIN, bytes(32))


class Reader:
    """A client with pins in front of one log."""

    def __init__(self, server: Site, transport: Transport, folder: Path) -> None:
        self.site = server
        self.firsts: list[str] = []
        self.pins = PinStore(folder / "pins", lambda pin: self.firsts.append(pin.head.origin))
        self.log = TiledLog(transport, "/log")

    def sees(self, *trusted: Verifier) -> str:
        """Look at the log, and say how its head stands to the one before."""
        return check_history(self.pins, self.log, self.log.checkpoint(), trusted).state

    def pinned(self) -> int:
        """The size that is remembered."""
        pin = self.pins.read(ORIGIN)
        assert pin is not None
        return pin.head.size

    def refuses(self) -> HistoryChanged:
        """Look at the log, whose history must have changed."""
        with pytest.raises(HistoryChanged) as found:
            self.sees()
        return found.value


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Site, Transport]]:
    """A site and a connection to it, for all tests: certificates of TLS are slow to load."""
    with site() as server:
        transport = Transport(server.url, None, retry=Retry(tries=1), timeout_seconds=10)
        yield server, transport
        transport.close()


@pytest.fixture
def reader(served: tuple[Site, Transport], tmp_path: Path) -> Reader:
    """A reader that saw nothing yet, and a site that shows nothing."""
    served[0].logs.clear()
    return Reader(*served, tmp_path)


@pytest.mark.parametrize("old", SIZES)
@pytest.mark.parametrize("new", SIZES)
def test_the_same_history_is_accepted_whatever_its_sizes(reader: Reader, old: int, new: int) -> None:
    """A later head continues the pinned one, an older one is its beginning; the larger one stays pinned."""
    reader.site.logs["/log"] = shown(ENTRIES, old)
    assert reader.sees() == "first"
    whole = shown(ENTRIES, max(old, new))
    reader.site.logs["/log"] = whole._replace(note=shown(ENTRIES, new).note)  # as a stale cache would
    assert reader.sees() == ("same" if old == new else "newer" if old < new else "older")
    assert reader.pinned() == max(old, new)
    assert reader.firsts == [ORIGIN]


@pytest.mark.parametrize("old", [size for size in SIZES if size])
@pytest.mark.parametrize("new", [size for size in SIZES if size])
def test_another_history_is_found_whatever_its_sizes(reader: Reader, old: int, new: int) -> None:
    """One whose first event is another is a fork at one size, and rewritten or rolled back at others."""
    reader.site.logs["/log"] = shown(ENTRIES, old)
    reader.sees()
    reader.site.logs["/log"] = shown(OTHERS, new)
    found = reader.refuses()
    assert found.kind == ("fork" if old == new else "rewritten" if old < new else "rollback")
    assert reader.pinned() == old
    assert (found.pinned, found.seen) == (shown(ENTRIES, old).note, shown(OTHERS, new).note)


@pytest.mark.parametrize(("old", "new"), [(5, 0), (5, 1), (257, 256), (600, 257)])
def test_a_shorter_log_is_a_rollback_though_it_is_a_true_beginning(
    reader: Reader, old: int, new: int
) -> None:
    """Even an emptied log, whose consistency proof is empty: the pinned tree has to be shown still."""
    reader.site.logs["/log"] = shown(ENTRIES, old)
    reader.sees()
    reader.site.logs["/log"] = shown(ENTRIES, new)
    assert reader.refuses().kind == "rollback"


@pytest.mark.parametrize("size", [0, 20])
def test_an_older_head_over_another_tree_of_the_pinned_size_is_found(reader: Reader, size: int) -> None:
    """Tiles of the pinned size that give another root do not pass for the pinned tree."""
    reader.site.logs["/log"] = shown(ENTRIES, 300)
    reader.sees()
    reader.site.logs["/log"] = shown(OTHERS, 300)._replace(note=shown(OTHERS, size).note)
    assert reader.refuses().kind == "rewritten"


def test_a_head_before_the_pin_that_is_not_its_beginning_is_found(reader: Reader) -> None:
    """The true tree is still shown, and a forged older head beside it."""
    reader.site.logs["/log"] = shown(ENTRIES, 300)
    reader.sees()
    reader.site.logs["/log"] = shown(ENTRIES, 300)._replace(note=shown(OTHERS, 20).note)
    assert reader.refuses().kind == "rewritten"


def test_the_evidence_is_a_file_that_holds_both_notes_and_says_what_to_do(reader: Reader) -> None:
    """In plain words, once for each pair of notes, and at most 16 for a log."""
    reader.site.logs["/log"] = shown(ENTRIES, 5)
    reader.sees()
    for size in range(5, 25):
        reader.site.logs["/log"] = shown(OTHERS, size)
        reader.refuses()
        last = reader.refuses()
    kept = reader.pins.conflicts(ORIGIN)
    assert len(kept) == 16
    assert last.evidence == kept[-1]
    text = kept[0].read_bytes()
    assert shown(ENTRIES, 5).note in text
    assert shown(OTHERS, 5).note in text
    assert SIGNER.verifier.vkey.encode() in text
    assert b"two different heads of 5 events" in text
    assert b"What to do with this file" in text
    assert kept[0].stat().st_mode & 0o777 == 0o600


def test_another_key_is_a_conflict_and_no_key_is_none(reader: Reader) -> None:
    """What the key that is served signed changed hands; what nobody signed is only not proved."""
    reader.site.logs["/log"] = shown(ENTRIES, 5)
    reader.sees()
    reader.site.logs["/log"] = shown(ENTRIES, 6, STRANGER)
    found = reader.refuses()
    assert found.kind == "key"
    assert found.evidence is not None
    assert STRANGER.verifier.vkey in found.evidence.read_text()
    reader.site.logs["/log"] = shown(ENTRIES, 6)._replace(note=shown(ENTRIES, 6, STRANGER).note)
    with pytest.raises(NotProved, match="not signed with the key") as refused:
        reader.sees()
    assert not isinstance(refused.value, HistoryChanged)


def test_a_mirror_without_keys_needs_one_from_elsewhere(reader: Reader) -> None:
    """Tiles alone are a log; without a key there is no first sight, and with a pin no need of one."""
    reader.site.logs["/log"] = shown(ENTRIES, 5)
    reader.site.statuses["/log/keys"] = 404
    try:
        with pytest.raises(NotProved, match="--key"):
            reader.sees()
        assert reader.sees(SIGNER.verifier) == "first"
        assert reader.sees() == "same"
        reader.site.logs["/log"] = shown(ENTRIES, 6, STRANGER)
        with pytest.raises(NotProved, match="had first"):
            reader.sees()
    finally:
        reader.site.statuses.clear()


def test_many_readers_of_one_folder_keep_the_largest_head(reader: Reader) -> None:
    """Eight threads look at a log that grows; none fails, and none sets the pin back."""
    whole = shown(ENTRIES, 600)
    reader.site.logs["/log"] = whole
    notes = [shown(ENTRIES, size).note for size in range(1, 49)]

    def look(at: int) -> None:
        for note in notes[at::8]:
            check_history(reader.pins, reader.log, note)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(8)))
    assert reader.pinned() == 48


def test_a_key_from_elsewhere_decides_over_the_servers(reader: Reader) -> None:
    """At first sight and later; a server that names another key is not believed."""
    reader.site.logs["/log"] = shown(ENTRIES, 5, STRANGER)
    with pytest.raises(NotProved):
        reader.sees(SIGNER.verifier)
    assert reader.sees(STRANGER.verifier) == "first"
    with pytest.raises(NotProved):
        reader.sees(SIGNER.verifier)


def test_a_server_that_proves_nothing_is_not_called_a_liar(reader: Reader) -> None:
    """A new head whose tiles are not served is a refusal, and the pin stays."""
    reader.site.logs["/log"] = shown(ENTRIES, 5)
    reader.sees()
    reader.site.logs["/log"] = shown(ENTRIES, 5)._replace(note=shown(ENTRIES, 300).note)
    with pytest.raises(Problem) as refused:
        reader.sees()
    assert refused.value.code.name == "not_found"
    assert reader.pinned() == 5


@pytest.mark.parametrize("damage", [b"", b"indelible-pin/2\n\n", b"\xff", b"x" * (1 << 20)])
def test_a_damaged_pin_is_no_first_sight(reader: Reader, damage: bytes) -> None:
    """Whoever can spoil the file cannot make a client forget."""
    reader.site.logs["/log"] = shown(ENTRIES, 5)
    reader.sees()
    (path,) = reader.pins.folder.glob("*.pin")
    path.write_bytes(damage or path.read_bytes()[:-9])
    with pytest.raises(PinsUnusable, match="damaged"):
        reader.sees()


def test_another_logs_pin_is_not_taken_for_this_one(reader: Reader) -> None:
    """A file renamed over another is found by the origin that it holds."""
    other = Signer("other.example/logs/1", bytes(32))
    reader.site.logs["/log"] = shown(ENTRIES, 5, other)
    reader.sees()
    (theirs,) = reader.pins.folder.glob("*.pin")
    reader.site.logs["/log"] = shown(ENTRIES, 5)
    reader.sees()
    (ours,) = set(reader.pins.folder.glob("*.pin")) - {theirs}
    theirs.replace(ours)
    with pytest.raises(PinsUnusable, match="it is of other"):
        reader.sees()


def test_a_pin_that_another_process_moved_is_compared_anew(reader: Reader) -> None:
    """What was compared with an older pin does not replace a newer one."""
    reader.site.logs["/log"] = shown(ENTRIES, 5)
    reader.sees()
    held = reader.pins.read(ORIGIN)
    reader.site.logs["/log"] = shown(ENTRIES, 9)
    reader.sees()
    assert held is not None
    assert not reader.pins.replace(held, held)
    assert not reader.pins.replace(None, held)
    assert reader.pinned() == 9


def test_pins_that_cannot_be_kept_are_an_error(reader: Reader) -> None:
    """Where nothing can be remembered nothing is compared, and the caller hears of it."""
    reader.pins.folder.write_text("a file")
    reader.site.logs["/log"] = shown(ENTRIES, 5)
    with pytest.raises(PinsUnusable, match="cannot be kept"):
        reader.sees()


def test_the_two_histories_differ_in_one_event(reader: Reader) -> None:
    """Else the tests above would find what nobody could miss."""
    assert [a == b for a, b in zip(ENTRIES, OTHERS, strict=True)] == [False] + [True] * 600
