"""The page that verifies, in a real Chromium, with good evidence and with evidence that was tampered with."""

import base64
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.harness import browser, zips
from tests.harness.browser import Browser
from tests.harness.evidence_zip import (
    SECOND,
    START,
    Asked,
    JsonObject,
    cover,
    encode,
    evidence,
    make_audit,
    make_log,
    members,
    ndjson,
    pack,
    sealed,
)
from tests.harness.server import start_server

pytestmark = pytest.mark.skipif(
    not (browser.BROWSER.exists() and browser.DRIVER.exists()),
    reason="needs Chromium and its driver: apt-get install chromium chromium-driver",
)

DOCS = Path(__file__).parents[2] / "docs"
PAYLOADS = [b'{"type":"record.updated","n":%d}' % number for number in range(20)]
LOG = make_log(1, [*PAYLOADS, b"\xff\xfe", "größe ✓ \u2028 <b>".encode()])
AUDIT = make_audit(2, LOG)
OTHER = make_log(3, [b"another", b"log", b"of", b"the", b"same", b"kind", b"here", b"!"])
KEYS = [LOG.vkey, AUDIT.vkey]
ASKED = Asked(3, 7)
WINDOW = Asked(5, 9, (START + 4 * SECOND, START + 9 * SECOND))
GOOD = evidence(LOG, AUDIT, ASKED)
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    """The page, opened from the disk without a network."""
    with browser.opened() as opened:
        opened.open()
        yield opened


def put(folder: Path, data: bytes) -> Path:
    """A file to choose."""
    path = folder / "evidence.zip"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("asked", [ASKED, Asked(1, 22), Asked(8, 8), WINDOW, Asked(22, 21)], ids=str)
def test_good_evidence_is_proved(page: Browser, tmp_path: Path, asked: Asked) -> None:
    """Evidence of any range, packed or stored, is proved with the keys, and its events are shown."""
    files = evidence(LOG, AUDIT, asked)
    for data in (pack(files), pack(files, method=0), zips.streamed(files)):
        seen = page.check(put(tmp_path, data), KEYS)
        assert seen.verdict == "proved", seen.claims
        assert [int(row[0]) for row in seen.rows] == list(range(asked.first, asked.last + 1))


def test_events_are_shown_as_text(page: Browser, tmp_path: Path) -> None:
    """A payload is shown as it is, never read as HTML; bytes that are no text are shown as base64."""
    seen = page.check(put(tmp_path, pack(evidence(LOG, AUDIT, Asked(21, 22)))), KEYS)
    assert [row[3] for row in seen.rows] == ["base64: //4=", "größe ✓ \u2028 <b>"]
    assert seen.rows[0][2] == 'the key "product"'


def test_a_computer_without_web_crypto_comes_to_the_same(tmp_path: Path) -> None:
    """Where the browser withholds WebCrypto, right and wrong signatures are told apart all the same."""
    forged = {**GOOD, "checkpoint": GOOD["checkpoint"][:-8] + b"AAAA" + GOOD["checkpoint"][-4:]}
    with browser.opened() as opened:
        opened.withhold_crypto()
        opened.open()
        assert opened.driver.execute_script("return typeof crypto") == "undefined"
        assert opened.check(put(tmp_path, pack(GOOD)), KEYS).verdict == "proved"
        seen = opened.check(put(tmp_path, pack(forged)), KEYS)
        assert seen.says("refuted", "the signature with the key"), seen.claims


def test_without_keys_nothing_signed_is_proved(page: Browser, tmp_path: Path) -> None:
    """Without the log's key, and without that of _audit, the page says what is unproved."""
    file = put(tmp_path, pack(GOOD))
    seen = page.check(file, [])
    assert (seen.verdict, seen.says("unproved", "no key was given")) == ("unproved", True)
    seen = page.check(file, [LOG.vkey])
    assert (seen.verdict, seen.says("unproved", f"That {AUDIT.origin} signed")) == ("unproved", True)
    seen = page.check(file, [LOG.vkey.replace("+", "+0", 1)])
    assert (seen.verdict, seen.says("refuted", "is no verifier key")) == ("refuted", True)


