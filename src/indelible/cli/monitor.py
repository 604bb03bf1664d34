"""`indelible monitor`: look at logs again and again, and end with a code that a scheduler understands."""

import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from indelible.cli.exits import Exit
from indelible.cli.output import print_json
from indelible.cli.session import default_pins, json_option, open_pins, read_key
from indelible.cli.text import clean
from indelible.cli.verify import read_keys
from indelible.cli.verify_live import base_url
from indelible.model.instants import format_micros

if TYPE_CHECKING:  # the client is slow to import
    from indelible.cli.monitor_metrics import MonitorMetrics
    from indelible.client.monitor import Check, Watch
    from indelible.client.pins import PinStore

_EXITS = {"conflict": Exit.HISTORY_CHANGED, "wrong": Exit.REFUSED, "unanswered": Exit.UNREACHABLE}
_WORST_FIRST = (Exit.HISTORY_CHANGED, Exit.REFUSED, Exit.UNREACHABLE)
_UNITS = {"s": 1, "m": 60, "h": 3600}


def _seconds(_context: click.Context, _option: click.Parameter, value: str) -> float:
    """Read a time such as `60s`, `5m` or `1h`."""
    match = re.fullmatch(r"([0-9]{1,6})([smh]?)", value)
    if match is None or not int(match[1]):
        raise click.BadParameter(f"{value} is no time: write 60s, 5m or 1h")
    return float(int(match[1]) * _UNITS[match[2] or "s"])


@click.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--interval", callback=_seconds, default="60s", show_default=True, help="Between two looks.")
@click.option("--once", is_flag=True, help="Look once, and end with what was found as the exit code.")
@click.option("--keep-going", is_flag=True, help="Do not end at a conflict; metrics and lines show it.")
@click.option("--entries/--no-entries", default=True, help="Read new entries too (default), or heads only.")
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", help="A verifier key that you trust, or a file of some."
)
@click.option("--key-file", metavar="FILE", help="A file with the API key, where one is needed.")
@click.option("--certificates", envvar="INDELIBLE_CERTIFICATES", metavar="FILE", help="Trust these for TLS.")
@click.option(
    "--pins",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where heads are remembered.",
)
@click.option(
    "--metrics-port", type=click.IntRange(0, 65_535), metavar="PORT", help="Show Prometheus metrics there."
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="The address for them.")
@json_option
def monitor(
    urls: tuple[str, ...],
    interval: float,
    keys: tuple[str, ...],
    key_file: str | None,
    certificates: str | None,
    pins: Path | None,
    metrics_port: int | None,
    metrics_host: str,
    *,
    once: bool,
    keep_going: bool,
    entries: bool,
    as_json: bool,
) -> int:
    """Watch the logs at each URL: one log (https://HOST/logs/LOG), or all of a deployment (https://HOST).

    Each new head must continue the one that was seen before. Exit codes: 0, all consistent; 7, a history
    changed, and the evidence was written; 1, a log breaks its own rules; 3, no answer.
    """
    bases = list(dict.fromkeys(base_url(url) for url in urls))
    key = read_key(key_file)
    if key is not None and len({urlsplit(base).netloc for base in bases}) > 1:
        raise click.UsageError("an API key goes to one server: run a monitor for each, or name one server")
    store = open_pins(pins or default_pins(), as_json=as_json)
    assert store is not None  # noqa: S101 - a folder was given
    trusted = [found for given in keys for found in read_keys(given)]
    watches = _watches(bases, key, certificates, store, trusted, entries=entries)
    try:
        with _ended_by_signals(), _metrics(metrics_host, metrics_port) as metrics:
            return _run(watches, interval, metrics, once=once, keep_going=keep_going, as_json=as_json)
    except _Stopped:
        return Exit.OK
    finally:
        for watch in watches:
            watch.close()


def _run(
    watches: Sequence["Watch"],
    interval: float,
    metrics: "MonitorMetrics | None",
    *,
    once: bool,
    keep_going: bool,
    as_json: bool,
) -> int:
    """Look until something ends it, and return the exit code."""
    while True:
        begun = time.monotonic()
        found: set[Exit] = set()
        for watch in watches:
            for check in watch.round():
                found.add(_EXITS.get(check.state, Exit.OK))
                _print(check, as_json=as_json, quiet=not once)
                if metrics is not None:
                    metrics.note(check)
        worst = next((code for code in _WORST_FIRST if code in found), Exit.OK)
        if once or (worst is Exit.HISTORY_CHANGED and not keep_going):
            return worst
        if metrics is not None:
            metrics.round_done()
        time.sleep(max(0.0, begun + interval - time.monotonic()))


def _print(check: "Check", *, as_json: bool, quiet: bool) -> None:
    """Print one look; `quiet` leaves out those that found nothing new."""
    now = format_micros(time.time_ns() // 1_000)
    if as_json:
        members = {name: value for name, value in check._asdict().items() if value is not None}
        print_json({"time": now, **members, **({"evidence": str(check.evidence)} if check.evidence else {})})
        return
    if quiet and check.state == "same":
        return
    size = "" if check.size is None else f", {check.size} events"
    more = f", {check.entries} new ones read" if check.entries else ""
    detail = "" if check.detail is None else f": {check.code}: {check.detail}"
    print(clean(f"{now}  {check.state:<10}  {check.origin or check.url}{size}{more}{detail}"), flush=True)


def _watches(
    bases: Sequence[str],
    key: str | None,
    certificates: str | None,
    pins: "PinStore",
    keys: Sequence[str],
    *,
    entries: bool,
) -> list["Watch"]:
    from indelible.client import Retry  # noqa: PLC0415 - slow to import
    from indelible.client.monitor import Watch  # noqa: PLC0415 - same
    from indelible.client.transport import Transport  # noqa: PLC0415 - same
    from indelible.client.verify import parse_keys  # noqa: PLC0415 - same

    trusted = parse_keys(keys)
    retry = Retry(tries=3, seconds=10.0)
    return [
        Watch(
            Transport(base, key, retry=retry, timeout_seconds=30.0, certificates=certificates),
            pins,
            trusted=trusted,
            entries=entries,
        )
        for base in bases
    ]


@contextmanager
def _metrics(host: str, port: int | None) -> Iterator["MonitorMetrics | None"]:
    if port is None:
        yield None
        return
    from indelible.cli.monitor_metrics import MonitorMetrics  # noqa: PLC0415 - needed with a port only

    with MonitorMetrics().serving(host, port) as metrics:
        yield metrics


class _Stopped(BaseException):
    """Somebody asked for the end, in the middle of whatever was going on."""


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM end the block at once: a pin is written whole or not at all."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
