"""Evidence from a real server, and what its holder can do when the server is gone."""

import io
import json
import os
import pty
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import apsw
import httpx
import pytest
from tests.harness.calls import ROOT_KEY as KEY_IN_PROCESS
from tests.harness.calls import refused, serving
from tests.harness.server import ROOT_KEY, start_server

from indelible.client import Client
from indelible.client.errors import Unreachable
from indelible.config import Settings

RANGES = {
    "whole": (),
    "run": ("--first", "250", "--last", "300"),
    "past": ("--to", "2020-01-01T00:00:00Z"),
    "open": ("--from", "2020-01-01T00:00:00Z"),
}


def command(folder: Path, *words: str, **env: str) -> "subprocess.CompletedProcess[bytes]":
    """Run `indelible` in a folder."""
    environment = {**os.environ, "INDELIBLE_KEY": ROOT_KEY, **env}
    line = [sys.executable, "-m", "indelible.cli", *words]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, check=False, timeout=60)


@dataclass
class Kept:
    """What somebody kept of a server that is gone."""

    folder: Path
    keys: list[str]

    def verify(self, file: str, *keys: str) -> "subprocess.CompletedProcess[bytes]":
        """Run the command; nothing answers at its default URL."""
        options = [word for key in keys for word in ("--key", key)]
        return command(self.folder, "verify", file, *options)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Append by two keys, single events and batches, and export each range."""
    folder = tmp_path_factory.mktemp("kept")
    with start_server(folder / "data") as server, server.client() as client:
        log = f"/logs/{client.post('/logs', json={'name': 'acme'}).json()['log_id']}"
        key = client.post("/keys", json={"label": "billing", "scopes": ["append"]}).json()["secret"]
        client.post(
            f"{log}/append_batch", content=b"[" + b",".join([b'{"n":1}'] * 300) + b"]"
        ).raise_for_status()
        with server.client(key) as writer:
            for payload in (b"not JSON \xff", '{"who":"Zoë \u2028"}'.encode(), b"x" * 70_000):
                writer.post(f"{log}/append", content=payload).raise_for_status()
        for name, options in RANGES.items():
            words = ("export", "acme", "--evidence", "--output", f"{name}.zip", *options)
            done = command(folder, *words, INDELIBLE_URL=server.url)
            assert done.returncode == 0, done.stderr
        keys = [
            client.get(f"/logs/{name}/keys").json()["keys"][0]["verifier_key"] for name in ("acme", "_audit")
        ]
        assert server.stop() == 0
    return Kept(folder, keys)


@pytest.mark.parametrize(("name", "code"), [("whole", 0), ("run", 0), ("past", 0), ("open", 6)])
def test_evidence_is_proved_without_the_server(kept: Kept, name: str, code: int) -> None:
    """Both keys given: all is proved, but for the end of a window that is still open."""
    done = kept.verify(f"{name}.zip", *kept.keys)
    assert done.returncode == code, done.stdout + done.stderr
    if name == "whole":
        assert b'3 events were written with the key "billing"' in done.stdout
        assert b'is the log "acme"' in done.stdout
    assert (b"could still be dated into it" in done.stdout) is (name == "open")


def test_without_the_key_of_audit_the_writers_are_unproved(kept: Kept) -> None:
    """Exit code 6, and the words say whose signature was not checked."""
    done = kept.verify("whole.zip", kept.keys[0])
    assert done.returncode == 6
    assert b"whose signature was not checked" in done.stdout


def test_an_edited_file_is_wrong(kept: Kept) -> None:
    """Exit code 1; with --json each claim has its verdict. From standard input, too."""
    data = bytearray((kept.folder / "run.zip").read_bytes())
    data[data.index(b"events.ndjson") + 200] ^= 1
    (kept.folder / "edited.zip").write_bytes(bytes(data))
    done = command(kept.folder, "verify", "edited.zip", "--json", "--key", kept.keys[0])
    assert done.returncode == 1
    assert json.loads(done.stdout)["verdict"] == "refuted"
    with (kept.folder / "whole.zip").open("rb") as whole:
        line = [
            sys.executable,
            "-m",
            "indelible.cli",
            "verify",
            "-",
            "--key",
            kept.keys[0],
            "--key",
            kept.keys[1],
        ]
        piped = subprocess.run(line, stdin=whole, capture_output=True, check=False, timeout=60)
    assert piped.returncode == 0, piped.stdout + piped.stderr


def test_any_unzip_reads_it(kept: Kept) -> None:
    """The zip is one for other programs, too; the events are in it byte for byte."""
    with zipfile.ZipFile(kept.folder / "whole.zip") as archive:
        assert archive.testzip() is None
        lines = [json.loads(line) for line in archive.read("events.ndjson").decode().split("\n")[:-1]]
    assert len(lines) == 303
    assert lines[300]["payload_base64"]
    assert lines[301]["payload"] == '{"who":"Zoë \u2028"}'
    assert "verifier" in zipfile.ZipFile(kept.folder / "whole.zip").read("VERIFY.txt").decode()


def test_a_terminal_gets_no_zip(kept: Kept) -> None:
    """Exit code 2 and a sentence; no server is asked."""
    ours, theirs = pty.openpty()
    line = [sys.executable, "-m", "indelible.cli", "export", "acme", "--evidence"]
    done = subprocess.run(line, stdout=theirs, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    assert b"--output" in done.stderr


@pytest.mark.parametrize("words", [("--exact",), ("--format", "csv"), ("--after-sequence", "3"), ("--raw",)])
def test_options_of_other_exports_are_refused(kept: Kept, words: tuple[str, ...]) -> None:
    """What would not be followed is not taken."""
    done = command(kept.folder, "export", "acme", "--evidence", "--output", "no.zip", *words)
    assert done.returncode == 2
    assert command(kept.folder, "export", "acme", "--first", "1").returncode == 2
    assert not (kept.folder / "no.zip").exists()


def test_a_failure_in_the_middle_is_seen(tmp_path: Path) -> None:
    """Events missing in the store break the connection: no zip that looks whole, no file at the end."""
    with (
        serving(Settings(tmp_path / "data", root_key=KEY_IN_PROCESS, port=0)) as url,
        Client(url, KEY_IN_PROCESS) as client,
    ):
        client.create_log("acme")
        for _ in range(4):
            client.append_batch("acme", [b'"%s"' % os.urandom(400).hex().encode()] * 2_000)
        store = apsw.Connection(str(tmp_path / "data" / "indelible.db"))
        one = "SELECT id FROM chunk WHERE events > 100 ORDER BY id DESC LIMIT 1 OFFSET 1"
        store.execute("DELETE FROM chunk WHERE id = ?", store.execute(one).fetchone())
        store.close()
        got = io.BytesIO()
        with pytest.raises(Unreachable):
            client.evidence("acme", got)
        assert got.getvalue()[:2] == b"PK"
        assert not zipfile.is_zipfile(got)
        words = ("export", "acme", "--evidence", "--output", "cut.zip")
        done = command(tmp_path, *words, INDELIBLE_URL=url, INDELIBLE_KEY=KEY_IN_PROCESS)
        assert done.returncode == 3
        assert not list(tmp_path.glob("cut.zip*"))


def test_the_call_as_it_is_documented(tmp_path: Path) -> None:
    """Type, name, no caching; scope `read` is needed; a parameter with a slip is refused."""
    with (
        serving(Settings(tmp_path / "data", root_key=KEY_IN_PROCESS, port=0)) as url,
        Client(url, KEY_IN_PROCESS) as client,
    ):
        client.create_log("acme")
        client.append("acme", b"1")
        writer = client.create_key(label="w", scopes=["append"]).secret
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY_IN_PROCESS}"}) as http:
            answer = http.get("/logs/acme/evidence", params={"first": 1})
            assert answer.headers["content-type"] == "application/vnd.indelible.evidence+zip"
            assert answer.headers["content-disposition"] == 'attachment; filename="acme-events-1-1.zip"'
            assert answer.headers["cache-control"] == "no-store"
            sheet = json.loads(zipfile.ZipFile(io.BytesIO(answer.content)).read("manifest.json"))
            assert sheet["query"] == "/logs/acme/evidence?first=1"
            refused(http.get("/logs/acme/evidence?frist=1"), 400, "unknown_parameter")
            refused(http.get("/logs/nothing/evidence"), 404, "not_found")
            refused(http.get("/logs/acme/evidence", headers={"Accept": "text/html"}), 406, "not_acceptable")
            refused(
                http.get("/logs/acme/evidence", headers={"Authorization": f"Bearer {writer}"}),
                403,
                "forbidden",
            )
