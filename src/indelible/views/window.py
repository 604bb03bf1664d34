"""What a query's parameters ask of the host: the window, when, which version. All else is the view's.

Pure. The rules stand in the design under "Asking"; a bound that is not understood is refused, because
a bound that is dropped silently makes a wrong report.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from indelible.fold.types import World
from indelible.model.errors import Problem
from indelible.model.instants import parse_instant
from indelible.model.limits import Limits

KEPT = frozenset({"min_sequence", "consistency", "at", "version", "fold", "tz", "format", "wait"})
WINDOW = frozenset({"after", "before", "basis"})
BASES = ("received", "occurred")
MAX_SEQUENCE = (1 << 63) - 1

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+\Z", re.ASCII)
_LOST_PLUS = re.compile(r"\d{2}:\d{2}(?:\.\d+)? \d{2}:\d{2}\Z", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
_NOT_A_PLACE = frozenset({"localtime", "posixrules", "Factory"})  # they depend on the machine


class Asked(NamedTuple):
    """What was asked of the host. Window bounds are µs since 1970: from inclusive, to exclusive."""

    window_from: int | None
    window_to: int | None
    tz: str
    basis: str
    min_sequence: int  # 0: none
    stale: bool
    version: int | None
    at_sequence: int | None  # as the view stood at this event
    at_before: int | None  # or when it had folded all that was received before this time
    wait_seconds: float | None
    params: tuple[tuple[str, str], ...]  # for the view, in the order given
    facts: tuple[tuple[str, str], ...]  # the window, for the view
    fold: str = "all"  # or "window", which evidence alone can have


FOLDS = ("all", "window")


def parse(
    params: Sequence[tuple[str, str]], *, world: World, limits: Limits, evidence: bool = False
) -> Asked:
    """Sort a query's parameters, all of them in their order, into what the host keeps and what the view gets.

    A `primatomic:machine` view receives no facts, so that `after`, `before` and `basis` stay among its
    parameters; a plain integer in `after` is a sequence barrier there and is taken out.
    `evidence`: the answer is to come with its proof, for which the events of a window can be folded alone.

    Raises:
        Problem: `too_large`, `malformed`, `repeated_parameter`, `invalid_parameter`, `ambiguous_after`.
    """
    _check_size(params, limits)
    machine = world is World.MACHINE
    host = _host_params(params)
    _refuse_reserved(host, evidence=evidence)
    _refuse_fresh_past(host)
    at_sequence, at_before = _at(host["at"], _zone(host.get("tz", "UTC"))) if "at" in host else (None, None)
    barrier = machine and _INTEGER.match(host.get("after", "")) is not None
    if barrier and "at" in host:
        raise _invalid("after", "With at, an integer in after has no meaning: leave it out.")
    if barrier and "min_sequence" in host:
        raise Problem(
            "repeated_parameter",
            "An integer in after means min_sequence: give one of them.",
            parameter="after",
        )
    tz = host.get("tz", "UTC")
    zone = _zone(tz)
    after, before = None if barrier else host.get("after"), host.get("before")
    window_from = None if after is None else _bound("after", after, zone)
    window_to = None if before is None else _bound("before", before, zone)
    _refuse_empty(window_from, window_to)
    basis = _one_of(host, "basis", BASES, "received")
    lowest = host["after"] if barrier else host.get("min_sequence", "0")
    handed_on = _for_view(params, machine=machine, barrier=barrier)
    return Asked(
        window_from=window_from,
        window_to=window_to,
        tz=tz,
        basis=basis,
        min_sequence=_integer("after" if barrier else "min_sequence", lowest, least=0),
        stale=_one_of(host, "consistency", ("stale",), "") == "stale",
        version=_integer("version", host["version"], least=1) if "version" in host else None,
        at_sequence=at_sequence,
        at_before=at_before,
        wait_seconds=_wait(host["wait"], limits) if "wait" in host else None,
        params=handed_on,
        facts=tuple(_facts(window_from, window_to, after, before, tz, basis)),
        fold=_fold(host, window_from, window_to, basis) if evidence else "all",
    )


def _fold(host: Mapping[str, str], window_from: int | None, window_to: int | None, basis: str) -> str:
    """Which events evidence folds; a window is proved for the time of receipt alone."""
    fold = _one_of(host, "fold", FOLDS, "all")
    if fold == "window" and window_from is None and window_to is None:
        raise _invalid("fold", "fold=window needs a window: give after, before or both, or leave fold out.")
    if fold == "window" and basis != "received":
        raise _invalid(
            "fold",
            "fold=window goes with basis=received: the time of receipt alone is proved. Leave fold out to "
            "fold all events.",
        )
    return fold


def _is_host(name: str) -> bool:
    return name in KEPT or name in WINDOW or name.startswith("_")


def _check_size(params: Sequence[tuple[str, str]], limits: Limits) -> None:
    if len(params) > limits.query_params:
        raise Problem("too_large", "The query has too many parameters.", limit=limits.query_params)
    try:
        size = sum(len(name.encode()) + len(value.encode()) for name, value in params)
    except UnicodeEncodeError:
        raise Problem("malformed", "The query's parameters must be UTF-8, percent-encoded.") from None
    if size > limits.query_params_bytes:
        raise Problem(
            "too_large",
            "The query's parameters are too long; a POST body may be longer.",
            limit=limits.query_params_bytes,
        )


def _host_params(params: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    host: dict[str, str] = {}
    for name, value in params:
        if not _is_host(name):
            continue
        if name in host:
            raise Problem("repeated_parameter", f"Give {name} once.", parameter=name)
        host[name] = value
    return host


def _for_view(
    params: Iterable[tuple[str, str]], *, machine: bool, barrier: bool
) -> tuple[tuple[str, str], ...]:
    shown = WINDOW - {"after"} if barrier else WINDOW
    visible = shown if machine else frozenset[str]()
    return tuple((name, value) for name, value in params if name in visible or not _is_host(name))


def _refuse_reserved(host: Mapping[str, str], *, evidence: bool) -> None:
    """Names kept for what is not built yet must not be dropped: the answer would not be what was asked."""
    if "at" in host and host.get("fold", "all") != "all":
        raise _invalid("at", "fold=window folds the events of the window alone: leave at out.")
    if host.get("fold", "all") != "all" and not evidence:
        raise _invalid(
            "fold",
            "A view folds the whole log: leave fold out, or ask for evidence "
            "(Accept: application/vnd.indelible.evidence+zip).",
        )
    if host.get("format", "json") != "json":
        raise _invalid("format", "Answers come as the view gives them: leave format out.")


def _refuse_fresh_past(host: Mapping[str, str]) -> None:
    """An answer as of an event is of exactly that event: there is nothing to wait for, and nothing newer."""
    for name in ("min_sequence", "consistency"):
        if "at" in host and name in host:
            raise _invalid(name, f"at says where the view stands: leave {name} out.")


def _at(text: str, zone: tzinfo) -> tuple[int | None, int | None]:
    """A sequence, or the first instant (µs) whose events are no longer among those that are asked for."""
    if _INTEGER.match(text):
        return _integer("at", text, least=0), None
    if _DATE.match(text):
        return None, _bound("at", text, zone)
    return None, _bound("at", text, zone) + 1  # received at that instant counts


def _invalid(name: str, detail: str) -> Problem:
    return Problem("invalid_parameter", detail, parameter=name)


def _one_of(host: Mapping[str, str], name: str, values: Sequence[str], default: str) -> str:
    value = host.get(name, default)
    if value != default and value not in values:
        raise _invalid(name, f"{name} is one of: {', '.join(values)}.")
    return value


def _integer(name: str, text: str, *, least: int) -> int:
    most_digits = 19  # of MAX_SEQUENCE; longer text is not even converted
    if text.isascii() and text.isdigit() and len(text) <= most_digits and least <= int(text) <= MAX_SEQUENCE:
        return int(text)
    raise _invalid(name, f"{name} is a whole number from {least} to {MAX_SEQUENCE}.")


def _wait(text: str, limits: Limits) -> float:
    """Seconds to wait for a replay; past the limit it is the limit."""
    if not re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text, re.ASCII):
        raise _invalid("wait", "wait is a number of seconds.")
    return min(float(text), limits.query_wait_seconds)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - _NOT_A_PLACE


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    if name not in _zones():
        raise _invalid("tz", "tz is a name of the IANA time zone database, such as Europe/Berlin.")
    return ZoneInfo(name)


def _bound(name: str, text: str, zone: tzinfo) -> int:
    if _INTEGER.match(text):
        raise _ambiguous(name, text)
    try:
        if _DATE.match(text):
            day = date.fromisoformat(text)
            return _start_of_day(day, zone) if name == "after" else _end_of_day(day, zone)
        return parse_instant(text)
    except (ValueError, OverflowError):
        pass
    what = "a sequence, " if name == "at" else ""
    hint = " The + of an offset is written %2B in a URL." if _LOST_PLUS.search(text) else ""
    raise _invalid(
        name, f"{name} is {what}a date (2025-01-31) or an RFC 3339 instant (2025-01-31T09:30:00Z).{hint}"
    )


def _start_of_day(day: date, zone: tzinfo) -> int:
    """The first instant of a day.

    Where its midnight is skipped that is the end of the gap, and where midnight comes twice it is the first
    one: `fold` 0 of PEP 495 means both.
    """
    return (datetime.combine(day, time(), zone) - _EPOCH) // _MICROSECOND


def _end_of_day(day: date, zone: tzinfo) -> int:
    """The first instant that is no longer in a day."""
    if day == date.max:
        return _start_of_day(day, zone) + _DAY // _MICROSECOND
    return _start_of_day(day + _DAY, zone)


def _ambiguous(name: str, text: str) -> Problem:
    shown = text[:20]
    return Problem(
        "ambiguous_after",
        f"{name}={shown} could be a sequence number or a time. For a window of time write a date "
        f"({name}=2025-01-31) or an instant ({name}=2025-01-31T09:30:00Z); to wait for an event to be "
        f"covered write min_sequence={shown.lstrip('+-')}.",
        parameter=name,
    )


def _refuse_empty(window_from: int | None, window_to: int | None) -> None:
    if window_from is not None and window_to is not None and window_from >= window_to:
        raise _invalid("before", "The window is empty: after must come before before.")


def _facts(
    window_from: int | None, window_to: int | None, after: str | None, before: str | None, tz: str, basis: str
) -> Iterable[tuple[str, str]]:
    if window_from is not None:
        yield "window-from", str(window_from)
    if window_to is not None:
        yield "window-to", str(window_to)
    if after is not None:
        yield "window-text-after", after
    if before is not None:
        yield "window-text-before", before
    yield "tz", tz
    yield "basis", basis
