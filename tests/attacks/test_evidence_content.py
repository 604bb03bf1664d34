"""Evidence in the hands of whoever wants it to say something else: what it says. Each is found offline.

Whoever edits a file can recompute every digest in it; that is done here wherever it helps the attacker.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness.evidence import (
    ACME,
    AUDIT,
    KEYS,
    OTHER,
    Event,
    Members,
    Story,
    audit_story,
    changed,
    examined,
    listed,
    members_of,
    signed,
    story,
    wrong,
)

from indelible.model.limits import Limits
from indelible.notes.keys import Signer

WHOLE = members_of()
WINDOW = members_of(window=(4, 10))
NAMES = list(WHOLE)
Lines = list[bytes]


def lines(members: Members = WHOLE) -> Lines:
    """The lines of the events."""
    return members["events.ndjson"].splitlines(keepends=True)


def with_lines(new: Sequence[bytes], members: Members = WHOLE, **sheet: Any) -> Members:
    """Other events, with their number and digests recomputed; manifest.sig as it was."""
    edited = {**members, "events.ndjson": b"".join(new)}
    return listed(changed(edited, "manifest.json", **{"events": len(new), **sheet}))


def resigned(members: Members, signer: Signer = ACME.signer) -> Members:
    """The files with their digests recomputed, and the cover sheet signed anew."""
    return signed(listed(members), signer)


@pytest.mark.parametrize(
    "options", [{}, {"window": (4, 10)}, {"first": 1, "last": 21}, {"first": 5, "last": 4}]
)
def test_what_is_whole_is_proved(options: dict[str, Any]) -> None:
    """The files that are spoilt below are right before: a range, a window, a whole log, nothing."""
    assert examined(members_of(**options)).verdict == "proved"
    assert examined(members_of(AUDIT, 2, 3)).verdict == "proved"


def test_without_the_keys_nothing_is_wrong_and_not_all_is_proved() -> None:
    """No key, that of the log alone, that of `_audit` alone: each leaves something unproved."""
    for keys in ([], KEYS[:1], KEYS[1:]):
        assert examined(WHOLE, keys).verdict == "unproved"
    claims = examined(WHOLE, KEYS[:1]).claims
    unproved = [claim.says for claim in claims if claim.verdict == "unproved"]
    assert all(AUDIT.origin in says for says in unproved)
    assert any('"billing"' in says for says in unproved)


# ---------------------------------------------------------------------- events


EDITS: dict[str, Callable[[Lines], Lines]] = {
    "dropped at the beginning": lambda all_: all_[1:],
    "dropped in the middle": lambda all_: [*all_[:2], *all_[3:]],
    "dropped at the end": lambda all_: all_[:-1],
    "duplicated": lambda all_: [*all_[:3], *all_[2:]],
    "swapped": lambda all_: [all_[1], all_[0], *all_[2:]],
    "from beside the range": lambda all_: [*all_, ACME.events[9].line()],
    "of another log": lambda all_: [*all_[:2], OTHER.events[5].line(), *all_[3:]],
    "text": lambda all_: [all_[0].replace(b'\\"n\\": 4', b'\\"n\\": 5'), *all_[1:]],
    "salt": lambda all_: [ACME.events[3].line(salt="00" * 16), *all_[1:]],
    "writer": lambda all_: [ACME.events[3].line(writer=str(ACME.events[5].writer)), *all_[1:]],
    "time": lambda all_: [ACME.events[3].line(time="2023-11-14T22:13:24.000001Z"), *all_[1:]],
    "nothing left": lambda _all: [],
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("whole", [WHOLE, WINDOW], ids=["range", "window"])
def test_an_edited_event_is_found(whole: Members, edit: Callable[[Lines], Lines]) -> None:
    """Attack: an event edited, dropped, doubled, moved. Found by recomputation, whoever signed what after it.

    With the digests as they were, with them recomputed, with the sequences made to follow each other, and
    signed anew even with the log's own key: the head says otherwise.
    """
    new = edit(lines(whole))
    assert wrong({**whole, "events.ndjson": b"".join(new)})
    assert wrong(with_lines(new, whole))
    assert wrong(signed(with_lines(new, whole), ACME.signer))
    renumbered = [b'{"sequence":%d,%s' % (at, line.split(b",", 1)[1]) for at, line in enumerate(new, 4)]
    last = {"last_sequence": 3 + len(new)}
    relabelled = changed(with_lines(renumbered, whole, **last), "proof.json", last=3 + len(new))
    assert wrong(signed(listed(relabelled), ACME.signer))


def test_a_tail_cut_off_the_events_is_told_as_such() -> None:
    """The number of events is said where it is wrong, not only that the hashes are."""
    assert "there are 5 events in it" in wrong(resigned({**WHOLE, "events.ndjson": b"".join(lines()[:-1])}))


@given(st.integers(0, len(WHOLE["events.ndjson"]) - 1), st.integers(1, 255))
def test_a_changed_byte_of_the_events_is_found(at: int, change: int) -> None:
    """Attack: any byte of any event, all digests recomputed. Found by recomputation, without keys."""
    data = bytearray(WHOLE["events.ndjson"])
    data[at] ^= change
    assert wrong(listed({**WHOLE, "events.ndjson": bytes(data)}), ())


@pytest.mark.parametrize(
    "line",
    [
        ACME.events[3].line().replace(b",", b", ", 1),
        ACME.events[3].line().replace(b"\n", b"\r\n"),
        b"\n" + ACME.events[3].line(),
        ACME.events[3].line()[:-2] + b',"payload":"{}"}\n',  # the first one is what another reader shows
        ACME.events[3].line()[:-2] + b',"note":"approved"}\n',
        ACME.events[3].line(payload_base64="e30="),
        ACME.events[3].line().replace(b"acme", b"\\u0061cme"),
        ACME.events[3].line(salt=ACME.events[3].salt.hex().upper()),
        ACME.events[3].line(writer=str(ACME.events[3].writer).upper()),
        ACME.events[3].line(time="2023-11-14T22:13:24Z"),
        ACME.events[3].line(time="2023-11-14T23:13:24.000000+01:00"),
        ACME.events[3].line(time="9999999999999999999"),
        ACME.events[3].line(sequence="4"),
        ACME.events[3].line(sequence=4.0),
        ACME.events[3].line(sequence=-4),
        ACME.events[3].line(sequence=1 << 70),
        ACME.events[3].line(payload=None),
        ACME.events[3].line(payload=["x"]),
        ACME.events[3].line(payload=float("nan")),
        ACME.events[3].line().replace(b"acme", b"\\ud800"),
        ACME.events[3].line().replace(b"acme", b"\xed\xa0\x80"),
        ACME.events[3].line().replace(b'"payload":', b'"payload_base64":'),
        b'{"sequence":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n",
        b"[]\n",
        b"null\n",
        b"",
    ],
)
def test_an_event_has_one_spelling(line: bytes) -> None:
    """Attack: a line that two programs read in two ways. Found: any other spelling is refused.

    A member twice, another one, escapes, spaces, upper case, other types, NaN, half a surrogate, depth.
    """
    assert "events" in wrong(resigned({**WHOLE, "events.ndjson": b"".join([line, *lines()[1:]])}))


def test_bytes_that_are_no_text_have_one_spelling_too() -> None:
    """Attack: text given as base64, so that a search misses it. Found: only what is no UTF-8 is base64."""
    log = Story(UUID(int=0xB1), "bin", [Event(1, UUID(int=1), b"{}"), Event(2, UUID(int=1), b"\xff")])
    audit = audit_story(log)
    keys = [one.signer.verifier.vkey for one in (log, audit)]
    members = members_of(log, 1, 2, audit=audit)
    assert b'"payload_base64":"/w=="' in members["events.ndjson"]
    assert examined(members, keys).verdict == "proved"
    encoded = log.events[0].line().replace(b'"payload":"{}"', b'"payload_base64":"e30="')
    hidden = {**members, "events.ndjson": encoded + log.events[1].line()}
    assert "is UTF-8" in wrong(resigned(hidden, log.signer), keys)


def test_a_line_without_an_end_is_bounded() -> None:
    """Attack: a line that never ends, to fill memory. Found at the limit `evidence_line_bytes`."""
    long = {**WHOLE, "events.ndjson": ACME.events[3].line(payload=bytes(range(32, 127)).decode() * 30_000)}
    assert "a line has more than 1000000 bytes" in wrong(
        long, limits=Limits(evidence_line_bytes=1_000_000, evidence_ratio=10_000)
    )
    assert "no end" in wrong({**WHOLE, "events.ndjson": b"".join(lines())[:-1]})


# ---------------------------------------------------------------------- other parts


@pytest.mark.parametrize("name", [name for name in NAMES[1:] if name != "manifest.sig"])
@pytest.mark.parametrize("redone", ["nothing", "digests", "signed anew"])
def test_a_part_of_another_logs_evidence_is_found(name: str, redone: str) -> None:
    """Attack: cover, checkpoint, keys, proof or audit of another log. Found: they name their log."""
    mixed = {**WHOLE, name: members_of(OTHER)[name]}
    if redone != "nothing":
        mixed = listed(mixed)
    if redone == "signed anew":
        mixed = signed(mixed, ACME.signer)
    assert wrong(mixed)
    assert wrong({**WHOLE, "manifest.sig": members_of(OTHER)["manifest.sig"]})


@pytest.mark.parametrize(
    "change", [{"first": 5}, {"last": 8}, {"first": 5, "last": 10}, {"size": 20}, {"last": 99}]
)
def test_a_range_under_another_label_is_found(change: dict[str, int]) -> None:
    """Attack: events 4 to 9 passed off as 5 to 10, or as a shorter range. Found: entries have sequences."""
    sheet = {f"{name}_sequence": value for name, value in change.items() if name != "size"}
    relabelled = changed(changed(WHOLE, "proof.json", **change), "manifest.json", **sheet)
    assert wrong(relabelled)
    assert wrong(signed(listed(relabelled), ACME.signer))


def test_a_cover_sheet_signed_by_another_key_is_found() -> None:
    """Attack: the cover sheet edited, and signed by a key of the same name. Found with the log's key."""
    stranger = Signer(ACME.origin, b"s" * 32)
    edited = signed(changed(WHOLE, "manifest.json", query="/logs/acme/evidence?first=1"), stranger)
    assert "did not sign the cover sheet" in wrong(edited)
    assert examined(edited, ()).verdict == "unproved"
    unsigned = changed(WHOLE, "manifest.json", query="/logs/acme/evidence?first=1")
    assert "another cover sheet" in wrong(unsigned, ())


