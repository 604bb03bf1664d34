"""A real server as a child process, ended by its id."""

import os
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from indelible.cli.exits import CommandFailed

_LISTENING = "listening on "
_START_SECONDS = 60
_STOP_SECONDS = 25
_KEPT_LINES = 20


class ChildServer:
    """`indelible serve --no-auth` over a data directory, on a free port, for as long as the block lasts.

    A clock far past the directory's last use is believed: who shows it again after days knows why.

    Raises:
        CommandFailed: it did not come up; the text has what it said last.
    """

    def __init__(self, data: Path, port: int = 0) -> None:
        self._data = data
        self._port = port
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._answers = threading.Event()
        self.url = ""

    def __enter__(self) -> Self:
        command = [
            sys.executable, "-m", "indelible.cli", "serve", "--data", str(self._data),
            "--port", str(self._port), "--no-auth", "--accept-clock",
        ]  # fmt: skip
        # What is shown belongs in the directory, and not in a database that others use.
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def wait(self) -> None:
        """Return when the server ends by itself.

        Raises:
            CommandFailed: always, then; the text has what it said last.
        """
        code = self.process.wait()
        raise CommandFailed(f"the server ended with code {code}: {self._last_words()}")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers.wait(timeout=0.1):
            if self.process.poll() is not None:
                self._reader.join(timeout=1)
                raise CommandFailed(f"the server did not start: {self._last_words()}")
            if time.monotonic() > deadline:
                raise CommandFailed(f"the server was not up after {_START_SECONDS} s: {self._last_words()}")

    def _read(self) -> None:
        assert self.process.stderr is not None  # noqa: S101 - it is a pipe, see __enter__
        for line in self.process.stderr:
            self._said.append(line.rstrip("\n"))
            if line.startswith(_LISTENING) and not self._answers.is_set():
                self.url = line.removeprefix(_LISTENING).strip()
                self._answers.set()

    def _last_words(self) -> str:
        return " / ".join(self._said) or "it said nothing"

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(timeout=1)
        if self.process.stderr is not None:
            self.process.stderr.close()
