"""Evidence is checked by a program in Go that was written from docs/formats.md, with Go's tlog and note."""

import subprocess
from pathlib import Path

import pytest
from tests.harness import golang
from tests.harness.evidence import ACME, AUDIT, Members, listed, members_of, signed, story, zipped
from tests.harness.server import start_server

LOG = story("acme", 0xAC, 301)
KEYS = (ACME.signer.verifier.vkey, AUDIT.signer.verifier.vkey)


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
    ("first", "last", "window"),
    [(1, 301, None), (1, 1, None), (200, 257, None), (4, 9, (4, 10)), (4, 3, None)],
)
def test_go_proves_good_evidence(
    checker: Path, first: int, last: int, window: tuple[int, int] | None
) -> None:
    """Evidence of the whole log, of one event, over the edge of a tile, of a window, of nothing is proved."""
    done = check(checker, zipped(members_of(LOG, first, last, window)), *KEYS)
    assert done.stdout == f"proved {last - first + 1} events and 3 of _audit\n", done.stderr
    assert done.returncode == 0


def test_go_refuses_evidence_that_was_tampered_with(checker: Path) -> None:
    """An edited event, one left out, a head of another size, and another log's key are refused."""
    good = members_of()
    lines = good["events.ndjson"].splitlines(keepends=True)
    edited = [lines[0], lines[1].replace(b"acme", b"evil"), *lines[2:]]

    def told(members: Members, *keys: str) -> str:
        done = check(checker, zipped(members), *keys)
        assert done.returncode == 1
        return done.stderr

    assert "not the file that is listed" in told({**good, "events.ndjson": b"".join(edited)}, *KEYS)
    forged = signed(listed({**good, "events.ndjson": b"".join(edited)}), ACME.signer)
    assert "not what stands under the head" in told(forged, *KEYS)
    short = signed(listed({**good, "events.ndjson": b"".join(lines[:-1])}), ACME.signer)
    assert "there are 5" in told(short, *KEYS)
    assert "a signature" in told(
        {**good, "checkpoint": good["checkpoint"].replace(b"\n21\n", b"\n20\n")}, *KEYS
    )
    assert "the key is of" in told(good, KEYS[1], KEYS[1])


def test_go_proves_what_a_running_server_exports(checker: Path, tmp_path: Path) -> None:
    """Evidence from a real server, of events of two keys, is proved by a machine that has Go alone."""
    with start_server(tmp_path / "data") as server, server.client() as client:
        client.post("/logs", json={"name": "acme"}).raise_for_status()
        made = client.post("/keys", json={"label": "product", "scopes": ["append"]}).json()
        with server.client(made["secret"]) as product:
            body = b"\n".join(b'{"n":%d}' % number for number in range(600))
            headers = {"content-type": "application/x-ndjson"}
            product.post("/logs/acme/append_batch", content=body, headers=headers).raise_for_status()
        client.post("/logs/acme/append", content=b"\xff\x00").raise_for_status()
        evidence = client.get("/logs/acme/evidence").content
        keys = [
            client.get(f"/logs/{log}/keys").json()["keys"][0]["verifier_key"] for log in ("acme", "_audit")
        ]
    done = check(checker, evidence, *keys)
    assert (done.stdout, done.stderr) == ("proved 601 events and 2 of _audit\n", "")
