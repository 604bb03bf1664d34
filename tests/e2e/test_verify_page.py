"""The page that verifies, in a real Chromium: good evidence, and all that `verify` is attacked with."""

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness import answers, browser
from tests.harness.browser import Browser
from tests.harness.evidence import (
    ACME,
    AUDIT,
    CORPUS,
    KEYS,
    Event,
    Members,
    Story,
    audit_story,
    changed,
    examined,
    listed,
    members_of,
    signed,
    zipped,
)
from tests.harness.server import start_server

pytestmark = pytest.mark.skipif(
    not (browser.BROWSER.exists() and browser.DRIVER.exists()),
    reason="needs Chromium and its driver: apt-get install chromium chromium-driver",
)

ROOT = Path(__file__).parents[2]
WHOLE = members_of()
RECOMPUTED = ("Recomputing", "The report does not follow from the events", "The report is called what it is")
ATTACKS = ("test_evidence_zip.py", "test_evidence_content.py", "test_evidence_deployment.py")


@pytest.fixture(scope="module")
def page() -> Iterator[Browser]:
    """The page, opened from the disk without a network."""
    with browser.opened() as opened:
        opened.open()
        yield opened


def put(folder: Path, members: Members) -> Path:
    """A file to choose."""
    path = folder / "evidence.zip"
    path.write_bytes(zipped(members))
    return path


