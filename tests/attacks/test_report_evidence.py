"""A report's evidence in the hands of whoever wants it to say something else. Each is found offline.

The attacker recomputes every digest, and where it is said so holds the key of the log: what is signed wrongly
is then found by recomputing the report from the events.
"""

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.harness import wat
from tests.harness.answers import (
    FILES,
    answered,
    asked_of,
    attestation,
    attested,
    request_bytes,
    sha256,
    without_events,
)
from tests.harness.evidence import (
    ACME,
    KEYS,
    OTHER,
    Members,
    changed,
    examined,
    listed,
    signed,
    wrong,
)

from indelible.model.limits import Limits
from indelible.notes.keys import Signer
from indelible.notes.note import sign_note

WAT = wat.wasm()  # answers {} to everything
SMALL = answered(wasm=WAT, result=b"{}")
WINDOW = answered(first=4, last=9, window=(4, 10), wasm=WAT, result=b"{}")
STRANGER = Signer(ACME.origin, b"s" * 32)
QUICK = Limits(fold_fuel_per_batch=50_000_000, query_fuel=50_000_000, report_check_seconds=20.0)


def says(members: Members, verdict: str, limits: Limits = QUICK) -> str:
    """The claims of a verdict, joined."""
    found = examined(members, limits=limits)
    assert found.verdict != "proved"
    return " | ".join(claim.says for claim in found.claims if claim.verdict == verdict)


@pytest.mark.parametrize("options", [{}, {"first": 4, "last": 9, "window": (4, 10)}])
def test_what_is_whole_is_proved(options: dict[str, Any]) -> None:
    """The files that are spoilt below are right before: a shipped view over all events, and over a window."""
    found = examined(answered(**options))
    assert found.verdict == "proved", found
    told = " ".join(claim.says for claim in found.claims if claim.verdict == "proved")
    assert "Recomputing the report from the events gives the same" in told
    where = "those of the window alone" if options else "the events 1 to 21, all under it"
    assert where in told
    assert examined(SMALL).verdict == examined(WINDOW).verdict == "proved"


def test_a_report_of_no_event_is_proved() -> None:
    """An empty window: the view starts, folds nothing and answers."""
    assert examined(answered(first=1, last=0, window=(None, 1), wasm=WAT, result=b"{}")).verdict == "proved"


# ---------------------------------------------------------------------- what is attested