def test_a_whole_forgery_needs_the_key() -> None:
    """Attack: another history, with every hash right, signed by a stranger. Found with the log's key.

    Signed with the log's stolen key it is right in itself; whoever holds an earlier head finds that.
    """
    forged = Story(ACME.log_id, "acme", [*story("acme", 0xAC, 20).events, Event(21, UUID(int=1), b"{}")])
    assert examined(members_of(forged)).verdict == "proved"  # with the stolen key
    stranger = Signer(ACME.origin, b"s" * 32)
    assert "did not sign" in wrong(members_of(forged), [stranger.verifier.vkey, *KEYS[1:]])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("proof.json", {"hashes": []}),
        ("proof.json", {"hashes": ["00" * 32]}),
        ("proof.json", {"hashes": ["zz"]}),
        ("proof.json", {"hashes": [1]}),
        ("proof.json", {"first": "4"}),
        ("proof.json", {"first": -1}),
        ("proof.json", {"last": 1 << 80}),
        ("proof.json", {"window": {"from": 1}}),
        ("proof.json", {"window": {"from": "yesterday", "to": None}}),
        ("proof.json", {"before": "01"}),
        ("proof.json", {"before": ACME.events[2].entry.hex()}),
        ("keys.json", {"keys": {}}),
        ("keys.json", {"keys": [{"verifier_key": "x"}]}),
        ("audit-proof.json", {"proofs": []}),
        ("audit-proof.json", {"proofs": [["zz"]]}),
        ("audit-proof.json", {"size": 5}),
        ("audit-proof.json", {"keys": ACME.keys()}),
        ("keys.json", {"keys": AUDIT.keys()}),
        ("audit-proof.json", {"checkpoint": ACME.note().decode()}),
        ("manifest.json", {"gaps": 1}),
        ("manifest.json", {"format": "indelible/evidence/v2"}),
        ("manifest.json", {"basis": "occurred"}),
        ("manifest.json", {"time_zone": "Europe/Berlin"}),
        ("manifest.json", {"events": 7}),
        ("manifest.json", {"events": "6"}),
        ("manifest.json", {"head": {"size": 21, "root": "00" * 32}}),
        ("manifest.json", {"deployment": "evil.example.com"}),
        ("manifest.json", {"log": {"log_id": str(OTHER.log_id), "name": "acme", "origin": ACME.origin}}),
        ("manifest.json", {"log": {"log_id": str(ACME.log_id), "name": "other", "origin": ACME.origin}}),
        ("manifest.json", {"window": {"from": None, "to": None}}),
        ("manifest.json", {"made": None}),
    ],
)
def test_parts_that_are_malformed_or_do_not_fit_are_refused(name: str, change: dict[str, Any]) -> None:
    """Attack: a part that contradicts another, or breaks a reader. Refused in words, signed or not."""
    assert wrong(resigned(changed(WHOLE, name, **change)))


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".json")])
@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b"NaN", b'{"a":NaN}', b"\xff", b"{}", b"[]", b'"\\ud800"', b""]
)
def test_json_that_breaks_readers_is_refused(name: str, content: bytes) -> None:
    """Attack: deep nesting, NaN, other types, half a surrogate. Refused in words."""
    assert wrong({**WHOLE, name: content})


