"""One instance in one store: calls into it under fuel, time and memory, and what their failures mean."""

import ctypes
import threading
from array import array
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from wasmtime import Engine, Store, WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime.component import Component, Instance, Linker

from indelible.fold import capi, memory, trap
from indelible.fold.errors import Aborted, FoldError, GuestTrap
from indelible.fold.text import clean
from indelible.fold.values import Value, load
from indelible.fold.watch import Watch, attach
from indelible.model.limits import Limits

_MESSAGE_BYTES = 4_096
_TEXT_BYTES = 400


class Allowance(NamedTuple):
    """What one call may use: fuel decides, seconds only abort."""

    fuel: int
    seconds: float


class Rung(NamedTuple):
    """How many memories and tables an instance may have; each then has an equal part of the whole limit."""

    memories: int
    tables: int


def ladder(limits: Limits) -> list[Rung]:
    """Give the splits to try, one memory first: the engine limits each memory, not their sum."""
    rungs = []
    memories, tables = 1, 4
    while memories <= limits.view_memories:
        rungs.append(Rung(memories, min(tables, limits.view_tables)))
        memories, tables = memories * 2, tables * 2
    return rungs


class TooManyParts(FoldError):
    """The instance has more memories or tables than the rung gives it."""


class Ready(NamedTuple):
    """What instances are made from: checked code on an engine, and the functions of its interface."""

    engine: Engine
    component: Component
    interface: str
    functions: tuple[str, ...]


Link = Callable[[Linker, Store], None]
"""Gives a component what it imports."""


class Guest:
    """An instance and its store. One thread at a time calls it; `interrupt` may come from any other.

    After a failure of any kind `usable` is False: the store is freed and nothing can be called again. A call
    and `close` exclude each other, so that no store is freed under a guest that runs in it.
    """

    def __init__(self, ready: Ready, limits: Limits, rung: Rung) -> None:
        self._ready = ready
        self._limits = limits
        self._rung = rung
        self._watch = Watch()
        self._owner = threading.RLock()
        self._memory = memory.Region()
        self._functions: Mapping[str, Any] = {}
        self._result = array("Q", (0,) * capi.WORDS_PER_VALUE)
        self._fuel = 0  # that the last call was given
        self._store: Store | None = Store(ready.engine)
        self._keep = attach(self._watch, self._store)
        self._context = capi.address_of(self._store._context())  # noqa: SLF001 - the package hides it

    @property
    def usable(self) -> bool:
        """Whether calls can still be made."""
        return self._store is not None

    @property
    def memory_bytes(self) -> int:
        """Bytes of linear memory in use; 0 when the instance is gone."""
        if self._store is None:
            return 0
        return self._memory.size(self._rung.memories, self._limits.view_memory_bytes // self._rung.memories)

    @property
    def fuel_used(self) -> int:
        """Fuel that the last call used, about one an instruction; 0 when the instance is gone."""
        return self._fuel - self._store.get_fuel() if self._store is not None else 0

    def start(self, link: Link, allowance: Allowance) -> None:
        """Make the instance, which runs the start functions of its modules.

        Raises:
            TooManyParts: try the next rung.
            GuestTrap, Aborted: as in `call`.
        """
        with self._owner:
            store = self._live_store()
            self._set_limits(store)
            try:
                with Linker(self._ready.engine) as linker:
                    link(linker, store)
                    instance = self._instantiate(linker, store, allowance)
                self._functions = self._find_functions(store, instance)
            except WasmtimeError as error:
                self.close()
                raise GuestTrap("other", clean(str(error), _TEXT_BYTES)) from error
            except BaseException:
                self.close()
                raise

    def call(
        self,
        name: str,
        arguments: int,
        count: int,
        allowance: Allowance,
        read: Callable[[Value], object] | None = None,
    ) -> Any:
        """Call a function with `count` values at `arguments`; return what `read` makes of its result.

        `read` copies what it needs; the result is freed when it returns. Without `read` the function has no
        result.

        Raises:
            GuestTrap: decided; the instance is gone.
            Aborted: time or an interruption; the instance is gone.
        """
        with self._owner:
            return self._call(name, arguments, count, allowance, read)

    def _call(
        self,
        name: str,
        arguments: int,
        count: int,
        allowance: Allowance,
        read: Callable[[Value], object] | None,
    ) -> Any:
        store = self._live_store()
        function = ctypes.addressof(self._functions[name])
        result = self._result.buffer_info()[0]
        # The library drops what a result held before, so it must hold nothing: a boolean, all zero.
        self._result[:] = array("Q", (0,) * capi.WORDS_PER_VALUE)
        store.set_fuel(allowance.fuel)
        self._fuel = allowance.fuel
        with self._watch.timed(store, allowance.seconds):
            error = capi.func_call(function, self._context, arguments, count, result, 1 if read else 0)
        if error:
            failure = self._failure(error)
            self.close()
            raise failure
        if read is None:
            return None
        try:
            return read(load(result))
        finally:
            capi.val_delete(result)

    def interrupt(self, reason: str) -> None:
        """Stop the call that is running now, from any thread; does nothing when none is."""
        self._watch.interrupt(reason)

    def close(self) -> None:
        """Free the instance and its memory; a call that runs in another thread is interrupted first."""
        self._watch.end("closed")
        with self._owner:
            store, self._store = self._store, None
            self._functions = {}
            if store is not None:
                with memory.undisturbed():
                    store.close()

    def _live_store(self) -> Store:
        if self._store is None:
            raise Aborted("the instance is gone; open a new one")
        return self._store

    def _set_limits(self, store: Store) -> None:
        limits, rung = self._limits, self._rung
        store.set_limits(
            memory_size=limits.view_memory_bytes // rung.memories,
            table_elements=limits.view_table_elements // rung.tables,
            instances=limits.view_instances,
            tables=rung.tables,
            memories=rung.memories,
        )

    def _instantiate(self, linker: Linker, store: Store, allowance: Allowance) -> Any:
        raw = ffi.wasmtime_component_instance_t()
        store.set_fuel(allowance.fuel)
        self._fuel = allowance.fuel
        with self._memory.observe(), self._watch.timed(store, allowance.seconds):
            error = capi.instantiate(
                capi.address_of(linker.ptr()),
                self._context,
                capi.address_of(self._ready.component.ptr()),
                ctypes.addressof(raw),
            )
        if error:
            raise self._failure(error)
        return raw

    def _find_functions(self, store: Store, raw: Any) -> Mapping[str, Any]:
        instance = Instance._from_raw(raw)  # noqa: SLF001 - the package's own way to wrap it
        interface = instance.get_export_index(store, self._ready.interface)
        found = {}
        for name in self._ready.functions:
            index = instance.get_export_index(store, name, interface)
            function = instance.get_func(store, index) if index is not None else None
            if function is None:
                raise GuestTrap("other", f"the instance has no function {name}")
            found[name] = function._func  # noqa: SLF001 - the handle that the C function takes
        return found

    def _failure(self, error: int) -> FoldError:
        """Free an error of the engine and say what it means."""
        raw, exited = capi.take_error(error, _MESSAGE_BYTES)
        if self._watch.stopped_because:
            return Aborted(self._watch.stopped_because)
        if exited:
            return GuestTrap("exit", "the guest called exit")
        cause = trap.read_cause(raw, _TEXT_BYTES)
        if trap.needs_more_parts(cause):
            return TooManyParts(cause.message)
        return trap.explain(cause)
