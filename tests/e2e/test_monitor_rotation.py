"""Key rotation seen from outside: `monitor`, `verify URL`, `log show` and `proof` against a real server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.harness.monitoring import grow, run
from tests.harness.server import ROOT_KEY, RunningServer, start_server
from tests.harness.tiles import Site, site

KEY = {"INDELIBLE_KEY": ROOT_KEY}


@pytest.fixture
def overlap() -> str:
    """How long an old key signs beside its successor, in seconds."""
    return "0"


@pytest.fixture
def served(overlap: str, tmp_path: Path) -> Iterator[RunningServer]:
    """A server with a log `acme` of 10 events whose proofs are public."""
    limits = {"INDELIBLE_LIMIT_KEY_OVERLAP_SECONDS": overlap}
    with start_server(tmp_path / "data", env=limits) as server:
        with server.client() as client:
            client.post("/logs", json={"name": "acme", "public_proofs": True}).raise_for_status()
        grow(server, "acme", 10)
        yield server


def listed(server: RunningServer) -> list[dict[str, Any]]:
    """The keys that the log shows."""
    with server.client() as client:
        keys: list[dict[str, Any]] = client.get("/logs/acme/keys").raise_for_status().json()["keys"]
    return keys


def rotate(server: RunningServer, more: int) -> str:
    """Rotate the key, let the log grow, and give the new key."""
    with server.client() as client:
        made = client.post("/logs/acme/keys").raise_for_status().json()
    grow(server, "acme", more)
    return str(made["verifier_key"])


def path_of(server: RunningServer) -> str:
    """The log's path, by its id, which needs no key."""
    with server.client() as client:
        return f"/logs/{client.get('/logs/acme').raise_for_status().json()['log_id']}"


def looked(folder: Path, url: str, *words: str) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    """One look of a monitor in a process of its own: exit code, what it found, and its notices."""
    done = run(folder, "monitor", url, "--once", "--json", *words, **KEY)
    found = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, found, [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize("overlap", ["0", "2592000"])
def test_a_monitor_follows_two_rotations_over_its_restarts(served: RunningServer, tmp_path: Path) -> None:
    """Each look is consistent, each new key is told once, and the pin remembers; so with other commands."""
    url = f"{served.url}{path_of(served)}"
    first = listed(served)[0]["verifier_key"]
    assert looked(tmp_path, url, "--key", first)[:1] == (0,)
    keys = []
    for _ in range(2):
        keys.append(rotate(served, 3))
        code, found, notices = looked(tmp_path, url, "--key", first)
        assert (code, found["state"], found["entries"]) == (0, "newer", 3)
        assert [(notice["notice"], notice["verifier_key"]) for notice in notices] == [
            ("key_followed", keys[-1])
        ]
    code, found, notices = looked(tmp_path, url)
    assert (code, found["state"], notices) == (0, "same", [])
    for words in (("log", "show", "acme"), ("proof", "acme", "3"), ("proof", "acme", "--first", "1")):
        done = run(tmp_path, *words, INDELIBLE_URL=served.url, **KEY)
        assert (done.returncode, done.stderr) == (0, ""), words
    other = run(tmp_path, "log", "show", "acme", "--pins", "other", INDELIBLE_URL=served.url, **KEY)
    assert other.returncode == 0, other.stderr
    assert not list((tmp_path / "pins").glob("*.conflict-*"))


def test_the_first_key_verifies_a_log_whose_key_was_rotated(served: RunningServer, tmp_path: Path) -> None:
    """By the statement that the server shows, or one from a file; the claim says which key, by which one."""
    first = listed(served)[0]["verifier_key"]
    second = rotate(served, 3)
    url = f"{served.url}{path_of(served)}"
    (tmp_path / "keys.json").write_text(json.dumps({"keys": listed(served)}))
    for words in ((), ("--statements", "keys.json")):
        done = run(tmp_path, "verify", url, "--key", first, *words, "--no-pins")
        assert done.returncode == 0, done.stdout + done.stderr
        assert (
            f"with the key {second.split('+')[1]}, which followed the key {first.split('+')[1]}"
            in done.stdout
        )
        assert looked(tmp_path, url, "--key", first, *words)[0] == 0
    plain = run(tmp_path, "verify", url, "--pins", "new")
    assert plain.returncode == 6
    (tmp_path / "bad").write_text(listed(served)[1]["statement"].replace("\n11\n", "\n9\n"))
    for command in (("verify", url, "--no-pins"), ("monitor", url, "--once")):
        bad = run(tmp_path, *command, "--key", first, "--statements", "bad")
        assert (bad.returncode, "do not hold" in bad.stderr) == (1, True), bad.stderr


def mirrored(server: RunningServer, at: Site, objects: Path, size: int) -> None:
    """Copy what is published of a log: objects as they are stored, and the tiles; no list of keys."""
    path = path_of(server)
    with server.client() as client:
        for tile in (f"0/000.p/{size}", f"entries/000.p/{size}"):
            content = client.get(f"{path}/tile/{tile}").raise_for_status().content
            at.pages[f"/mirror/tile/{tile}"] = {f"/mirror/tile/{tile}": content}.get
    for file in (objects / "proofs" / path.removeprefix("/logs/")).rglob("*"):
        if file.is_file():
            place = f"/mirror/{file.relative_to(objects / 'proofs' / path.removeprefix('/logs/'))}"
            at.pages[place] = {place: file.read_bytes()}.get


def test_a_mirror_of_the_object_store_is_followed(served: RunningServer, tmp_path: Path) -> None:
    """A static copy has no `/keys`: its `keys/1` and the old key are enough for `monitor` and `verify`."""
    first = listed(served)[0]["verifier_key"]
    with site() as mirror:
        mirrored(served, mirror, tmp_path / "data" / "objects", 10)
        url = f"{mirror.url}/mirror"
        assert looked(tmp_path, url)[0] == 1  # nobody says which key it has
        assert looked(tmp_path, url, "--key", first)[0] == 0
        rotate(served, 3)
        mirrored(served, mirror, tmp_path / "data" / "objects", 13)
        assert run(tmp_path, "verify", url, "--key", first, "--no-pins").returncode == 0
        code, found, notices = looked(tmp_path, url)
        assert (code, found["state"], len(notices)) == (0, "newer", 1)
