"""From a component's bytes to code for this machine, in a child process that may die."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path

from indelible.fold import cache
from indelible.fold.errors import Aborted, NoRoom, NotAView
from indelible.fold.scan import scan
from indelible.fold.types import Compiled, World
from indelible.model.limits import MIB, Limits

_AT_ONCE = 2  # each may take `compile_memory_bytes`
_THREADS = 4
_WALL_FACTOR = 3  # wall time over processor time, for a machine that is busy


class Compiler:
    """Compiles components into a folder that only its owner may enter. Thread-safe; calls block."""

    def __init__(self, cache_dir: Path, limits: Limits) -> None:
        self._folder = cache.open_folder(cache_dir).resolve()
        self._limits = limits
        self._slots = threading.BoundedSemaphore(_AT_ONCE)

    def compile(self, component: bytes) -> Compiled:
        """Return compiled code for `component`, from the cache when it is there and undamaged.

        Raises:
            NotAView: the component is over a limit, invalid, of neither world, or takes too much to compile.
            Aborted: the machine was too busy, or ended the compiler; try again.
            NoRoom: there is no room on the disk for what is compiled.
        """
        sha256 = hashlib.sha256(component).hexdigest()
        found = cache.find(self._folder, sha256)
        if found is not None:
            return found
        scan(component, self._limits)
        with self._slots:
            found = cache.find(self._folder, sha256)  # another thread may have made it meanwhile
            try:
                return found or self._compile(component, sha256)
            except OSError as error:
                if error.errno in cache.NO_ROOM:
                    raise NoRoom("the disk of this server has no room for compiled views") from None
                raise

    def _compile(self, component: bytes, sha256: str) -> Compiled:
        with tempfile.TemporaryDirectory(prefix=".compile-", dir=self._folder) as work:
            source, fresh = Path(work, "component"), Path(work, "code")
            source.write_bytes(component)
            note = _read_answer(self._run(source, fresh), self._limits)
            code = cache.code_path(self._folder, sha256)
            cache.store(code, fresh, note)
        cache.prune(self._folder, self._limits.compiled_cache_bytes, keep=code)
        return Compiled(sha256, note.world, code)

    def _run(self, source: Path, fresh: Path) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", __package__ + ".compile_child", str(source), str(fresh)]
        seconds = self._limits.compile_seconds * _WALL_FACTOR
        try:
            return subprocess.run(  # noqa: S603 - our own module, no shell, no words from outside
                [*command, json.dumps(asdict(self._limits))],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Aborted(f"compiling did not end within {seconds} s on this busy machine") from None


def _environment() -> dict[str, str]:
    """Give the child nothing of ours but where to import from: no key, no address of a database."""
    return {
        **{name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Each thread takes address space, which is limited, for its stack and its part of the heap.
        "RAYON_NUM_THREADS": str(min(_THREADS, os.cpu_count() or 1)),
        "MALLOC_ARENA_MAX": "2",
    }


def _read_answer(done: "subprocess.CompletedProcess[bytes]", limits: Limits) -> cache.Note:
    """Turn the child's end into a note or a refusal."""
    if done.returncode:
        raise _explain(done.returncode, limits)
    facts = json.loads(done.stdout)
    if "errno" in facts:
        raise OSError(facts["errno"], "the compiler could not write")
    if "refused" in facts:
        raise NotAView(facts["refused"])
    return cache.Note(
        World(facts["world"]), facts["interface"], tuple(facts["imports"]), facts["code_sha256"]
    )


def _explain(code: int, limits: Limits) -> Exception:
    if code == -signal.SIGXCPU:
        return NotAView(
            f"Compiling the component takes more than {limits.compile_seconds} s of processor time."
        )
    if code == -signal.SIGKILL:
        return Aborted("the compiler was killed from outside")
    return NotAView(
        f"Compiling the component takes more than {limits.compile_memory_bytes // MIB} MiB of memory, "
        "or is more than the compiler can do."
    )
