"""The host: opens folds of compiled components. One engine, many folds, each with a store of its own."""

import json
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from wasmtime import WasmtimeError
from wasmtime.component import Component

from indelible.fold import cache, wasi
from indelible.fold.engine import new_engine
from indelible.fold.errors import CodeLost, GuestError, GuestTrap, NotAView
from indelible.fold.fold import Fold
from indelible.fold.guest import Allowance, Guest, Ready, TooManyParts, ladder
from indelible.fold.machine_world import MachineWorld
from indelible.fold.signature import FUNCTIONS
from indelible.fold.ticker import Ticker
from indelible.fold.types import Compiled, Pairs, World
from indelible.fold.view_world import ViewWorld, link_nothing
from indelible.model.limits import Limits

_LOADED = 16  # components whose code stays mapped although no fold of theirs may be open


class _Loaded(NamedTuple):
    ready: Ready
    world: World
    imports: tuple[str, ...]


class Host:
    """Opens folds; thread-safe. `cache_dir` is the folder that a `Compiler` fills.

    Must be made after any fork: the engine's threads and signal handlers do not survive one.
    """

    def __init__(self, cache_dir: Path, limits: Limits) -> None:
        self._folder = cache.open_folder(cache_dir).resolve()
        self._limits = limits
        self._engine = new_engine(limits)
        self._ticker = Ticker(self._engine)
        weakref.finalize(self, self._ticker.stop)  # a host that is dropped takes its thread along
        self._ladder = ladder(limits)
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._rungs: dict[str, int] = {}

    def trial(self, compiled: Compiled, config: str, facts: Pairs) -> str:
        """Run `describe` and `init` on an instance that is thrown away; return what `describe` gave.

        The text is a JSON object, or empty for a machine.

        Raises:
            NotAView: the guest fails, refuses the configuration, or describes itself in something else.
            Aborted: time ran out or the host lacked memory; deploying again may work.
        """
        try:
            with self._instantiate(compiled) as fold:
                description = fold.describe()
                _check_description(description, compiled.world)
                fold.init(config, facts)
        except GuestError as error:
            raise NotAView(f"The view refuses its configuration: {error.text}") from error
        except GuestTrap as trap:
            raise NotAView(f"The view fails on a trial ({trap.kind}): {trap.text}") from trap
        return description

    def interface(self, compiled: Compiled) -> str:
        """Return the full name of the interface that a component exports: `indelible:view/view@1.0.0`.

        Raises:
            CodeLost: compile the component again, then repeat.
        """
        return self._load(compiled).ready.interface

    def open(self, compiled: Compiled, config: str, facts: Pairs) -> Fold:
        """Make a new instance, with `init` called.

        Raises:
            GuestError, GuestTrap: decided.
            CodeLost: compile the component again, then repeat.
            Aborted: repeat.
        """
        fold = self._instantiate(compiled)
        try:
            fold.init(config, facts)
        except BaseException:
            fold.close()
            raise
        return fold

    def reopen(self, compiled: Compiled, config: str, facts: Pairs, parts: Iterable[str | bytes]) -> Fold:
        """Make an instance with `init` called and its state restored from a snapshot's parts.

        Raises:
            GuestError, GuestTrap, ValueError: the snapshot is no good; open and replay.
            CodeLost, Aborted: as `open`.
        """
        fold = self.open(compiled, config, facts)
        try:
            fold.restore(parts)
        except BaseException:
            fold.close()
            raise
        return fold

    def close(self) -> None:
        """Stop the clock of the engine. Folds must be closed before."""
        self._ticker.stop()
        with self._lock:
            self._loaded.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _instantiate(self, compiled: Compiled) -> Fold:
        loaded = self._load(compiled)
        self._ticker.start()
        for step in range(self._rungs.get(compiled.sha256, 0), len(self._ladder)):
            try:
                fold = self._start(loaded, step)
            except TooManyParts as error:
                reason = str(error)
                continue
            self._rungs[compiled.sha256] = step
            return fold
        raise GuestTrap("limit", reason)

    def _start(self, loaded: _Loaded, step: int) -> Fold:
        guest = Guest(loaded.ready, self._limits, self._ladder[step])
        allowance = Allowance(self._limits.fold_fuel_per_batch, self._limits.fold_batch_seconds)
        if loaded.world is World.VIEW:
            guest.start(link_nothing, allowance)
            return Fold(guest, ViewWorld(guest, self._limits), self._limits)
        sandbox = wasi.Sandbox()
        guest.start(partial(wasi.link, imports=loaded.imports, sandbox=sandbox), allowance)
        return Fold(guest, MachineWorld(guest, self._limits, sandbox), self._limits)

    def _load(self, compiled: Compiled) -> _Loaded:
        with self._lock:
            loaded = self._loaded.get(compiled.sha256)
            if loaded is not None:
                self._loaded.move_to_end(compiled.sha256)
                return loaded
        loaded = self._read_code(compiled)
        with self._lock:
            self._loaded[compiled.sha256] = loaded
            while len(self._loaded) > _LOADED:
                dropped, _ = self._loaded.popitem(last=False)
                self._rungs.pop(dropped, None)
        return loaded

    def _read_code(self, compiled: Compiled) -> _Loaded:
        code = cache.code_path(self._folder, compiled.sha256)
        note = cache.checked_note(code)
        if note is None or note.world is not compiled.world:
            cache.drop(code)
            raise CodeLost("the compiled code is missing or damaged; compile the component again")
        try:
            component = Component.deserialize_file(self._engine, str(code))
        except WasmtimeError as error:
            cache.drop(code)
            raise CodeLost(f"the compiled code does not fit this machine: {error}") from error
        functions = tuple(FUNCTIONS[note.world])
        return _Loaded(Ready(self._engine, component, note.interface, functions), note.world, note.imports)


def _check_description(text: str, world: World) -> None:
    if world is World.MACHINE:
        return
    try:
        fine = isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        fine = False
    if not fine:
        raise NotAView("describe() must return a JSON object with title, description and parameters.")
