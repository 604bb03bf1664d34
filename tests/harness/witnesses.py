"""Witnesses in processes of their own: ours, and one that others wrote."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import httpx
import pytest
from tests.harness.logs import naive_root

from indelible.merkle.proofs import consistency_proof
from indelible.notes.addcheckpoint import AddCheckpoint, format_add
from indelible.notes.checkpoint import Checkpoint, sign_checkpoint
from indelible.notes.keys import Signer

QUICK = {
    "INDELIBLE_LIMIT_HEADS_INTERVAL_SECONDS": "0.2",
    "INDELIBLE_LIMIT_PUBLISH_INTERVAL_SECONDS": "0.1",
    "INDELIBLE_LIMIT_WITNESS_BACKOFF_SECONDS": "1",
}
"""Publishes, lists and asks again as soon as a test can wait for."""

AICS = "aics-witness 0.1.0"
_LISTENING = re.compile(rb"listening on (https?://\S+)")


Process = subprocess.Popen[bytes]


class WitnessEndedError(Exception):
    """The witness ended before it listened; the text is what it wrote."""


@dataclass
class RunningWitness:
    """A witness that answers at `url`, and its verifier key. Killed at the end, where it still runs."""

    url: str
    vkey: str
    process: subprocess.Popen[bytes]
    log: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
        self.log.unlink(missing_ok=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def add(self, body: bytes) -> httpx.Response:
        """Ask it for a cosignature."""
        return httpx.post(f"{self.url}/add-checkpoint", content=body, timeout=30)

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # with whatever runs it
        self.process.wait(30)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def written(self) -> str:
        """What it wrote to standard error so far."""
        return self.log.read_text(errors="replace")


def _start(
    command: Sequence[str], found: re.Pattern[bytes], **environment: str
) -> tuple[Process, bytes, Path]:
    handle, name = tempfile.mkstemp(prefix="indelible-witness-", suffix=".log")
    log = Path(name)
    with os.fdopen(handle, "wb") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            start_new_session=True,
        )
    deadline = time.monotonic() + 60
    while (match := found.search(log.read_bytes())) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait(30)
            written = log.read_text(errors="replace")
            log.unlink()
            raise WitnessEndedError(f"exit {process.returncode}: {written}")
        time.sleep(0.01)
    return process, match[1], log


def cli(*arguments: str, expect: int = 0) -> str:
    """Run the command line and return its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "indelible.cli", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def start_witness(
    data: Path,
    *options: str,
    name: str = "witness.example/w1",
    port: int = 0,
    before: tuple[str, ...] = (),
) -> RunningWitness:
    """Start `indelible witness serve` and wait until it listens."""
    command = [*before, sys.executable, "-m", "indelible.cli", "witness", "serve"]
    arguments = ["--data", str(data), "--name", name, "--port", str(port), *options]
    process, url, log = _start([*command, *arguments], _LISTENING)
    found = re.search(r"^this witness is (\S+)$", log.read_text(), re.MULTILINE)
    assert found
    return RunningWitness(url.decode(), found[1], process, log)


def policy(path: Path, quorum: int | str, *witnesses: RunningWitness, logs: Sequence[str] = ()) -> Path:
    """Write a policy file over some witnesses, named w0, w1, …: so many of them are enough."""
    lines = [f"log {key}" for key in logs]
    lines += [f"witness w{at} {one.vkey} {one.url}" for at, one in enumerate(witnesses)]
    lines += [f"group enough {quorum} " + " ".join(f"w{at}" for at in range(len(witnesses)))]
    path.write_text("\n".join([*lines, "quorum enough", ""]))
    return path


# ---------------------------------------------------------------------- one that others wrote


def aics_folder() -> Path:
    """Where `scripts/test --all` puts it; leaves the test out where it is not."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "indelible-tests" / AICS.replace(" ", "-")
    if not (folder / "aics_witness").is_dir():
        pytest.skip(f"needs {AICS} in {folder.name}: scripts/test --all")
    return folder


def start_aics(data: Path, origin: str, key: str) -> RunningWitness:
    """Start aics-witness for one log."""
    folder = aics_folder()
    data.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config = ("--config", str(data / "witness.json"))
    program = (sys.executable, "-m", "aics_witness")
    environment = {"PYTHONPATH": str(folder)}
    init = [*program, "init", *config, "--name", "aics.example/w", "--listen", f"127.0.0.1:{port}"]
    everything = {**os.environ, **environment}
    made = subprocess.run(init, env=everything, capture_output=True, text=True, check=True)
    add = [*program, "add-log", *config, "--origin", origin, "--vkey", key]
    subprocess.run(add, env=everything, capture_output=True, check=True)
    process, url, log = _start([*program, "serve", *config], _LISTENING, **environment)
    return RunningWitness(url.decode(), made.stdout.split()[-1], process, log)


# ---------------------------------------------------------------------- a log in memory


class MemoryLog:
    """A log that a test writes by hand: its leaves, and checkpoints of any of its sizes."""

    def __init__(self, origin: str = "logs.example/logs/one", seed: bytes = b"s" * 32) -> None:
        self.signer = Signer(origin, seed)
        self.leaves: list[bytes] = []

    @property
    def vkey(self) -> str:
        """Its verifier key."""
        return self.signer.verifier.vkey

    def grow(self, *leaves: bytes) -> Self:
        """Add leaves, 32 bytes each."""
        self.leaves += [leaf.ljust(32, b".") for leaf in leaves]
        return self

    def checkpoint(self, size: int | None = None) -> bytes:
        """Its signed checkpoint."""
        leaves = self.leaves if size is None else self.leaves[:size]
        return sign_checkpoint(Checkpoint(self.signer.name, len(leaves), naive_root(leaves)), self.signer)

    def request(self, old_size: int, size: int | None = None) -> bytes:
        """A request to a witness, with the right proof."""
        size = len(self.leaves) if size is None else size
        hashes = consistency_proof(old_size, size, self._hashes) if old_size <= size else ()
        return format_add(AddCheckpoint(old_size, hashes, self.checkpoint(size)))

    def _hashes(self, nodes: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        return [naive_root(self.leaves[at << level : (at + 1) << level]) for level, at in nodes]


# ---------------------------------------------------------------------- one that lies

Answering = Callable[[bytes], tuple[int, bytes]]


@contextmanager
def lying_witness(answering: Answering) -> Iterator[str]:
    """Serve what an attacker in a witness's place answers to each request; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, answer = answering(body)
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(30)


def until(true: Callable[[], object], seconds: float = 20) -> None:
    """Return when something holds that a process brings about by itself."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)
