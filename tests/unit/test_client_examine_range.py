"""A range proof is believed for completeness: what is left out, added, or moved in time is found."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.client.examine import examine
from indelible.merkle.entry import Entry, encode_entry
from indelible.merkle.hashing import leaf_hash, tree_hash
from indelible.merkle.ranges import range_proof
from indelible.merkle.subtrees import HashSource
from indelible.notes.checkpoint import Checkpoint, sign_checkpoint
from indelible.notes.keys import Signer, derive_seed

ORIGIN = "audit.example.com/logs/c1e35e68-bc1d-4e62-aac9-1ed1e9a5e25d"
SIGNER = Signer(ORIGIN, derive_seed(bytes(32), ORIGIN))
KEY = SIGNER.verifier.vkey
SIZE = 20
START = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z; event n is received n seconds later
SALTS = [hashlib.sha256(b"salt%d" % n).digest()[:16] for n in range(SIZE)]
PAYLOADS = [b'{"n":%d}' % n for n in range(1, SIZE + 1)]
ENTRIES = [
    Entry(
        n + 1,
        START + (n + 1) * 1_000_000,
        UUID(int=7).bytes,
        hashlib.sha256(SALTS[n] + PAYLOADS[n]).digest(),
    )
    for n in range(SIZE)
]
LEAVES = [leaf_hash(encode_entry(entry)) for entry in ENTRIES]
NOTE = sign_checkpoint(Checkpoint(ORIGIN, SIZE, tree_hash(LEAVES)), SIGNER).decode()


def source() -> HashSource:
    """Hashes of the tree's perfect subtrees, each computed from the leaves."""
    return lambda asked: [tree_hash(LEAVES[at << level : (at + 1) << level]) for level, at in asked]


def at(second: int) -> str:
    """A time, as it is written."""
    return f"2023-11-14T22:13:{20 + second:02d}Z" if second < 40 else f"2023-11-14T22:14:{second - 40:02d}Z"


def members(first: int, last: int, window: tuple[int | None, int | None] | None = None) -> dict[str, Any]:
    """A range proof as the server gives it."""
    low, high = window or (None, None)
    times = {"from": None if low is None else at(low), "to": None if high is None else at(high)}
    return {
        "first": first,
        "last": last,
        "size": SIZE,
        "window": None if window is None else times,
        "entries": [encode_entry(entry).hex() for entry in ENTRIES[first - 1 : last]],
        "hashes": [one.hex() for one in range_proof(first - 1, last, SIZE, source())],
        "checkpoint": NOTE,
    }


def events(first: int, last: int) -> bytes:
    """The events of a range, as `export --exact` writes them."""
    lines = [
        {
            "sequence": n,
            "salt": SALTS[n - 1].hex(),
            "payload_base64": base64.b64encode(PAYLOADS[n - 1]).decode(),
        }
        for n in range(first, last + 1)
    ]
    return b"\n".join(json.dumps(line).encode() for line in lines)


def verdict(proof: dict[str, Any], given_events: bytes | None = None, *keys: str) -> str:
    """What comes of it all."""
    return examine(json.dumps(proof).encode(), given_events, keys or [KEY]).verdict


@given(st.integers(1, SIZE), st.integers(0, SIZE))
def test_every_run_with_its_events_is_proved(first: int, more: int) -> None:
    """Whatever run is asked for."""
    last = min(SIZE, first + more)
    assert verdict(members(first, last), events(first, last)) == "proved"


def test_without_the_events_or_the_key_it_is_not_proved() -> None:
    """Nothing is wrong, and it is said what is missing."""
    assert verdict(members(3, 9)) == "unproved"
    assert examine(json.dumps(members(3, 9)).encode(), events(3, 9), []).verdict == "unproved"


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p["entries"].pop(2),
        lambda p: p["entries"].pop(),
        lambda p: p["entries"].insert(1, p["entries"][1]),
        lambda p: p["entries"].reverse(),
        lambda p: p["hashes"].pop(),
        lambda p: p["hashes"].append("00" * 32),
        lambda p: p["hashes"].__setitem__(0, "00"),
        lambda p: p.update(last=8, entries=p["entries"][:-1]),
        lambda p: p.update(first=4, entries=p["entries"][1:]),
        lambda p: p.update(first=4, last=10),
        lambda p: p.update(size=SIZE - 1),
        lambda p: p.update(checkpoint=NOTE.replace("\n20\n", "\n21\n")),
        lambda p: p["entries"].__setitem__(0, "01"),
        lambda p: p.update(entries="no list"),
    ],
)
def test_what_is_left_out_or_changed_is_refuted(change: Callable[[dict[str, Any]], object]) -> None:
    """An entry dropped, doubled or moved; a hash; a number; another head."""
    proof = members(3, 9)
    change(proof)
    assert verdict(proof, events(3, 9)) == "refuted"


