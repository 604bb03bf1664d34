"""What the product says about itself: all of its Prometheus metrics, and its structured log.

Every metric stands here, so that one file is the list an operator can alert on. Counters end in `_total`,
durations are seconds, sizes bytes. Nothing in a label comes from a tenant: a label's values are bounded by
the code, by the operator's witness policy, or, where they are ids of views, by the limit `metrics_views`.
This module imports nothing of ours; every layer may import it.
"""

import logging
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextvars import ContextVar
from itertools import accumulate
from typing import NamedTuple, TextIO

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double what is scraped, for no one
REGISTRY = CollectorRegistry(auto_describe=True)
"""The registry of this process; the default one of the library is left alone."""

METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The type of `render_metrics`: the Prometheus text format."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that is being served; it stands in each line of the log that it caused."""

_COMMIT_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_GROUP_EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 10_000)


def _counter(name: str, says: str, *labels: str) -> Counter:
    return Counter(name, says, labels, namespace="indelible", registry=REGISTRY)


def _gauge(name: str, says: str, *labels: str) -> Gauge:
    return Gauge(name, says, labels, namespace="indelible", registry=REGISTRY)


def _histogram(name: str, says: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(name, says, labels, namespace="indelible", buckets=buckets, registry=REGISTRY)


# What arrives
appends_total = _counter("appends_total", "Calls of append and append_batch that were acknowledged.")
events_total = _counter("events_total", "Events that were committed.")
payload_bytes_total = _counter("payload_bytes_total", "Bytes of the payloads that were committed.")
refusals_total = _counter("refusals_total", "Refusals by their code.", "code")

# The commit
commit_seconds = _histogram("commit_seconds", "One group commit, from its lock to COMMIT.", _COMMIT_SECONDS)
commit_groups_events = _histogram("commit_groups_events", "Events in one group commit.", _GROUP_EVENTS)
fsync_seconds = _histogram(
    "fsync_seconds",
    "COMMIT alone: a transaction's pages written to the log of pages, and the fsync of it. "
    "One that failed is not counted; one that wrote nothing waits for nothing.",
    _COMMIT_SECONDS,
)
pending_bytes = _gauge("pending_bytes", "Payload bytes of appends that wait for a commit.")
clock_clamps_total = _counter("clock_clamps_total", "Event times held back because the clock stepped back.")
logs_refused = _gauge("logs_refused", "Logs that are refused since they don't match their published head.")

# Checkpoints
checkpoints_published_total = _counter("checkpoints_published_total", "Checkpoints stored for serving.")
checkpoints_unpublished = _gauge(
    "checkpoints_unpublished", "Logs whose head is ahead of their last published checkpoint."
)
signer_failures_total = _counter(
    "signer_failures_total",
    "Runs of the signer command that failed, and signatures of it that did not verify.",
)

# The archive
archive_backlog_events = _gauge("archive_backlog_events", "Events that are not in the archive yet.")
archive_events_total = _counter("archive_events_total", "Events sealed into segments of the archive.")
archive_failures_total = _counter(
    "archive_failures_total", "Times that archiving failed, and was put off to the next try."
)
objects_failing = _gauge(
    "objects_failing", "1 while the object store does not answer: checkpoints and the archive wait."
)

# Looking for what was changed underneath
fsck_events_total = _counter("fsck_events_total", "Stored events that were checked again while serving.")
fsck_differences_total = _counter(
    "fsck_differences_total", "Stored events that were found to differ while serving, each counted once."
)

# Witnesses: those that this server asks, and what `indelible witness serve` answers
witness_asked_total = _counter(
    "witness_asked_total",
    "Questions to each witness by what came: cosigned, conflict, refused, failed.",
    "witness",
    "outcome",
)
witness_ask_seconds = _histogram(
    "witness_ask_seconds", "One question to a witness.", _REQUEST_SECONDS, "witness"
)
checkpoints_unwitnessed = _gauge(
    "checkpoints_unwitnessed",
    "Logs whose newest signed head lacks the cosignatures that the policy asks for.",
)
unwitnessed_served_total = _counter(
    "unwitnessed_served_total",
    "Heads served without the policy's cosignatures, as --witness-fail-open has it.",
)
witness_answers_total = _counter("witness_answers_total", "Answers to add-checkpoint by status.", "status")

# The deployment's log of heads
heads_listed_total = _counter("heads_listed_total", "Heads of logs that were listed in the deployment's log.")

# Views
view_lag_events = _gauge("view_lag_events", "Events that views have yet to fold, over all views.")
fold_seconds = _histogram("fold_seconds", "One batch of events in WebAssembly.", _REQUEST_SECONDS)
fold_events_total = _counter("fold_events_total", "Events folded into views.")
query_seconds = _histogram("query_seconds", "One question in WebAssembly.", _REQUEST_SECONDS)
resident_views_bytes = _gauge("resident_views_bytes", "Linear memory of the views that are resident.")


class ViewFigures(NamedTuple):
    """What one version of a view has cost since it first came into memory here, and how it stands."""

    log_id: str
    view_id: str
    version: int
    events: int
    fold_seconds: float
    fuel: int
    queries: int
    query_seconds: float
    memory_bytes: int
    behind: int  # events of the log that it has yet to fold


_OF_A_VIEW = (
    ("view_events_total", "Events that a view folded.", "events"),
    ("view_fold_seconds_total", "Time in which a view folded them.", "fold_seconds"),
    ("view_fuel_total", "Fuel that a view used, about one an instruction.", "fuel"),
    ("view_queries_total", "Questions that were put to a view.", "queries"),
    ("view_query_seconds_total", "Time that they took in WebAssembly.", "query_seconds"),
    ("view_memory_bytes", "Linear memory of a view, 0 when it is not in memory.", "memory_bytes"),
    ("view_behind_events", "Events of its log that a view has yet to fold.", "behind"),
)


class Views(Collector):
    """The metrics a view, of those used last. `source` gives their figures when they are asked for."""

    def __init__(self) -> None:
        self.source: Callable[[], Iterable[ViewFigures]] = tuple

    def collect(self) -> Iterator[Metric]:
        """Give all of them, as the library collects them."""
        views = list(self.source())
        for name, says, member in _OF_A_VIEW:
            made = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = made(f"indelible_{name}", says, labels=["log_id", "view_id", "version"])
            for view in views:
                labels = [view.log_id, view.view_id, str(view.version)]
                family.add_metric(labels, getattr(view, member))
            yield family


class Requests(Collector):
    """Requests answered by route and status, and their times by route.

    Plain numbers until they are asked for, since the library's own take a lock for each: a tenth of an
    append's time. Noted by the event loop's thread alone; collected by any.
    """

    def __init__(self) -> None:
        self._answered: dict[tuple[str, int], int] = {}
        self._in_bucket: dict[str, list[int]] = {}  # by route: how many ended up in each of _REQUEST_SECONDS
        self._seconds: dict[str, float] = {}

    def note(self, route: str, status: int, seconds: float) -> None:
        """Count an answer, and the time from the header's arrival to its last byte handed over."""
        at = (route, status)
        self._answered[at] = self._answered.get(at, 0) + 1
        buckets = self._in_bucket.get(route)
        if buckets is None:
            buckets = self._in_bucket[route] = [0] * (len(_REQUEST_SECONDS) + 1)
            self._seconds[route] = 0.0
        buckets[bisect_left(_REQUEST_SECONDS, seconds)] += 1
        self._seconds[route] += seconds

    def collect(self) -> Iterator[Metric]:
        """Give both metrics, as the library collects them."""
        answered = CounterMetricFamily(
            "indelible_http_requests", "Requests answered.", labels=["route", "status"]
        )
        for (route, status), count in sorted(self._answered.items()):
            answered.add_metric([route, str(status)], count)
        yield answered
        says = "From the header's arrival to the answer's last byte handed over."
        times = HistogramMetricFamily("indelible_http_seconds", says, labels=["route"])
        bounds = [*map(str, map(float, _REQUEST_SECONDS)), "+Inf"]
        for route, buckets in sorted(self._in_bucket.items()):
            upto = list(zip(bounds, accumulate(buckets), strict=True))
            times.add_metric([route], upto, self._seconds[route])
        yield times


# HTTP
requests = Requests()
REGISTRY.register(requests)
views = Views()
REGISTRY.register(views)


def render_metrics() -> bytes:
    """Return all metrics in the Prometheus text format (`METRICS_CONTENT_TYPE`)."""
    return generate_latest(REGISTRY)


def configure_logging(*, json: bool, level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send the structured log, and what libraries log, to `stream` (standard error when None).

    `json` writes one JSON object a line; otherwise lines for people, coloured on a terminal.
    """
    out = sys.stderr if stream is None else stream
    renderer: structlog.types.Processor = structlog.processors.JSONRenderer() if json else _for_people(out)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _add_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if json else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [ToStructuredLog()]
    root.setLevel(max(level, logging.WARNING))


def _for_people(out: TextIO) -> structlog.types.Processor:
    """Render lines for people. The plain traceback, since a richer one prints locals, and those hold keys."""
    return structlog.dev.ConsoleRenderer(
        colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


class ToStructuredLog(logging.Handler):
    """Hands what libraries log with the standard library to the structured log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log `record` again, with the name of its logger."""
        level = min(record.levelno, logging.CRITICAL)
        structlog.get_logger().log(
            level, record.getMessage(), logger=record.name, exc_info=record.exc_info or None
        )


def _add_request_id(
    _logger: object, _method: str, event: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    current = request_id.get()
    if current:
        event.setdefault("request_id", current)
    return event