def test_files_that_the_cover_sheet_does_not_list_are_found() -> None:
    """Attack: a report slipped in, or taken away. Found: the cover sheet lists all files."""
    ordered = {name: WHOLE[name] for name in NAMES[:-2]}
    tail = {name: WHOLE[name] for name in NAMES[-2:]}
    more = {**ordered, "report.json": b"{}", **tail}
    assert "request.json is not in it" in wrong(more)
    assert "request.json is not in it" in wrong(resigned(more))
    parts = dict.fromkeys(("request.json", "config.json", "view.wasm", "report.json", "report.sig"), b"{}")
    assert wrong(resigned({**ordered, **parts, **tail}))


# ---------------------------------------------------------------------- windows of time


@pytest.mark.parametrize(
    ("first", "last", "window"),
    [(5, 9, (4, 10)), (4, 8, (4, 10)), (4, 9, (2, 10)), (4, 9, (4, 13)), (4, 9, (5, 10)), (4, 9, (None, 10))],
)
def test_a_window_that_leaves_out_an_event_is_found(
    first: int, last: int, window: tuple[int | None, int]
) -> None:
    """Attack: an event at a window's end left out, or one from outside in. Found: neighbours have times."""
    assert "window" in wrong(members_of(first=first, last=last, window=window))


def test_a_window_without_neighbours_is_found() -> None:
    """Attack: a window said to be empty, without the entries beside it. Found: they must be there."""
    run = json.loads(members_of(first=5, last=4)["proof.json"])
    bare = changed(
        members_of(first=5, last=4, window=(4, 10)),
        "proof.json",
        before=None,
        after=None,
        hashes=run["hashes"],
    )
    assert "beside it is left out" in wrong(resigned(bare))


