"""Reading all entries of a log by tiles: what is right passes, and each thing that is wrong is named."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.harness.tiles import ORIGIN, SIGNER, START, Site, entries_of, page, shown, site

from indelible.client import NotProved, PinStore, Retry, UnexpectedAnswer
from indelible.client.continuity import read_head
from indelible.client.entries import NOTHING, read_entries, stand_at
from indelible.client.examine_live import examine_live
from indelible.client.tiled import TiledLog
from indelible.client.transport import Transport
from indelible.merkle.entry import Entry, decode_entry
from indelible.notes.checkpoint import Checkpoint

COUNT = 600
ENTRIES = entries_of(66_000)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Site, Transport]]:
    """A site and a connection to it, for all tests."""
    with site() as server:
        transport = Transport(server.url, None, retry=Retry(tries=1), timeout_seconds=10)
        yield server, transport
        transport.close()


@pytest.fixture
def log(served: tuple[Site, Transport]) -> TiledLog:
    """The log at `/log` of the site."""
    served[0].logs.clear()
    served[0].pages.clear()
    return TiledLog(served[1], "/log")


def head_of(log: TiledLog) -> Checkpoint:
    """What the log's checkpoint says."""
    return read_head(log.checkpoint())


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, COUNT, 65_537])
def test_a_right_log_is_read_to_its_root(served: tuple[Site, Transport], log: TiledLog, size: int) -> None:
    """Every entry is given once and in order, in whole bundles, and the first and last times are known."""
    served[0].logs["/log"] = shown(ENTRIES, size)
    seen: list[Entry] = []
    reached = read_entries(log, NOTHING, head_of(log), seen.extend)
    assert seen == [decode_entry(entry) for entry in ENTRIES[:size]]
    assert reached.frontier.size == size
    if size:
        assert (reached.first_time, reached.last_time) == (START, START + (size - 1) * 1_000_000)