@given(st.integers(0, 64), st.integers(1, 255), st.integers(0, 6))
def test_a_changed_byte_of_an_entry_is_refuted(place: int, change: int, which: int) -> None:
    """Sequence, time, writer, commitment: all of it is under the head."""
    proof = members(3, 9)
    entry = bytearray.fromhex(proof["entries"][which])
    entry[place] ^= change
    proof["entries"][which] = entry.hex()
    assert verdict(proof, events(3, 9)) == "refuted"


@pytest.mark.parametrize(
    "given_events",
    [
        events(3, 8),
        events(4, 9),
        events(3, 10),
        events(3, 9) + b"\n" + events(5, 5),
        events(3, 9).replace(base64.b64encode(PAYLOADS[4]), base64.b64encode(b"{}")),
        events(3, 9).replace(SALTS[4].hex().encode(), b"00" * 16),
        b"no json",
    ],
)
def test_other_events_are_refuted(given_events: bytes) -> None:
    """One missing at either end, one too many, one twice, one changed."""
    assert verdict(members(3, 9), given_events) == "refuted"


# ---------------------------------------------------------------------- windows of time


def test_a_window_is_complete_between_its_neighbours() -> None:
    """Events 4 to 8 were received in it; 3 before it and 9 after it, and nothing is between."""
    assert verdict(members(3, 9, (4, 9)), events(4, 8)) == "proved"
    assert verdict(members(3, 9, (4, 9)), events(3, 9)) == "proved"


def test_a_window_from_the_beginning_needs_nothing_before() -> None:
    """The log begins inside of it."""
    assert verdict(members(1, 9, (0, 9)), events(1, 8)) == "proved"
    assert verdict(members(1, 9, (None, 9)), events(1, 8)) == "proved"


def test_a_window_without_events_is_proved_by_two_neighbours() -> None:
    """That nothing was received is a statement, too."""
    proof = members(3, 4, (3, 4))
    proof["window"] = {"from": "2023-11-14T22:13:23.100000Z", "to": "2023-11-14T22:13:23.900000Z"}
    assert verdict(proof) == "proved"


def test_an_open_end_is_unproved() -> None:
    """Where nothing follows, an event could still be dated into the window."""
    examined = examine(json.dumps(members(3, SIZE, (4, 30))).encode(), events(3, SIZE), [KEY])
    assert examined.verdict == "unproved"
    assert "could still be dated into it" in " ".join(claim.says for claim in examined.claims)
    assert verdict(members(3, SIZE, (4, None)), events(3, SIZE)) == "unproved"


@pytest.mark.parametrize(
    ("first", "last", "window"), [(4, 9, (4, 9)), (4, 9, (2, 9)), (3, 8, (4, 9)), (3, 9, (4, 15))]
)
def test_a_window_without_its_neighbours_is_refuted(first: int, last: int, window: tuple[int, int]) -> None:
    """The run is proved; that it is the whole window is not, and leaving it out is no accident."""
    assert verdict(members(first, last, window), events(first, last)) == "refuted"


def test_an_event_missing_inside_a_window_is_refuted() -> None:
    """The neighbours may be left out of the events given, those inside not."""
    assert verdict(members(3, 9, (4, 9)), events(5, 8)) == "refuted"


def test_a_window_said_to_be_empty_needs_its_neighbours() -> None:
    """That nothing was received is not proved by a range of nothing, which is under every head."""
    examined = examine(json.dumps(members(5, 4, (4, 9))).encode(), b"", [KEY])
    assert examined.verdict == "refuted"
    assert not any("window: 0 events" in claim.says for claim in examined.claims if claim.verdict == "proved")
