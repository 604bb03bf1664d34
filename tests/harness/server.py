"""A real server in a process of its own, for tests that speak HTTP to it."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

ROOT_KEY = "root-key-of-the-tests-0123456789abcdef"
_LISTENING = re.compile(rb"^listening on (https?://\S+)$", re.MULTILINE)


class ServerEndedError(Exception):
    """The server ended before it listened; the text is its exit code and what it wrote."""


@dataclass
class RunningServer:
    """A server that answers at `url`; its standard error is in the file `log`.

    As a context manager it is killed at the end, where it still runs.
    """

    url: str
    root_key: str
    process: subprocess.Popen[bytes]
    log: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()
        self.log.unlink(missing_ok=True)

    def client(self, key: str | None = None, **options: object) -> httpx.Client:
        """An HTTP client with a key (the root key unless given)."""
        headers = {"Authorization": f"Bearer {key or self.root_key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **options)  # type: ignore[arg-type]  # httpx's own

    def stop(self, timeout: float = 60) -> int:
        """Ask it to end, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    def wait(self, timeout: float = 60) -> int:
        """Wait until it ends by itself, and return its exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def written(self) -> str:
        """What it wrote to standard error so far."""
        return self.log.read_text(errors="replace")


def start_server(
    data_dir: Path,
    *extra_args: str,
    env: Mapping[str, str] | None = None,
    root_key: str | None = ROOT_KEY,
    before: tuple[str, ...] = (),
    wait_seconds: float = 60,
) -> RunningServer:
    """Start `indelible serve` on a free port and wait until it listens.

    Args:
        data_dir: its data directory, made when it is not there.
        extra_args: more options of `serve`.
        env: more of its environment.
        root_key: the root key that it is given; None: it has, or makes, that in its directory.
        before: a command that runs it (`strace …`), or nothing.
        wait_seconds: how long it may take to listen.

    Raises:
        ServerEndedError: it ended, or did not listen in time.
    """
    handle, name = tempfile.mkstemp(prefix="indelible-server-", suffix=".log")
    log = Path(name)
    outside = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("INDELIBLE_") and name != "DATABASE_URL"
    }
    given = {} if root_key is None else {"INDELIBLE_ROOT_KEY": root_key}
    environment = {**outside, **given, **(env or {})}
    command = [*before, sys.executable, "-m", "indelible.cli", "serve"]
    arguments = ["--data", str(data_dir), "--port", "0", *extra_args]
    with os.fdopen(handle, "wb") as stderr:
        process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=environment,
        )
    deadline = time.monotonic() + wait_seconds
    while True:
        found = _LISTENING.search(log.read_bytes())
        if found:
            key = environment.get("INDELIBLE_ROOT_KEY") or (data_dir / "root-key").read_text().strip()
            return RunningServer(found[1].decode(), key, process, log)
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait(30)
            written = log.read_text(errors="replace")
            log.unlink()
            raise ServerEndedError(f"exit {process.returncode}: {written}")
        time.sleep(0.01)
