"""Evidence is checked by a program in Go that was written from docs/formats.md, with Go's tlog and note."""

import subprocess
from pathlib import Path

import pytest
from tests.harness import golang
from tests.harness.evidence_zip import SECOND, START, Asked, evidence, make_audit, make_log, ndjson, pack

LOG = make_log(1, [b'{"n":%d}' % number for number in range(300)] + [b"\xff\xfe"])
AUDIT = make_audit(2, LOG)


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built."""
    return golang.build("evidence", tmp_path_factory.mktemp("go"))


def check(program: Path, data: bytes, *keys: str) -> subprocess.CompletedProcess[str]:
    """Have a zip checked."""
    file = program.parent / "evidence.zip"
    file.write_bytes(data)
    return subprocess.run([program, file, *keys], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "asked",
    [Asked(1, 301), Asked(1, 1), Asked(200, 257), Asked(5, 9, (START + 4 * SECOND, START + 9 * SECOND))],
    ids=str,
)
def test_go_proves_good_evidence(checker: Path, asked: Asked) -> None:
    """Evidence of the whole log, of one event, of a run over the edge of a tile and of a window is proved."""
    done = check(checker, pack(evidence(LOG, AUDIT, asked)), LOG.vkey, AUDIT.vkey)
    assert done.stdout == f"proved {asked.last - asked.first + 1} events and 2 of _audit\n", done.stderr
    assert done.returncode == 0


def test_go_refuses_evidence_that_was_tampered_with(checker: Path) -> None:
    """An edited event, one left out, a head of another key, and another log's key are refused."""
    asked = Asked(3, 9)
    good = evidence(LOG, AUDIT, asked)
    lines = [LOG.line(at) for at in range(3, 10)]
    edited = [*lines[:2], {**lines[2], "payload": "{}"}, *lines[3:]]
    for name, files, key in (
        ("not the file that is listed", {**good, "events.ndjson": ndjson(edited)}, LOG.vkey),
        ("not the file that is listed", {**good, "events.ndjson": ndjson(lines[:-1])}, LOG.vkey),
        ("a signature", {**good, "checkpoint": good["checkpoint"].replace(b"\n301\n", b"\n300\n")}, LOG.vkey),
        ("the key is of", good, AUDIT.vkey),
    ):
        done = check(checker, pack(files), key, AUDIT.vkey)
        assert (done.returncode, name in done.stderr) == (1, True), done.stderr