def test_the_end_of_a_window_is_unproved_while_nothing_came_after_it(page: Browser, tmp_path: Path) -> None:
    """Where the log ends inside the window, an event could still be dated into it, and the page says so."""
    asked = Asked(20, 22, (START + 19 * SECOND, START + 90 * SECOND))
    seen = page.check(put(tmp_path, pack(evidence(LOG, AUDIT, asked))), KEYS)
    assert (seen.verdict, seen.says("unproved", "complete at its end")) == ("unproved", True)


def test_a_report_is_not_recomputed(page: Browser, tmp_path: Path) -> None:
    """With a report in it the page says that it did not recompute it, and how that is done."""
    files = {**members(LOG, AUDIT, ASKED), "report.json": b"{}"}
    seen = page.check(put(tmp_path, pack(sealed(LOG, cover(LOG, ASKED, files), files))), KEYS)
    assert (seen.verdict, seen.says("unproved", "report was not recomputed")) == ("unproved", True)


# ---------------------------------------------------------------------- tampering


def changed(name: str, change: Callable[[JsonObject], object]) -> Files:
    """Good evidence with a change in one of its JSON files, which the signed cover sheet does not know."""
    value = json.loads(GOOD[name])
    change(value)
    return {**GOOD, name: encode(value)}


def forged(asked: Asked, files: Mapping[str, bytes], **sheet: object) -> Files:
    """Evidence whose cover sheet was made anew for these files, and signed by the log itself."""
    return sealed(LOG, {**cover(LOG, asked, files), **sheet}, files)


def lines(change: Callable[[list[JsonObject]], object], asked: Asked = ASKED) -> Files:
    """Good evidence in which the events were changed, by somebody who can sign the cover sheet."""
    events = [LOG.line(at) for at in range(asked.first, asked.last + 1)]
    change(events)
    files = {**members(LOG, AUDIT, asked), "events.ndjson": ndjson(events)}
    return forged(asked, files, events=len(events))


def swap(events: list[JsonObject]) -> None:
    """Exchange what two events say."""
    for name in ("payload", "salt"):
        events[1][name], events[2][name] = events[2][name], events[1][name]


def without_neighbours(asked: Asked) -> Files:
    """Events of the window are left out at both ends, the proof made for what is left."""
    less = Asked(asked.first + 1, asked.last - 1, asked.window)
    files = members(LOG, AUDIT, less)
    return forged(less, files)


