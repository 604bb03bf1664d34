import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from indelible import telemetry


def restorer() -> Callable[[], None]:
    """Return what puts the configuration back as it is now: none at all stays none."""
    if not structlog.is_configured():
        return structlog.reset_defaults
    kept = structlog.get_config()
    return lambda: structlog.configure(**kept)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Give a stream that the structured log writes to, and put the configuration back."""
    root = logging.getLogger()
    kept, restore = (root.handlers, root.level), restorer()
    stream = io.StringIO()
    telemetry.configure_logging(json=True, stream=stream)
    yield stream
    root.handlers, level = kept
    root.setLevel(level)
    restore()


def test_log_lines_are_json_with_the_request_id(lines: io.StringIO) -> None:
    """A line logged while a request is served is one JSON object that carries its id."""
    token = telemetry.request_id.set("r-1")
    structlog.get_logger().warning("something", sequence=3)
    telemetry.request_id.reset(token)
    structlog.get_logger().warning("else")
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (first["event"], first["sequence"], first["request_id"]) == ("something", 3, "r-1")
    assert "request_id" not in second


def test_what_libraries_log_arrives_too(lines: io.StringIO) -> None:
    """A warning of the standard library's logging becomes a structured line with its logger's name."""
    logging.getLogger("some.library").warning("count %d", 5)
    line = json.loads(lines.getvalue())
    assert (line["event"], line["logger"], line["level"]) == ("count 5", "some.library", "warning")


def test_a_traceback_is_one_line(lines: io.StringIO) -> None:
    """An exception's traceback stays inside its JSON line, so that a line is an event."""
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines.getvalue().splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]


def test_metrics_carry_the_prefix() -> None:
    """Each metric is exposed under `indelible_`, counters with `_total` once."""
    telemetry.refusals_total.labels("not_found").inc()
    text = telemetry.render_metrics().decode()
    names = {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert names
    assert all(name.startswith("indelible_") for name in names)
    assert 'indelible_refusals_total{code="not_found"}' in text
    assert "_total_total" not in text


def test_a_traceback_for_people_shows_no_locals() -> None:
    """Whoever reads the log of a server in a terminal does not find keys of callers in it."""
    restore = restorer()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    telemetry.configure_logging(json=False, stream=stream)
    try:
        secret = "ind_" + "value"
        int(secret[:4])
    except ValueError:
        structlog.get_logger().exception("failed")
    finally:
        restore()
        root.handlers = handlers
        root.setLevel(level)
    assert "invalid literal" in stream.getvalue()
    assert "ind_value" not in stream.getvalue()