LINES: dict[str, Any] = {
    "format": "indelible/report/v2",
    "origin": OTHER.origin,
    "size": "20",
    "root": base64.b64encode(bytes(32)).decode(),
    "fold": "fold 2 21",
    "interface": "indelible:view/view@1.0.1",
    "view": f"view {sha256(b'another')}",
    "config": f"config {sha256(b'another')}",
    "request": f"request {sha256(b'another')}",
    "erasures": f"erasures 1 {sha256(b'')}",
    "result": f"result {sha256(b'another')}",
    "time": "yesterday",
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("whole", [SMALL, WINDOW], ids=["all", "window"])
def test_each_line_of_the_attestation_binds(whole: Members, line: str) -> None:
    """Attack: one line is another, signed with the log's own key, the cover sheet as well. Found for each."""
    assert wrong(attested(whole, **{line: LINES[line]}), limits=QUICK)


@pytest.mark.parametrize(
    "text",
    [
        lambda text: text.replace("fold 1 21", "fold 01 21"),
        lambda text: text.replace("fold 1 21", "fold  1 21"),
        lambda text: text.replace("fold 1 21", "fold 1 21 "),
        lambda text: text + "more\n",
        lambda text: "\n".join(text.split("\n")[:-2]) + "\n",
        lambda text: text.replace("view ", "VIEW ", 1),
        lambda text: text.upper(),
    ],
)
def test_an_attestation_has_one_spelling(text: Any) -> None:
    """Attack: a text that two programs read in two ways. Refused, whoever signed it."""
    note = sign_note(text(attestation(SMALL)), [ACME.signer])
    assert wrong(signed(listed({**SMALL, "report.sig": note}), ACME.signer))


def test_an_attestation_by_another_key_is_found() -> None:
    """Attack: a stranger's key of the log's name signs a false report. Found with the log's key."""
    forged = attested({**SMALL, "report.json": b'{"forged":1}'}, STRANGER)
    assert "did not sign the attestation of the report" in wrong(forged)
    again = signed(listed(forged), ACME.signer)  # a cover sheet of the log's own does not help it
    assert "did not sign the attestation of the report" in wrong(again)


def test_an_attestation_of_another_log_is_found() -> None:
    """Attack: the attestation, or the whole report, of another log's evidence. Found: it names its log."""
    theirs = answered(OTHER, wasm=WAT, result=b"{}")
    assert wrong(signed(listed({**SMALL, "report.sig": theirs["report.sig"]}), ACME.signer))
    moved = {**SMALL, **{name: theirs[name] for name in FILES}}
    assert wrong(signed(listed(moved), ACME.signer))


def test_a_signed_text_of_another_kind_is_no_attestation() -> None:
    """Attack: the cover sheet's own signature, or a checkpoint, as report.sig. Found: first lines differ."""
    for name in ("manifest.sig", "checkpoint"):
        assert wrong(signed(listed({**SMALL, "report.sig": SMALL[name]}), ACME.signer))


@pytest.mark.parametrize("name", FILES)
def test_an_exchanged_file_is_found(name: str) -> None:
    """Attack: component, configuration, request, result or attestation is another. Found whatever is redone.

    With nothing recomputed, with the digests on the cover sheet, and with that signed by the log's own key.
    """
    other = answered(params=(("actor", "y"),), wasm=WAT, result=b"{} ")
    content = {**other, "config.json": b"{ }", "view.wasm": wat.wasm(extra="(func)")}[name]
    exchanged = {**SMALL, name: content}
    assert exchanged[name] != SMALL[name]
    assert wrong(exchanged)
    assert wrong(listed(exchanged))
    assert name in wrong(signed(listed(exchanged), ACME.signer)) or name == "report.sig"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(name: str) -> None:
    """Attack: one of the five is taken away, so that nothing can be recomputed. Found: they go together."""
    less = {key: content for key, content in SMALL.items() if key != name}
    assert f"{name} is not in it" in wrong(signed(listed(less), ACME.signer))


@given(st.sampled_from(["request.json", "config.json", "report.json", "report.sig"]), st.data())
def test_each_bit_of_the_small_files_counts(name: str, data: st.DataObject) -> None:
    """Attack: one bit of a small file, the cover sheet signed anew with the log's key. Refuted, always."""
    content = bytearray(SMALL[name])
    at = data.draw(st.integers(0, 8 * len(content) - 1))
    content[at // 8] ^= 1 << (at % 8)
    assert wrong(signed(listed({**SMALL, name: bytes(content)}), ACME.signer))


@given(st.sampled_from(FILES), st.binary(max_size=200))
def test_any_file_of_a_report_may_be_rubbish(name: str, content: bytes) -> None:
    """Attack: any bytes in place of a file of the report, attested or not. In words, and never proved."""
    spoilt = {**SMALL, name: content}
    assert examined(spoilt).verdict == "refuted"
    assert examined(signed(listed(spoilt), ACME.signer)).verdict == "refuted"


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b"{}\n",
        b'{"params":[],"facts":[]}\n',
        b'{"params":[],"facts":[],"body":"","input_base64":"e30="}\n',
        b'{"input_base64":""}\n',
        b'{"input_base64":"e30"}\n',
        b'{"params":[["a"]],"facts":[],"body":""}\n',
        b'{"params":[],"facts":[],"body":"","more":1}\n',
        b'{"params":[],"facts":[],"body":"","body":""}\n',
        b'{ "params":[],"facts":[],"body":""}\n',
        b'{"params":[],"facts":[],"body":"\\ud800"}\n',
        SMALL["request.json"].replace(b",", b", ", 1),
        SMALL["request.json"].replace(b"tz", b"\\u0074z", 1),
        SMALL["request.json"] + b"\n",
        SMALL["request.json"].replace(b'"body":""', b'"body":"","body":""'),
    ],
)
def test_a_request_has_one_spelling(content: bytes) -> None:
    """Attack: a request that two programs read in two ways, signed with the log's own key. Refused."""
    assert wrong(signed(listed({**SMALL, "request.json": content}), ACME.signer))