def test_times_that_go_back_are_found() -> None:
    """Attack: an operator dates an event into the past, and signs. Found: then no event bounds a window."""
    events = [Event(n, UUID(int=1), b"%d" % n, 30 - n if n == 7 else n) for n in range(1, 22)]
    events[6] = Event(7, UUID(int=1), b"7", 2)
    log = Story(ACME.log_id, "acme", events)
    assert "go back at event 7" in wrong(members_of(log, 4, 9))
    assert "go back" in wrong(members_of(log, 4, 6, (4, 7)))


# ---------------------------------------------------------------------- who wrote


def test_another_label_for_a_key_is_found() -> None:
    """Attack: a writer's label edited, digests and cover sheet signed anew. Found: `_audit`'s head."""
    edited = WHOLE["audit.ndjson"].replace(b"billing", b"mallory")
    assert "not proved to be under its head" in wrong(resigned({**WHOLE, "audit.ndjson": edited}))


def test_an_audit_log_of_ones_own_is_not_believed() -> None:
    """Attack: a log that says what one likes passed off as `_audit`. Found: its key was not given.

    The log itself, whose key was given, is refused as its own `_audit`.
    """
    mine = audit_story(ACME)
    mine.log_id, mine.name = UUID(int=0xBAD), "mine"
    assert examined(members_of(audit=mine)).verdict == "unproved"
    log = Story(
        ACME.log_id,
        "acme",
        [*ACME.events[:9], *[Event(10 + n, BY, event.payload, 10) for n, event in enumerate(mine.events)]],
    )
    assert "of the log itself" in wrong(members_of(log, audit=log))
    foreign = audit_story(ACME)
    foreign.deployment = "elsewhere.example.com"
    keys = [*KEYS, foreign.signer.verifier.vkey]
    assert "another deployment" in wrong(members_of(audit=foreign), keys)


BY = ACME.events[0].writer


def test_a_writer_without_a_word_is_unproved() -> None:
    """Attack: the word about a writer left out. Found: that claim is not proved."""
    proof = json.loads(WHOLE["audit-proof.json"])
    kept = b"".join(WHOLE["audit.ndjson"].splitlines(keepends=True)[:2])
    short = changed({**WHOLE, "audit.ndjson": kept}, "audit-proof.json", proofs=proof["proofs"][:2])
    found = examined(resigned(short))
    assert found.verdict == "unproved"
    assert any("no word of _audit says whose" in claim.says for claim in found.claims)
