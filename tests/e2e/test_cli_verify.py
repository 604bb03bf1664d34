"""A proof is fetched from a real server, which is then stopped: what is left is checked without it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.harness.server import ROOT_KEY, start_server

EVENT = b'{"type": "record.updated", "actor": "user_8f3a"}'


RANGES = {
    "run": {"--first": "250", "--last": "300"},
    "all": {"--first": "1"},
    "past": {"--to": "2020-01-01T00:00:00Z"},
    "open": {"--from": "2020-01-01T00:00:00Z"},
}


@dataclass
class Kept:
    """What somebody kept of a server that is gone."""

    folder: Path
    key: str

    def verify(self, file: str, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run the command; nothing answers at its default URL."""
        return command(self.folder, "verify", file, *options)


def command(folder: Path, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run `indelible` in a folder."""
    environment = {**os.environ, "INDELIBLE_KEY": ROOT_KEY, **env}
    line = [sys.executable, "-m", "indelible.cli", *words]
    return subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Append events, keep one with its proof and a receipt with its own, and the log's key."""
    folder = tmp_path_factory.mktemp("kept")
    with start_server(folder / "data") as server, server.client() as client:
        log = f"/logs/{client.post('/logs', json={'name': 'acme'}).json()['log_id']}"
        many = b"[" + b",".join([b"1"] * 300) + b"]"
        client.post(f"{log}/append_batch", content=many).raise_for_status()
        receipt = client.post(f"{log}/append", content=EVENT, headers={"Prefer": "return=proof"})
        (folder / "receipt.json").write_bytes(receipt.content)
        (folder / "event.json").write_bytes(client.get(f"{log}/events/301/raw").content)
        fetched = command(folder, "proof", "acme", "301", "--output", "event.proof", INDELIBLE_URL=server.url)
        assert fetched.returncode == 0, fetched.stderr
        assert (folder / "event.proof").read_bytes() == client.get(f"{log}/events/301/proof").content
        assert client.get(f"{log}/events/302/proof").json()["code"] == "not_found"
        _fetch_by_receipt(folder, server.url, client.post(f"{log}/append", content=EVENT).content)
        for name, options in RANGES.items():
            out = ("--output", f"{name}.proof")
            asked = [word for option, value in options.items() for word in (option, value)]
            fetched = command(folder, "proof", "acme", *asked, *out, INDELIBLE_URL=server.url)
            assert fetched.returncode == 0, fetched.stderr
        exported = command(
            folder, "export", "acme", "--exact", "--output", "all.ndjson", INDELIBLE_URL=server.url
        )
        assert exported.returncode == 0, exported.stderr
        key = client.get(f"{log}/keys").json()["keys"][0]["verifier_key"]
        assert server.stop() == 0
    return Kept(folder, key)


def _fetch_by_receipt(folder: Path, url: str, receipt: bytes) -> None:
    """Keep the proof of a receipt's event; of a receipt that speaks of other bytes there is none."""
    (folder / "bare.json").write_bytes(receipt)
    out = ("--output", "bare.proof")
    fetched = command(folder, "proof", "--receipt", "bare.json", *out, INDELIBLE_URL=url)
    assert fetched.returncode == 0, fetched.stderr
    (folder / "forged.json").write_text(json.dumps({**json.loads(receipt), "leaf_hash": "00" * 32}))
    refused = command(folder, "proof", "--receipt", "forged.json", INDELIBLE_URL=url)
    assert (refused.returncode, "keep the receipt as evidence" in refused.stderr) == (1, True)
    assert command(folder, "proof", "acme", "--receipt", "bare.json", INDELIBLE_URL=url).returncode == 2


@pytest.mark.parametrize("file", ["event.proof", "receipt.json", "bare.proof"])
def test_what_was_kept_is_proved_without_the_server(kept: Kept, file: str) -> None:
    """Exit code 0, and each claim on a line of its own."""
    run = kept.verify(file, "--payload", "event.json", "--key", kept.key)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    assert all(line.startswith("proved") for line in lines[:-1])
    assert lines[-1] == "Everything that the file claims is proved."


def test_a_run_of_events_is_proved_whole(kept: Kept) -> None:
    """With the events as they were exported: all of them, or those of the run."""
    run = kept.verify("all.proof", "--payload", "all.ndjson", "--key", kept.key)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "the events 1 to 302, 302 of them, and none between them is missing" in run.stdout
    lines = (kept.folder / "all.ndjson").read_bytes().splitlines(keepends=True)
    (kept.folder / "some.ndjson").write_bytes(b"".join(lines[249:300]))
    assert kept.verify("run.proof", "--payload", "some.ndjson", "--key", kept.key).returncode == 0
    assert kept.verify("run.proof", "--payload", "all.ndjson", "--key", kept.key).returncode == 1


def test_a_window_says_what_bounds_it(kept: Kept) -> None:
    """Nothing was received before 2020, which the first event proves; after it the end is open."""
    past = kept.verify("past.proof", "--key", kept.key)
    assert past.returncode == 0, past.stdout + past.stderr
    assert "Received in the window: 0 events" in past.stdout
    still_open = kept.verify("open.proof", "--payload", "all.ndjson", "--key", kept.key)
    assert still_open.returncode == 6, still_open.stdout
    assert "could still be dated into it" in still_open.stdout


def test_a_file_of_keys_will_do(kept: Kept) -> None:
    """As an auditor keeps them: with remarks, and those of other logs."""
    (kept.folder / "keys").write_text(f"# from the contract of 2026\n\n{kept.key}\n")
    run = kept.verify("event.proof", "--payload", "event.json", "--key", "keys")
    assert run.returncode == 0, run.stdout + run.stderr


def test_what_could_not_be_checked_has_a_code_of_its_own(kept: Kept) -> None:
    """Without a key or without the event nothing is wrong, and it is not proved: 6."""
    for options in (("--payload", "event.json"), ("--key", kept.key), ()):
        run = kept.verify("event.proof", *options)
        assert run.returncode == 6, run.stdout
        assert "unproved" in run.stdout


def test_other_bytes_are_wrong(kept: Kept) -> None:
    """Exit code 1, and the claim that fails is marked; with --json, as members."""
    (kept.folder / "other.json").write_bytes(EVENT + b" ")
    options = ("--payload", "other.json", "--key", kept.key)
    run = kept.verify("event.proof", *options)
    assert run.returncode == 1
    assert "WRONG" in run.stdout
    found = json.loads(kept.verify("event.proof", *options, "--json").stdout)
    assert found["verdict"] == "refuted"
    assert [claim["verdict"] for claim in found["claims"]] == ["proved", "proved", "refuted"]


@pytest.mark.parametrize(
    "words", [["missing.proof"], ["event.json", "--key", "no+key"], ["event.proof", "--key", "x"]]
)
def test_a_command_typed_wrong_is_told_in_a_sentence(kept: Kept, words: list[str]) -> None:
    """No traceback, and what is wrong."""
    run = kept.verify(*words)
    assert run.returncode in {1, 2}
    assert run.stderr.startswith("indelible: ")
    assert "Traceback" not in run.stderr
