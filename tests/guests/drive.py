"""Runs the host of views in a child process, so that a crash there is a failed test and not a dead pytest.

As a script it is that child: one job a line on standard input, one outcome a line on standard output, both
JSON. As a module it is the parent's side: `Child`.

A job: `component` (path), `limits` (fields of `Limits` that differ), `config`, `facts`, and `steps`, each a
list whose head names what is done:

    ["trial"]                 deploy's trial: describe and init
    ["open"]                  a new instance, init called
    ["append", first, payloads, writers, writer_of, time0]   base64; times are one apart
    ["query", params, body, facts]
    ["snapshot"]              kept for "reopen"
    ["reopen", parts]         an instance restored from those parts (base64), or from the last snapshot: null
    ["interrupt", seconds]    interrupts the next step from another thread after that time

Compiling is the first step, always. The outcome has one element for each step that was carried out; the last
one is `{"error": class, …}` when it failed, except that a refused question does not end a job.
"""

import base64
import hashlib
import importlib.util
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

JOB_SECONDS = 240.0
CACHE = "INDELIBLE_GUESTS_CACHE"

Outcome = dict[str, Any]


def code_folder(base: Path) -> Path:
    """Return the folder under `base` for compiled code, another one whenever the host's sources change.

    What the host decides when it compiles is thus tested anew, while a second run finds its code.
    """
    spec = importlib.util.find_spec("indelible")
    if spec is None or spec.origin is None:
        raise ImportError("indelible")
    total = hashlib.sha256()
    for name in ("cache", "compile", "compile_child", "engine", "scan", "signature"):
        total.update(Path(spec.origin).with_name("fold").joinpath(f"{name}.py").read_bytes())
    return base / f"code-{total.hexdigest()[:16]}"


class Crashed(AssertionError):
    """The child ended, or went silent, in the middle of a job."""


class Child:
    """The parent's side: starts the child, starts it anew after a crash."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, component: Path, steps: Sequence[object], **job: object) -> list[Outcome]:
        """Carry out a job and return its outcomes.

        Raises:
            Crashed: the child did not survive it, or took longer than `JOB_SECONDS`.
        """
        process = self._live()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the child has no pipes")
        line = json.dumps({"component": str(component), "steps": steps, **job})
        try:
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            answer = self._read_line(process.stdout)
        except BrokenPipeError:
            answer = b""
        if not answer.endswith(b"\n"):
            raise Crashed(self._bury(process))
        outcomes: list[Outcome] = json.loads(answer)
        return outcomes

    def close(self) -> None:
        """End the child."""
        if self._process is not None:
            self._bury(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _live(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, CACHE: str(self._cache)},
            )
        return self._process

    def _read_line(self, pipe: Any) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            if not selector.select(JOB_SECONDS):
                return b""
        line: bytes = pipe.readline()
        return line

    def _bury(self, process: "subprocess.Popen[bytes]") -> str:
        """End the child and say how it had ended before that."""
        self._process = None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            code = process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "the child went silent"
        return f"the child ended with {signal.Signals(-code).name if code < 0 else code}"


# The child's side


def _b64(data: str | bytes) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


class _Job:
    """One component, its compiled code, and the instance that stands now."""

    def __init__(self, job: dict[str, Any], cache: Path) -> None:
        # The parent's side must not load an engine, so what needs one is imported here.
        from indelible.fold.compile import Compiler  # noqa: PLC0415
        from indelible.fold.host import Host  # noqa: PLC0415
        from indelible.model.limits import Limits  # noqa: PLC0415

        limits = Limits(**job.get("limits", {}))
        self.host = Host(cache, limits)
        self.compiler = Compiler(cache, limits)
        self.component = Path(job["component"]).read_bytes()
        self.config = job.get("config", "")
        self.facts = [tuple(pair) for pair in job.get("facts", [])]
        self.parts: list[str | bytes] = []
        self.fold: Any = None
        self.compiled: Any = None

    def compile(self) -> Outcome:
        """Compile; always the first step."""
        self.compiled = self.compiler.compile(self.component)
        return {"world": self.compiled.world.value}

    def trial(self) -> Outcome:
        """Deploy's trial."""
        return {"describe": self.host.trial(self.compiled, self.config, self.facts)}

    def open(self) -> Outcome:
        """Make a new instance in place of the one that stands."""
        self.close()
        self.fold = self.host.open(self.compiled, self.config, self.facts)
        return self._standing()

    def append(
        self,
        first: int,
        payloads: list[str],
        writers: Sequence[str] = ("00000000-0000-0000-0000-000000000001",),
        writer_of: Sequence[int] = (),
        time0: int = 1_700_000_000_000_000,
    ) -> Outcome:
        """Fold a batch."""
        from indelible.fold.types import Batch  # noqa: PLC0415 - see above

        events = [base64.b64decode(payload) for payload in payloads]
        times = range(time0, time0 + len(events))
        self.fold.append(Batch(first, times, events, writers, writer_of))
        return self._standing()

    def query(self, params: list[list[str]] = [], body: str = "", facts: list[list[str]] = []) -> Outcome:  # noqa: B006 - only read
        """Ask; a refusal is an answer."""
        from indelible.fold.errors import QueryRefused  # noqa: PLC0415 - see above
        from indelible.fold.types import Question  # noqa: PLC0415

        question = Question([(a, b) for a, b in params], body, [(a, b) for a, b in facts])
        try:
            answer = self.fold.query(question)
        except QueryRefused as refused:
            return _failure(refused) | self._standing()
        return {"type": answer.content_type, "body": _b64(answer.body)} | self._standing()

    def snapshot(self) -> Outcome:
        """Take the state out in parts."""
        self.parts = list(self.fold.snapshot())
        return {"parts": [_b64(part) for part in self.parts]} | self._standing()

    def reopen(self, parts: list[str] | None = None) -> Outcome:
        """Make an instance from a snapshot in place of the one that stands."""
        self.close()
        given = self.parts if parts is None else [base64.b64decode(part).decode() for part in parts]
        self.fold = self.host.reopen(self.compiled, self.config, self.facts, given)
        return self._standing()

    def interrupt(self, seconds: float) -> Outcome:
        """Interrupt the next step."""
        threading.Timer(seconds, self.fold.interrupt).start()
        return {}

    def close(self) -> None:
        """Close the instance."""
        if self.fold is not None:
            self.fold.close()
            self.fold = None

    def _standing(self) -> Outcome:
        return {"usable": self.fold.usable, "memory": self.fold.memory_bytes}


def _failure(error: Exception) -> Outcome:
    """Return an exception as facts: its class, its attributes, and its text."""
    facts = {name: value for name, value in vars(error).items() if isinstance(value, str | int)}
    return {"error": type(error).__name__, "text": str(error), **facts}


def _carry_out(line: str, cache: Path) -> list[Outcome]:
    request = json.loads(line)
    job = _Job(request, cache)
    outcomes: list[Outcome] = []
    try:
        for name, *arguments in [["compile"], *request["steps"]]:
            step: Callable[..., Outcome] = getattr(job, name)
            outcomes.append(step(*arguments))
    except Exception as error:  # noqa: BLE001 - whatever it is, the test wants to see it
        usable = {"usable": job.fold.usable} if job.fold is not None else {}
        outcomes.append(_failure(error) | usable)
    finally:
        job.close()
        job.host.close()
    return outcomes


def main() -> None:
    """Carry out jobs until standard input ends."""
    cache = Path(os.environ[CACHE])
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_carry_out(line, cache)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
