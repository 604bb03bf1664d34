"""A command that holds signing keys, in front of an HSM or a KMS (docs/operating.md, Keys in an HSM or KMS).

    CMD public-key ORIGIN GENERATION          → the Ed25519 public key, 32 bytes raw or in base64
    CMD sign       ORIGIN GENERATION  < text  → the signature over the text, 64 bytes raw or in base64

Exit code 0, nothing else on standard output. It is run without a shell and without our environment's secrets;
what it answers is verified before anybody sees it.
"""

import base64
import binascii
import os
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress

import structlog

from indelible import telemetry
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.notes.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, Verifier

CACHED_KEYS = 4_096
RUNNING = 4  # runs at one time: what it stands in front of need not take more
_SAID_CHARACTERS = 200


class SignerCommand:
    """Runs the command. Any thread; each run ends within `signer_seconds`.

    After a run that failed none is begun for `signer_retry_seconds`, so that what waits for a signature is
    refused at once and not after a time-out each.
    """

    def __init__(
        self, command: str, limits: Limits, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the command line as a shell would split it.

        Raises:
            ValueError: it is empty, or a quote in it is not closed.
        """
        self._words = shlex.split(command)
        if not self._words:
            raise ValueError("the signer command is empty")
        self._limits = limits
        self._monotonic = monotonic
        self._failed_at: float | None = None
        self._failure: str | None = None
        self._keys: OrderedDict[tuple[str, int], Verifier] = OrderedDict()
        self._turns = threading.BoundedSemaphore(RUNNING)

    @property
    def failure(self) -> str | None:
        """Why the last run failed; None when it did not."""
        return self._failure

    def public_key(self, origin: str, generation: int) -> Verifier:
        """The public half of a key, which the command makes where it has to.

        Raises:
            Problem: `signer_failed`.
        """
        known = self._keys.get((origin, generation))
        if known is not None:
            return known
        raw = self._run("public-key", origin, generation, b"", PUBLIC_KEY_BYTES)
        verifier = self._keys[(origin, generation)] = Verifier(origin, raw)
        if len(self._keys) > CACHED_KEYS:
            self._keys.popitem(last=False)
        return verifier

    def signer(self, origin: str, generation: int, verifier: Verifier) -> "CommandSigner":
        """A key that the command holds; nothing is run yet."""
        return CommandSigner(self, origin, generation, verifier)

    def sign(self, text: str, generation: int, verifier: Verifier) -> bytes:
        """A signature over a note's text that verifies.

        Raises:
            Problem: `signer_failed`.
        """
        signature = self._run("sign", verifier.name, generation, text.encode(), SIGNATURE_BYTES)
        if not verifier.verify(text, signature):
            raise self._fail(f"its signature does not verify with the key {verifier.key_id.hex()}")
        return signature

    def _run(self, verb: str, origin: str, generation: int, given: bytes, size: int) -> bytes:
        with self._turns:
            self._check_rested()
            try:
                said = self._answer([*self._words, verb, origin, str(generation)], given)
            except (OSError, subprocess.SubprocessError) as error:
                raise self._fail(f"it could not be run: {error}") from None
            found = _read(said, size)
            if found is None:
                raise self._fail(f"its answer to {verb} is not {size} bytes, raw or in base64")
            self._failure = self._failed_at = None
            return found

    def _check_rested(self) -> None:
        if self._failed_at is None:
            return
        left = self._failed_at + self._limits.signer_retry_seconds - self._monotonic()
        if left > 0:
            raise Problem("signer_failed", f"the signer command failed: {self._failure}", retry_after=left)

    def _answer(self, words: list[str], given: bytes) -> bytes:
        """Run once. Standard error goes to a file, so that no writer of it can hold the run up."""
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(  # noqa: S603 - the operator's own command, without a shell
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(os.environ),
                start_new_session=True,  # so that a time-out ends what it started, too
            )
            said = self._talk(process, given)
            if process.returncode != 0:
                errors.seek(0)
                words_of_it = errors.read(_SAID_CHARACTERS).decode(errors="replace").strip()
                raise self._fail(f"it ended with exit code {process.returncode}: {words_of_it!r}")
            return said

    def _talk(self, process: "subprocess.Popen[bytes]", given: bytes) -> bytes:
        limit, late = self._limits.signer_output_bytes, threading.Event()

        def end() -> None:
            late.set()
            _end(process)

        watch = threading.Timer(self._limits.signer_seconds, end)
        watch.start()
        try:
            said = _exchange(process, given, limit + 1)
            if len(said) > limit:
                raise self._fail(f"it wrote more than {limit} bytes")
            process.wait()
        finally:
            watch.cancel()
            _end(process)
            process.wait()
        if late.is_set():
            raise self._fail(f"it took longer than {self._limits.signer_seconds:g} s")
        return said

    def _fail(self, why: str) -> Problem:
        self._failure, self._failed_at = why, self._monotonic()
        telemetry.signer_failures_total.inc()
        structlog.get_logger().error("the signer command failed; checkpoints wait", why=why)
        return Problem("signer_failed", f"the signer command failed: {why}")


class CommandSigner:
    """One key that the command holds."""

    def __init__(self, command: SignerCommand, origin: str, generation: int, verifier: Verifier) -> None:
        self._command = command
        self._generation = generation
        self.verifier = verifier
        self.name = origin
        self.key_id = verifier.key_id

    def sign(self, text: str) -> bytes:
        """See `NoteSigner`; raises Problem `signer_failed`."""
        return self._command.sign(text, self._generation, self.verifier)


def _exchange(process: "subprocess.Popen[bytes]", given: bytes, most: int) -> bytes:
    assert process.stdin is not None  # noqa: S101 - both were asked for
    assert process.stdout is not None  # noqa: S101 - same
    with process.stdout as answer:
        with suppress(BrokenPipeError):  # it may answer without having read all
            process.stdin.write(given)
            process.stdin.close()
        return answer.read(most)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End it and what it started; one that was waited for is left, as its number may be another's by now."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Our environment without our settings, of which some are secrets."""
    return {name: value for name, value in ours.items() if not name.startswith("INDELIBLE_")}


def _read(said: bytes, size: int) -> bytes | None:
    if len(said) == size:
        return said
    try:
        decoded = base64.b64decode(said.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if len(decoded) == size else None
