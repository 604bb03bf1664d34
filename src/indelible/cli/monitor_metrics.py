"""What a monitor shows to Prometheus. Labels are URLs of logs, bounded, and never a server's text."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from indelible.model.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from indelible.client.monitor import Check


class MonitorMetrics:
    """The metrics of one monitor, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._size = self._gauge("head_size", "Events under the last head that was shown.", "log")
        self._changed = self._gauge(
            "head_seen_timestamp_seconds", "When this head was seen for the first time.", "log"
        )
        self._consistent = self._gauge(
            "consistent_timestamp_seconds", "When the log was last found consistent.", "log"
        )
        self._conflict = self._gauge("conflict", "1 while the log shows another history than before.", "log")
        self._rounds = self._counter("rounds", "Rounds over all logs.")
        self._checks = self._counter("checks", "Looks at a log, by what came of them.", "state")
        self._failures = self._counter("failures", "Looks that failed, by log and code.", "log", "code")
        self._entries = self._counter("entries", "New entries that were read and found right.")
        self._sizes: dict[str, int | None] = {}

    def note(self, check: "Check") -> None:
        """Count one look."""
        name, now = check.url, time.time()
        if name not in self._sizes and len(self._sizes) >= DEFAULT_LIMITS.monitored_logs:
            name = "others"
        self._sizes.setdefault(name, None)
        self._checks.labels(check.state).inc()
        self._entries.inc(check.entries)
        if check.code is not None:
            self._failures.labels(name, check.code).inc()
            if check.state == "conflict":
                self._conflict.labels(name).set(1)
            return
        self._conflict.labels(name).set(0)
        self._consistent.labels(name).set(now)
        if check.size is not None and self._sizes[name] != check.size:
            self._sizes[name] = check.size
            self._size.labels(name).set(check.size)
            self._changed.labels(name).set(now)

    def round_done(self) -> None:
        """Count a round: it stands still when the monitor does."""
        self._rounds.inc()

    @contextmanager
    def serving(self, host: str, port: int) -> Iterator[Self]:
        """Serve `/metrics` until the block ends; says on standard error where.

        Raises:
            OSError: the port cannot be had.
        """
        server, thread = start_http_server(port, host, self.registry)
        try:
            print(f"metrics on http://{host}:{server.server_port}/metrics", file=sys.stderr, flush=True)
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _gauge(self, name: str, says: str, *labels: str) -> Gauge:
        return Gauge(name, says, labels, namespace="indelible_monitor", registry=self.registry)

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(name, says, labels, namespace="indelible_monitor", registry=self.registry)
