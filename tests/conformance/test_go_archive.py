"""The folder `proofs/<log id>/` of an archive behind a plain file server, judged by Go and by ours."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.harness.archiving import QUICK, archived, file_server, grow
from tests.harness.golang import ask
from tests.harness.operating import run
from tests.harness.server import start_server

SIZES = (1, 255, 256, 257, 1_000, 70_001)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[bytes]]:
    """An archive of a log that was published at several sizes: the log's folder, its key, its checkpoints."""
    data = tmp_path_factory.mktemp("archive") / "data"
    notes = []
    with start_server(data, "--archive", env=QUICK) as server, server.client() as http:
        log_id = http.post("/logs", json={"name": "log"}).json()["log_id"]
        log = f"/logs/{log_id}"
        size = 0
        for wanted in SIZES:
            while size < wanted:
                size = grow(http, log, min(10_000, wanted - size))["last_sequence"]
            answer = http.get(f"{log}/proof/inclusion", params={"sequence": size})
            notes.append(answer.json()["checkpoint"].encode())
        key = http.get(f"{log}/keys").json()["keys"][0]["verifier_key"]
        archived(http)
        assert server.stop() == 0
    return data / "objects" / "proofs" / log_id, key, notes


def claim(url: str, key: str, notes: list[bytes]) -> dict[str, Any]:
    """What is claimed of the log at a URL: that it is the newest checkpoint's, and continues the others."""
    size = SIZES[-1]
    entries = [0, 255, 256, 65_535, 65_536, size - 1]
    return {"URL": url, "Vkey": key, "Note": notes[-1], "Olds": notes, "Entries": entries}


def test_go_verifies_an_archive_behind_a_plain_file_server(
    verifier: Path, archive: tuple[Path, str, list[bytes]]
) -> None:
    """Checkpoint, tiles of three levels and bundles are files; every published size is provable."""
    folder, key, notes = archive
    with file_server(folder) as url:
        assert httpx.get(f"{url}/checkpoint").content == notes[-1]
        code, said = ask(verifier, {"Served": [claim(url, key, notes)]})
    assert code == 0, said
    assert int(said.split()[-1]) >= len(SIZES)


def test_go_would_have_noticed_a_wrong_tile(
    verifier: Path, archive: tuple[Path, str, list[bytes]], tmp_path: Path
) -> None:
    """One bit of one file."""
    folder, key, notes = archive
    tile = folder / "tile" / "1" / "000"
    right = tile.read_bytes()
    tile.write_bytes(bytes([right[0] ^ 1]) + right[1:])
    try:
        with file_server(folder) as url:
            code, said = ask(verifier, {"Served": [claim(url, key, notes)]})
    finally:
        tile.write_bytes(right)
    assert code == 1, said


def test_our_commands_verify_and_watch_it(archive: tuple[Path, str, list[bytes]], tmp_path: Path) -> None:
    """`verify URL` recomputes the whole history out of files, and `monitor` follows it."""
    folder, key, _ = archive
    with file_server(folder) as url:
        done = run("verify", url, "--key", key, "--pins", tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{SIZES[-1]}" in done.stdout.replace(",", "")
        watched = run("monitor", url, "--once", "--key", key, "--pins", tmp_path, "--entries")
        assert watched.returncode == 0, watched.stdout + watched.stderr


def test_a_checkpoint_never_stands_there_before_its_tiles(tmp_path: Path) -> None:
    """While a log grows: all tiles of whatever checkpoint is read from the folder are there."""
    with start_server(tmp_path / "data", "--archive", env=QUICK) as server, server.client() as http:
        log_id = http.post("/logs", json={"name": "log"}).json()["log_id"]
        folder = tmp_path / "data" / "objects" / "proofs" / log_id
        sizes: set[int] = set()
        deadline = time.monotonic() + 60
        while len(sizes) < 8:
            assert time.monotonic() < deadline, sizes
            grow(http, f"/logs/{log_id}", 37)
            if (folder / "checkpoint").exists():
                size = int((folder / "checkpoint").read_bytes().split(b"\n")[1])
                for number in range(size // 256):
                    assert (folder / f"tile/entries/{number:03d}").exists()
                    assert (folder / f"tile/0/{number:03d}").exists()
                if size % 256:
                    assert (folder / f"tile/entries/{size // 256:03d}.p/{size % 256}").exists()
                    assert (folder / f"tile/0/{size // 256:03d}.p/{size % 256}").exists()
                sizes.add(size)