# ---------------------------------------------------------------------- a server that lies with the key


def test_a_result_that_does_not_follow_is_refuted() -> None:
    """Attack: the server attests what the view did not answer. Found, with the first difference."""
    true = answered()
    lie = true["report.json"].replace(b'"events":', b'"events":1', 1)
    lie = lie if lie != true["report.json"] else lie + b" "
    found = wrong(attested({**true, "report.json": lie}))
    assert "gives other bytes" in found
    assert "from byte" in found


@pytest.mark.parametrize("result", [b"", b"{", b"{} ", b"{}" * 500_000])
def test_a_result_of_another_length_is_refuted(result: bytes) -> None:
    """Attack: cut, padded or repeated bytes. Found: all bytes are compared."""
    assert "gives other bytes" in wrong(
        attested({**SMALL, "report.json": result}), limits=Limits(evidence_ratio=10**6)
    )


def test_a_result_of_another_type_is_refuted() -> None:
    """Attack: an answer called by another content type, under which it reads as something else."""
    cover = json.loads(SMALL["manifest.json"])
    cover["report"]["content_type"] = "text/html"
    again = signed(listed({**SMALL, "manifest.json": json.dumps(cover).encode()}), ACME.signer)
    assert "called what it is not" in wrong(again)


def test_events_left_out_of_the_fold_are_found() -> None:
    """Attack: a report over fewer events than the file shows, or over more; signed with the log's key."""
    fewer = answered(last=20, wasm=WAT, result=b"{}")
    moved = {**fewer, **{name: SMALL[name] for name in FILES}}
    assert "the events 1 to 21 were folded" in wrong(signed(listed(moved), ACME.signer))
    assert "the events 1 to 20 were folded" in wrong(attested(SMALL, fold="fold 1 20"))
    part = examined(fewer)
    assert part.verdict == "proved"
    assert any("the events 1 to 20 alone" in claim.says for claim in part.claims)


@pytest.mark.parametrize("name", ["log-id", "log-name", "origin", "at-sequence"])
def test_a_view_that_was_told_something_false_is_found(name: str) -> None:
    """Attack: the view is told of another log or of more events, and repeats it in good faith."""
    asked = asked_of(ACME, 21)
    asked["facts"] = [[key, "22" if key == name else value] for key, value in asked["facts"]]
    assert f"told another {name}" in wrong(attested({**SMALL, "request.json": request_bytes(asked)}))
    twice = asked_of(ACME, 21)
    twice["facts"].insert(0, ["origin", "another"])
    assert "a fact twice" in wrong(attested({**SMALL, "request.json": request_bytes(twice)}))


@pytest.mark.parametrize("window", [(3, 10), (4, 11), (None, 10), (4, None), None])
def test_a_window_other_than_the_one_asked_for_is_found(window: Any) -> None:
    """Attack: the window's proof is of another window than the question's, so the report looks complete."""
    asked = asked_of(ACME, 9, (), window)
    assert "another window" in wrong(attested({**WINDOW, "request.json": request_bytes(asked)}))
    asked["facts"].insert(0, ["window-from", "9" * 5_000])
    assert wrong(attested({**WINDOW, "request.json": request_bytes(asked)}))


def test_a_cover_sheet_that_says_otherwise_is_found() -> None:
    """Attack: the cover sheet, which people read, names another view, result or fold than was attested."""
    for name, value in (("view_sha256", "0" * 64), ("result_sha256", "0" * 64), ("fold", "window")):
        cover = json.loads(SMALL["manifest.json"])
        cover["report"][name] = value
        again = {**SMALL, "manifest.json": json.dumps(cover).encode()}
        assert "the cover sheet" in wrong(signed(listed(again), ACME.signer))
    silent = changed(SMALL, "manifest.json", report=None)
    assert "does not speak of a report" in wrong(signed(listed(silent), ACME.signer))


