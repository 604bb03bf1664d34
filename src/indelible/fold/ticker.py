"""Moves an engine's epoch on, so that running guests call out now and then and can be stopped."""

import threading

from wasmtime import Engine

from indelible.fold import capi

TICK_SECONDS = 0.05


class Ticker:
    """One thread for one engine, which it keeps alive; started by the first `start`, ended by `stop`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin ticking; does nothing when it already does."""
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="fold-ticker", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it. May be called twice, and from any thread."""
        with self._lock:
            self._stopped.set()
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():  # as garbage collection may be
            thread.join()

    def _run(self) -> None:
        address = capi.address_of(self._engine.ptr())
        while not self._stopped.wait(TICK_SECONDS):
            capi.increment_epoch(address)