def corpus(folder: Path, *attacks: str) -> list[tuple[Path, dict[str, Any]]]:
    """The files that attack tests gave to `verify`, each with the keys and with what came of it."""
    tests = [f"tests/attacks/{name}" for name in attacks]
    options = ["-q", "-p", "no:cacheprovider", "--hypothesis-profile=few"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    environment = os.environ | {CORPUS: str(folder), "INDELIBLE_LEFT_OUT": ""}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return [
        (file, json.loads(file.with_suffix(".json").read_text())) for file in sorted(folder.glob("*.zip"))
    ]


@pytest.mark.parametrize(
    ("first", "last", "window"), [(4, 9, None), (1, 21, None), (8, 8, None), (4, 9, (4, 10)), (8, 7, None)]
)
def test_good_evidence_is_proved(
    page: Browser, tmp_path: Path, first: int, last: int, window: tuple[int, int] | None
) -> None:
    """Evidence of any range and of a window is proved with the keys, and its events are shown."""
    seen = page.check(put(tmp_path, members_of(first=first, last=last, window=window)), KEYS)
    assert seen.verdict == "proved", seen.claims
    assert [int(row[0]) for row in seen.rows] == list(range(first, last + 1))
    assert seen.says("proved", 'the key "billing"') == (last >= first)


def test_events_are_shown_as_text(page: Browser, tmp_path: Path) -> None:
    """A payload is shown as it is, never read as HTML; bytes that are no text are shown as base64."""
    writer = ACME.events[0].writer
    payloads = [b"\xff\xfe", "größe ✓ \u2028 <b>".encode()]
    log = Story(ACME.log_id, "acme", [Event(at, writer, said) for at, said in enumerate(payloads, 1)])
    seen = page.check(put(tmp_path, members_of(log, 1, 2)), KEYS)
    assert (seen.verdict, [row[3] for row in seen.rows]) == (
        "proved",
        ["base64: //4=", "größe ✓ \u2028 <b>"],
    )


def test_a_computer_without_web_crypto_comes_to_the_same(tmp_path: Path) -> None:
    """Where the browser withholds WebCrypto, right and wrong signatures are told apart all the same."""
    note = WHOLE["checkpoint"]
    forged = listed({**WHOLE, "checkpoint": note[:-12] + b"AAAA" + note[-8:]})
    with browser.opened() as opened:
        opened.withhold_crypto()
        opened.open()
        assert opened.driver.execute_script("return typeof crypto") == "undefined"
        assert opened.check(put(tmp_path, WHOLE), KEYS).verdict == "proved"
        seen = opened.check(put(tmp_path, signed(forged, ACME.signer)), KEYS)
        assert seen.says("refuted", "the signature with the key"), seen.claims


def test_without_keys_nothing_signed_is_proved(page: Browser, tmp_path: Path) -> None:
    """Without the log's key, and without that of _audit, the page says what is unproved."""
    file = put(tmp_path, WHOLE)
    seen = page.check(file, [])
    assert (seen.verdict, seen.says("unproved", "no key was given")) == ("unproved", True)
    seen = page.check(file, KEYS[:1])
    assert (seen.verdict, seen.says("unproved", f"That {AUDIT.origin} signed")) == ("unproved", True)
    seen = page.check(file, [KEYS[0].replace("+", "+0", 1)])
    assert (seen.verdict, seen.says("refuted", "is no verifier key")) == ("refuted", True)


def test_the_end_of_a_window_is_unproved_while_nothing_came_after_it(page: Browser, tmp_path: Path) -> None:
    """Where the log ends inside the window, an event could still be dated into it, and the page says so."""
    seen = page.check(put(tmp_path, members_of(first=20, last=21, window=(20, 40))), KEYS)
    assert (seen.verdict, seen.says("unproved", "complete at its end")) == ("unproved", True)


def test_a_report_is_checked_as_far_as_it_goes_and_not_recomputed(page: Browser, tmp_path: Path) -> None:
    """The attestation and what it binds are checked; whether it follows from the events is not."""
    for members in (answers.answered(), answers.answered(first=4, last=9, window=(4, 10))):
        seen = page.check(put(tmp_path, members), KEYS)
        assert seen.verdict == "unproved", seen.claims
        assert seen.says("proved", "signed the attestation of the report")
        assert seen.says("proved", "as they are (SHA-256)")
        assert seen.says("unproved", "The command `indelible verify` does")
        seen = page.check(put(tmp_path, answers.without_events(members)), KEYS)
        assert (seen.verdict, seen.says("unproved", "events are not in the file")) == ("unproved", True)


def test_what_the_command_finds_wrong_in_a_report_the_page_finds_too(page: Browser, tmp_path: Path) -> None:
    """Each file of the attacks on reports has the same verdict, but for what only recomputing tells."""
    found = corpus(tmp_path, "test_report_evidence.py")
    verdicts = page.verdicts([(file.read_bytes(), told["keys"]) for file, told in found])
    assert len(found) > 100
    for (_, told), verdict in zip(found, verdicts, strict=True):
        recomputed = told["verdict"] == "proved" or told["wrong"].startswith(RECOMPUTED)
        assert verdict == ("unproved" if recomputed else told["verdict"]), (told, verdict)


def test_what_is_wrong_is_said(page: Browser, tmp_path: Path) -> None:
    """An edited event, an edited cover sheet, a cut file and another log's words: each has its sentence."""
    edited = WHOLE["events.ndjson"].replace(b'\\"n\\": 5', b'\\"n\\": 6')
    for members, words in (
        (signed(listed({**WHOLE, "events.ndjson": edited}), ACME.signer), "the root is another one"),
        (changed(WHOLE, "manifest.json", workspace="x"), "not for this cover sheet"),
        ({**WHOLE, "VERIFY.txt": b""}, "VERIFY.txt is not the file that the cover sheet lists"),
        (members_of(audit=audit_story()), "is not what _audit says"),
    ):
        seen = page.check(put(tmp_path, members), KEYS)
        assert seen.says("refuted", words) or seen.says("unproved", words), seen.claims
        assert seen.verdict != "proved"
    cut = tmp_path / "cut.zip"
    cut.write_bytes(zipped(WHOLE)[:-1])
    assert page.check(cut, KEYS).says("refuted", "cut short")


def test_the_page_and_the_command_come_to_the_same_verdict(page: Browser, tmp_path: Path) -> None:
    """Each file that the attack tests gave to `verify` has the same verdict in the page."""
    kept = corpus(tmp_path, *ATTACKS)
    files = [file for file, _ in kept]
    found = page.verdicts([(file.read_bytes(), told["keys"]) for file, told in kept])
    expected = [told["verdict"] for _, told in kept]
    wrong = {
        file.stem: pair for file, *pair in zip(files, found, expected, strict=True) if pair[0] != pair[1]
    }
    assert (wrong, len(files) > 300) == ({}, True)


def test_each_byte_of_the_zips_directory_means_the_same_to_the_page_and_the_command(page: Browser) -> None:
    """Whatever one of them refuses the other does not take for proved."""
    whole = zipped(WHOLE)
    spoilt = []
    for at in range(whole.index(b"PK\x01\x02"), len(whole)):
        data = bytearray(whole)
        data[at] ^= 0x81
        spoilt.append(bytes(data))
    told = [examined(data).verdict for data in spoilt]
    assert page.verdicts([(data, KEYS) for data in spoilt]) == told
    assert {"proved", "refuted"} == set(told)  # versions and attributes mean nothing


def test_the_page_follows_key_statements(page: Browser, tmp_path: Path) -> None:
    """Evidence of a rotated log is proved from its first key, and refuted where a statement is not whole."""
    with start_server(tmp_path / "data") as server, server.client() as client:
        client.post("/logs", json={"name": "acme"}).raise_for_status()
        keys = [
            client.get(f"/logs/{log}/keys").json()["keys"][0]["verifier_key"] for log in ("acme", "_audit")
        ]
        for _ in range(2):
            client.post("/logs/acme/append", content=b"{}").raise_for_status()
            client.post("/logs/acme/keys").raise_for_status()
            client.post("/logs/_audit/keys").raise_for_status()
        client.post("/logs/acme/append", content=b"{}").raise_for_status()
        evidence = client.get("/logs/acme/evidence").content
    path = tmp_path / "evidence.zip"
    path.write_bytes(evidence)
    seen = page.check(path, keys)
    assert (seen.verdict, seen.says("proved", "by key statements")) == ("proved", True), seen.claims
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    listed_keys = json.loads(members["keys.json"])["keys"]
    listed_keys[1]["statement"] = listed_keys[2]["statement"]
    spoilt = changed(members, "keys.json", keys=listed_keys)
    assert page.verdicts([(zipped(spoilt), keys), (evidence, keys[1:]), (evidence, keys[:1])]) == [
        "refuted",
        "unproved",
        "unproved",
    ]


# ---------------------------------------------------------------------- where it comes from


def test_the_server_serves_the_page_byte_for_byte(tmp_path: Path) -> None:
    """/verify is the file itself, works under its policy in the browser, and docs have its digest."""
    digest = hashlib.sha256(browser.PAGE.read_bytes()).hexdigest()
    assert re.findall(r"\b[0-9a-f]{64}\b", (ROOT / "docs" / "verify.md").read_text()) == [digest]
    with start_server(tmp_path / "data") as server, browser.opened() as opened:
        with server.client() as client:
            answer = client.get("/verify")
        assert hashlib.sha256(answer.content).hexdigest() == digest
        assert "'unsafe-inline'" not in answer.headers["content-security-policy"]
        opened.open(f"{server.url}/verify")
        assert opened.check(put(tmp_path, WHOLE), KEYS).verdict == "proved"


def test_the_page_asks_nothing_of_anybody() -> None:
    """The file names no address to load from, and its own policy forbids every connection."""
    text = browser.PAGE.read_text()
    assert "default-src 'none'" in text
    assert re.findall(r"""(?:src|href)\s*=|\bfetch\(|XMLHttpRequest|WebSocket|import\(|url\(""", text) == []