@pytest.mark.parametrize("old", [0, 257, 65_535, 65_536, 65_600])
def test_reading_on_begins_where_it_ended(served: tuple[Site, Transport], log: TiledLog, old: int) -> None:
    """From the right edge that the log's tiles give, only new entries are given."""
    served[0].logs["/log"] = shown(ENTRIES, 66_000)
    seen: list[Entry] = []
    served[0].asked.clear()
    start = stand_at(log, read_head(shown(ENTRIES, old).note), 66_000)
    read_entries(log, start, head_of(log), seen.extend)
    assert [entry.sequence for entry in seen] == list(range(old + 1, 66_001))
    assert len(served[0].asked) < 2 * ((66_000 - old) // 256 + 2) + 10


def changed(at: int, **members: int | bytes) -> list[bytes]:
    """The entries, one of them otherwise, and everything above it recomputed and signed."""
    return entries_of(COUNT, lambda index, entry: entry._replace(**members) if index == at else entry)  # type: ignore[arg-type]  # its members


WRONG: dict[str, tuple[Callable[[], list[bytes]], str]] = {
    "sequence twice": (
        lambda: changed(299, sequence=299),
        "place of event 300 stands the entry of event 299",
    ),
    "two swapped": (
        lambda: [*ENTRIES[:256], ENTRIES[257], ENTRIES[256], *ENTRIES[258:COUNT]],
        "place of event 257 stands the entry of event 258",
    ),
    "one dropped": (
        lambda: ENTRIES[:10] + ENTRIES[11:COUNT],
        "place of event 11 stands the entry of event 12",
    ),
    "time goes back": (
        lambda: changed(256, time=START),
        "event 257 was received .*, before the event before",
    ),
    "malformed": (
        lambda: [*ENTRIES[:5], b"\x02" + ENTRIES[5][1:], *ENTRIES[6:COUNT]],
        "event 6 is malformed",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_log_that_signed_what_breaks_its_rules_is_found(
    served: tuple[Site, Transport], log: TiledLog, case: str
) -> None:
    """Its operator signed such a tree, so all hashes fit, and the entries themselves say it."""
    make, says = WRONG[case]
    served[0].logs["/log"] = shown(make())
    with pytest.raises(NotProved, match=says):
        read_entries(log, NOTHING, head_of(log))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("tile/0/001", "tile 1 of level 0"),
        ("tile/0/002.p/88", "tile 2 of level 0"),
        ("tile/1/000.p/2", "tile 0 of level 1"),
    ],
)
def test_a_tile_that_is_not_that_of_the_entries_is_named(
    served: tuple[Site, Transport], log: TiledLog, path: str, says: str
) -> None:
    """Proofs are made out of tiles, so a wrong one matters though the entries are right."""
    server = served[0]
    server.logs["/log"] = shown(ENTRIES, COUNT)
    right = page(server.logs["/log"], path)
    assert right is not None
    server.pages[f"/log/{path}"] = lambda _path: right[:-1] + bytes([right[-1] ^ 1])
    with pytest.raises(NotProved, match=says):
        read_entries(log, NOTHING, head_of(log))


def test_entries_under_another_head_are_refused(served: tuple[Site, Transport], log: TiledLog) -> None:
    """All fits together, and the signed root is another."""
    other = changed(9, writer=b"w" * 16)
    served[0].logs["/log"] = shown(ENTRIES, COUNT)._replace(note=shown(other, COUNT).note)
    with pytest.raises(NotProved, match="another root"):
        read_entries(log, NOTHING, head_of(log))


@pytest.mark.parametrize("answer", [b"", b"\0", b"\0\x41" + bytes(65), bytes(2 * 256), b"x" * 20_000])
def test_what_is_no_bundle_is_told_apart(
    served: tuple[Site, Transport], log: TiledLog, answer: bytes
) -> None:
    """Empty, cut, short, of empty entries, too long: an unexpected answer, bounded."""
    served[0].logs["/log"] = shown(ENTRIES, COUNT)
    served[0].pages["/log/tile/entries/000"] = lambda _path: answer
    with pytest.raises((UnexpectedAnswer, NotProved)):
        read_entries(log, NOTHING, head_of(log))


def test_tiles_that_do_not_give_the_old_head_are_refused(
    served: tuple[Site, Transport], log: TiledLog
) -> None:
    """Nobody reads on from a place that is not the one that was seen."""
    served[0].logs["/log"] = shown(ENTRIES, COUNT)
    with pytest.raises(NotProved, match="do not give its head of 300"):
        stand_at(log, read_head(shown(changed(3, writer=b"w" * 16), 300).note), COUNT)


def test_claims_about_a_log_that_is_served(
    served: tuple[Site, Transport], log: TiledLog, tmp_path: Path
) -> None:
    """Proved with the key, unproved without; what breaks the rules, or is not shown, in its own claim."""
    pins = PinStore(tmp_path)
    key = SIGNER.verifier.vkey
    served[0].logs["/log"] = shown(ENTRIES, COUNT)
    assert examine_live(log, [key], pins).verdict == "proved"
    without = examine_live(log, [], pins)
    assert [claim.verdict for claim in without.claims] == ["unproved", "proved", "proved", "proved"]
    assert "first seen" in without.claims[0].says
    served[0].logs["/log"] = shown(changed(299, sequence=5))
    found = examine_live(log, [key], None)
    assert (found.verdict, found.claims[-1].says) == (
        "refuted",
        "The log is not what it signed: in the place of event 300 stands the entry of event 5.",
    )
    served[0].logs["/log"] = shown(ENTRIES, COUNT)._replace(size=300)
    hidden = examine_live(log, [key], None)
    assert hidden.verdict == "unproved"
    assert "Not all of the log's 600 events are shown" in hidden.claims[-1].says
    wrong = shown(ENTRIES, COUNT).note.replace(b"\n600\n", b"\n599\n")
    served[0].logs["/log"] = shown(ENTRIES, COUNT)._replace(note=wrong)
    assert examine_live(log, [key], pins).claims[0].verdict == "refuted"
    assert ORIGIN in examine_live(log, [key], pins).claims[0].says