def test_a_machines_question_to_a_view_is_found() -> None:
    """Attack: a request of the other world, under which no fact is checked. Found: a component has one."""
    asked = {"input_base64": "e30="}
    assert "not one for a view of this world" in wrong(
        attested({**SMALL, "request.json": request_bytes(asked)})
    )


# ---------------------------------------------------------------------- a hostile component


GROWS = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 256)) (i32.const -1)))) unreachable"


@pytest.mark.parametrize(
    "parts",
    [
        {"append": wat.LOOP},
        {"query": wat.LOOP},
        {"init": wat.LOOP},
        {"append": GROWS},
        {"query": GROWS},
        {"append": "unreachable"},
        {"append": wat.DEEP, "extra": wat.RECURSION},
        {"memory": '(memory (export "memory") 65536)'},
    ],
)
def test_a_hostile_component_ends_in_words(parts: dict[str, str]) -> None:
    """Attack: a view that loops, fills memory, traps or recurses. Bounded, unproved, and told why."""
    began = time.process_time()
    told = says(answered(wasm=wat.wasm(**parts), result=b"{}"), "unproved")
    assert "was not recomputed: the view or a limit of this machine ended it" in told
    assert time.process_time() - began < 60  # of the processor: fuel ends it, not a clock


def test_a_view_that_refuses_what_it_answered_is_refuted() -> None:
    """Attack: an answer of a view that refuses its question, or an event. Decided, so it is wrong."""
    told = "(i32.store (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 256))"
    event = f"{told} (i32.store (i32.const 8) (i32.const 2)) (i32.const 0)"
    question = wat.REFUSES.format(case=0, size=4)
    for parts, words in (
        ({"append": event}, "the view refuses event 1"),
        ({"init": event}, "the view refuses to start"),
        ({"query": question}, "the view refuses the question"),
    ):
        assert words in wrong(answered(wasm=wat.wasm(**parts), result=b"{}"), limits=QUICK)


@pytest.mark.parametrize("component", [b"", b"\0asm", b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0", b"MZ" * 9])
def test_what_is_no_component_is_told_as_such(component: bytes) -> None:
    """Attack: bytes that are no view, attested all the same. Not recomputed, in words."""
    told = says(answered(wasm=component, result=b"{}"), "unproved")
    assert "was not recomputed" in told


# ---------------------------------------------------------------------- without events, keys or engine


def test_without_events_what_is_signed_is_checked_and_the_rest_said() -> None:
    """Events left out: signatures and digests hold, nothing is claimed of events; an edit is still found."""
    less = without_events(SMALL)
    found = examined(less)
    assert found.verdict == "unproved"
    told = {claim.says: claim.verdict for claim in found.claims}
    assert any("signed the attestation of the report" in text for text in told if told[text] == "proved")
    assert any("it takes the file with its events" in text for text in told if told[text] == "unproved")
    assert not any("none between them is missing" in text for text in told)
    assert wrong(signed(listed({**less, "report.json": b"{} "}), ACME.signer))
    half = {name: content for name, content in SMALL.items() if name != "events.ndjson"}
    assert "events.ndjson is not in it" in wrong(signed(listed(half), ACME.signer))
    bare = {name: content for name, content in less.items() if name not in FILES}
    assert "events.ndjson is not in it" in wrong(signed(listed(bare), ACME.signer))


def test_without_keys_a_report_is_recomputed_and_unproved() -> None:
    """No key: that the bytes follow from the events is recomputed all the same; who signed is unproved."""
    found = examined(SMALL, ())
    assert found.verdict == "unproved"
    assert any("gives the same 2 bytes" in claim.says for claim in found.claims)
    assert examined(SMALL, KEYS).verdict == "proved"


def test_a_report_that_is_wrong_elsewhere_is_not_run() -> None:
    """A component from a file that is wrong already is not run at all, and the claim says so."""
    told = says({**SMALL, "VERIFY.txt": b"x"}, "unproved")
    assert "the file is wrong in what stands above" in told