NAMED = {"log_id": str(LOG.log_id), "name": "acme", "origin": LOG.origin}
TAMPERED: dict[str, tuple[Files, str]] = {
    "an event edited": (lines(lambda e: e[1].update(payload="{}")), "the root is another one"),
    "a salt edited": (lines(lambda e: e[1].update(salt="00" * 16)), "the root is another one"),
    "a time edited": (
        lines(lambda e: e[1].update(time="2026-07-01T00:00:03.500000Z")),
        "the root is another one",
    ),
    "a writer edited": (lines(lambda e: e[1].update(writer=str(LOG.log_id))), "the root is another one"),
    "an event dropped": (lines(lambda e: e.pop(2)), "not in order, or some are missing"),
    "the last event dropped": (lines(lambda e: e.pop()), "does not fit the numbers"),
    "an event twice": (lines(lambda e: e.insert(2, e[1])), "not in order, or some are missing"),
    "two events exchanged": (lines(lambda e: e.insert(1, e.pop(2))), "not in order, or some are missing"),
    "two contents exchanged": (lines(swap), "the root is another one"),
    "a lone surrogate": (
        {**GOOD, "events.ndjson": GOOD["events.ndjson"].replace(b"{\\", b"{\\ud800\\", 1)},
        "is not spelled in its one form",
    ),
    "a member twice": (
        {**GOOD, "events.ndjson": GOOD["events.ndjson"].replace(b'"salt"', b'"payload":"other","salt"', 1)},
        "is not spelled in its one form",
    ),
    "text as base64": (
        lines(
            lambda e: e[1].update(payload_base64=base64.b64encode(str(e[1].pop("payload")).encode()).decode())
        ),
        "is not spelled in its one form",
    ),
    "a member of another type": (lines(lambda e: e[1].update(payload=1)), "is no string"),
    "a window narrowed": (without_neighbours(WINDOW), "The window is not complete at its beginning"),
    "the cover edited": (changed("manifest.json", lambda m: m.update(workspace="x")), "not for this cover"),
    "the keys exchanged": (changed("keys.json", lambda m: m.update(other=1)), "keys.json is not the file"),
    "the cover of another range": (
        {**GOOD, **{n: evidence(LOG, AUDIT, Asked(2, 7))[n] for n in ("manifest.json", "manifest.sig")}},
        "is not the file that the cover sheet lists",
    ),
    "the checkpoint of another log": (
        {**GOOD, "checkpoint": OTHER.checkpoint()},
        "the log of the checkpoint",
    ),
    "a checkpoint of another size": (
        {**GOOD, "checkpoint": make_log(1, PAYLOADS).checkpoint()},
        "the head of the checkpoint",
    ),
    "audit records of another log": (
        {**GOOD, **{n: evidence(OTHER, make_audit(2, OTHER), Asked(1, 2))[n] for n in ("audit.ndjson",)}},
        "is not under its head",
    ),
    "a log renamed": (
        forged(ASKED, members(LOG, AUDIT, ASKED), log={**NAMED, "name": "other"}),
        "is not what _audit says",
    ),
    "a log that _audit does not know": (
        forged(ASKED, members(LOG, make_audit(2, OTHER), ASKED)),
        "is not what _audit says",
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_tampered_evidence_is_not_proved(page: Browser, tmp_path: Path, name: str) -> None:
    """Whatever was changed in a file, the page does not call it proved, and says what is wrong."""
    files, words = TAMPERED[name]
    seen = page.check(put(tmp_path, pack(files)), KEYS)
    assert seen.verdict in {"refuted", "unproved"}, seen.claims
    assert seen.says("refuted", words) or seen.says("unproved", words), seen.claims


@pytest.mark.parametrize("name", zips.BROKEN)
def test_a_zip_that_can_be_read_in_two_ways_is_refused(page: Browser, tmp_path: Path, name: str) -> None:
    """A zip that is cut, longer, doubled, out of order, or at odds with itself is refused as such."""
    seen = page.check(put(tmp_path, zips.BROKEN[name](GOOD)), KEYS)
    assert seen.verdict == "refuted", seen.claims
    assert seen.rows == [] or name in zips.READ_IN_PART


# ---------------------------------------------------------------------- where it comes from


def test_the_server_serves_the_page_byte_for_byte(tmp_path: Path) -> None:
    """/verify is the file itself, works under its policy in the browser, and docs have its digest."""
    digest = hashlib.sha256(browser.PAGE.read_bytes()).hexdigest()
    assert re.findall(r"\b[0-9a-f]{64}\b", (DOCS / "verify.md").read_text()) == [digest]
    with start_server(tmp_path / "data") as server, browser.opened() as opened:
        with server.client() as client:
            answer = client.get("/verify")
        assert hashlib.sha256(answer.content).hexdigest() == digest
        assert "'unsafe-inline'" not in answer.headers["content-security-policy"]
        opened.open(f"{server.url}/verify")
        assert opened.check(put(tmp_path, pack(GOOD)), KEYS).verdict == "proved"
        shutil.rmtree(tmp_path / "data", ignore_errors=True)


def test_the_page_asks_nothing_of_anybody() -> None:
    """The file names no address to load from, and its own policy forbids every connection."""
    text = browser.PAGE.read_text()
    assert "default-src 'none'" in text
    assert re.findall(r"""(?:src|href)\s*=|\bfetch\(|XMLHttpRequest|WebSocket|import\(|url\(""", text) == []
