"""What a query's parameters ask of the host, as the design has it under "Asking"."""

from datetime import UTC, datetime

import pytest

from indelible.fold.types import World
from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS, Limits
from indelible.views.window import Asked, parse

Params = list[tuple[str, str]]


def ask(*params: tuple[str, str], world: World = World.VIEW, limits: Limits = DEFAULT_LIMITS) -> Asked:
    """What the host understands."""
    return parse(params, world=world, limits=limits)


def refusal(*params: tuple[str, str], world: World = World.VIEW, limits: Limits = DEFAULT_LIMITS) -> Problem:
    """How the host refuses."""
    with pytest.raises(Problem) as caught:
        ask(*params, world=world, limits=limits)
    return caught.value


def micros(text: str) -> int:
    """Microseconds since 1970 of an ISO time with an offset."""
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000


def test_dates_are_whole_days_in_utc_both_ends_inclusive() -> None:
    """The first quarter: from its first instant to the first one that is no longer in it."""
    asked = ask(("after", "2025-01-01"), ("before", "2025-03-31"))
    assert asked.window_from == micros("2025-01-01T00:00:00+00:00")
    assert asked.window_to == micros("2025-04-01T00:00:00+00:00")
    assert asked.params == ()


def test_one_date_as_both_bounds_is_that_day() -> None:
    """The same date twice is a day of 24 hours, not an empty window."""
    asked = ask(("after", "2025-02-28"), ("before", "2025-02-28"))
    assert (asked.window_to or 0) - (asked.window_from or 0) == 86_400_000_000


def test_instants_are_exact() -> None:
    """An instant keeps its microseconds and its offset, whatever tz says."""
    asked = ask(
        ("after", "2025-01-01T12:00:00.000001+02:00"),
        ("before", "2025-01-02T00:00:00Z"),
        ("tz", "Asia/Tokyo"),
    )
    assert asked.window_from == micros("2025-01-01T10:00:00+00:00") + 1
    assert asked.window_to == micros("2025-01-02T00:00:00+00:00")


def test_an_open_side_is_no_fact() -> None:
    """Only the bounds that were given become facts, with the text that was given."""
    asked = ask(("before", "2025-01-01T00:00:00Z"))
    assert asked.window_from is None
    assert dict(asked.facts) == {
        "window-to": str(micros("2025-01-01T00:00:00+00:00")),
        "window-text-before": "2025-01-01T00:00:00Z",
        "tz": "UTC",
        "basis": "received",
    }


@pytest.mark.parametrize(
    ("zone", "day", "starts", "hours"),
    [
        ("Europe/Berlin", "2025-03-30", "2025-03-29T23:00:00+00:00", 23),  # an hour is skipped
        ("Europe/Berlin", "2025-10-26", "2025-10-25T22:00:00+00:00", 25),  # an hour comes twice
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00+00:00", 23),  # midnight itself is skipped
        ("America/Havana", "2025-11-02", "2025-11-02T04:00:00+00:00", 25),  # midnight itself comes twice
        ("Asia/Kathmandu", "2025-01-01", "2024-12-31T18:15:00+00:00", 24),
    ],
)
def test_days_of_a_zone_are_as_long_as_they_were(zone: str, day: str, starts: str, hours: int) -> None:
    """A day in `tz` begins at its first instant and ends where the next one begins."""
    asked = ask(("after", day), ("before", day), ("tz", zone))
    assert asked.window_from == micros(starts)
    assert (asked.window_to or 0) - (asked.window_from or 0) == hours * 3_600_000_000
    assert dict(asked.facts)["tz"] == zone


def test_a_day_that_a_zone_left_out_is_an_empty_window() -> None:
    """Samoa had no 30 December 2011."""
    day = "2011-12-30"
    assert refusal(("after", day), ("before", day), ("tz", "Pacific/Apia")).code.name == "invalid_parameter"


def test_the_last_day_of_the_calendar_has_an_end() -> None:
    """9999-12-31, written where people mean for ever, is a bound like any other."""
    asked = ask(("before", "9999-12-31"))
    assert asked.window_to == micros("9999-12-31T00:00:00+00:00") + 86_400_000_000


@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize("text", ["5", "2025", "20250101", "-1", "+7", "0", "1" * 400])
def test_a_plain_integer_is_ambiguous(name: str, text: str) -> None:
    """It could be a sequence or a time; the refusal says how to write either."""
    problem = refusal((name, text))
    assert problem.code.name == "ambiguous_after"
    assert "min_sequence=" in problem.detail
    assert f"{name}=2025-01-31" in problem.detail


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2025-13-01", "2025-02-30", "2025-1-1", "2025-W01-1", "2025-01-01T00:00:00", "1.5",
     "2025-01-01T25:00:00Z", "0000-01-01", "\u0662\u0660\u0662\u0665-01-01", "2025-01-01\n", " 2025-01-01"],
)  # fmt: skip
def test_a_bound_that_is_not_understood_is_refused(text: str) -> None:
    """Never dropped: a missing bound makes a wrong report."""
    assert refusal(("after", text)).code.name == "invalid_parameter"


def test_a_plus_that_became_a_space_is_explained() -> None:
    """The commonest slip with offsets in URLs gets the words that fix it."""
    assert "%2B" in refusal(("after", "2025-01-01T00:00:00 02:00")).detail


@pytest.mark.parametrize(
    "zone",
    ["Mars/Olympus", "", "../../etc/passwd", "/etc/localtime", "America", "localtime", "utc\0",
     "europe/berlin"],
)  # fmt: skip
def test_an_unknown_zone_is_refused(zone: str) -> None:
    """Only names of the time zone database, none that reach into the file system or mean this machine."""
    assert refusal(("after", "2025-01-01"), ("tz", zone)).code.name == "invalid_parameter"


@pytest.mark.parametrize(
    ("after", "before"),
    [("2025-02-01", "2025-01-31"), ("2025-01-01T00:00:00Z", "2025-01-01T00:00:00Z")],
)
def test_an_empty_window_is_refused(after: str, before: str) -> None:
    """From at or after to can match nothing."""
    assert refusal(("after", after), ("before", before)).code.name == "invalid_parameter"


def test_what_is_not_kept_goes_to_the_view_in_order() -> None:
    """Repeats and order stay; kept names and those that begin with _ are taken out."""
    asked = ask(
        ("actor", "b"), ("min_sequence", "7"), ("actor", "a"), ("_", "1"), ("", "x"), ("basis", "occurred"),
        ("consistency", "stale"), ("version", "3"), ("After", "1"), ("wait", "2.5"), ("fold", "all"),
    )  # fmt: skip
    assert asked.params == (("actor", "b"), ("actor", "a"), ("", "x"), ("After", "1"))
    assert (asked.min_sequence, asked.stale, asked.version, asked.wait_seconds) == (7, True, 3, 2.5)
    assert asked.basis == dict(asked.facts)["basis"] == "occurred"


@pytest.mark.parametrize(
    "name", ["after", "at", "before", "basis", "tz", "min_sequence", "consistency", "_x", "wait"]
)
def test_a_host_parameter_given_twice_is_refused(name: str) -> None:
    """Even with the same value: nobody can say which one was meant."""
    assert refusal((name, "1"), ("actor", "a"), (name, "1")).code.name == "repeated_parameter"


@pytest.mark.parametrize(
    ("name", "value"),
    [("basis", "guessed"), ("basis", ""), ("consistency", "maybe"), ("min_sequence", "-1"),
     ("min_sequence", "1e3"),
     ("min_sequence", "9223372036854775808"), ("min_sequence", "²"), ("version", "0"), ("version", "x"),
     ("wait", "-1"), ("wait", "inf"), ("at", "-1"), ("at", "+5"), ("at", "yesterday"),
     ("at", "2025-02-30"), ("fold", "window"), ("format", "csv")],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    """A kept parameter is understood or refused; one that is reserved for later is not dropped."""
    problem = refusal((name, value))
    assert problem.code.name == "invalid_parameter"
    assert problem.facts["parameter"] == name


@pytest.mark.parametrize(
    ("text", "tz", "sequence", "before"),
    [
        ("0", "UTC", 0, None),
        ("17", "Europe/Berlin", 17, None),
        ("2025-03-31", "UTC", None, "2025-04-01T00:00:00+00:00"),
        ("2025-03-30", "Europe/Berlin", None, "2025-03-31T00:00:00+02:00"),
    ],
)
def test_at_is_an_event_or_the_end_of_a_day(
    text: str, tz: str, sequence: int | None, before: str | None
) -> None:
    """Digits are a sequence in every world; a date means all that was received until that day ended there."""
    for world in World:
        asked = ask(("at", text), ("tz", tz), ("actor", "a"), world=world)
        assert asked.at_sequence == sequence
        assert asked.at_before == (None if before is None else micros(before))
        assert ("at", text) not in asked.params


def test_at_an_instant_covers_what_was_received_at_that_instant() -> None:
    """At or before it: the first microsecond that is left out is the next one."""
    assert ask(("at", "2025-01-31T09:30:00.000001Z")).at_before == micros("2025-01-31T09:30:00+00:00") + 2


@pytest.mark.parametrize("other", [("min_sequence", "3"), ("consistency", "stale")])
def test_at_leaves_nothing_to_wait_for(other: tuple[str, str]) -> None:
    """Both would say something else of where the view is to stand."""
    problem = refusal(("at", "5"), other)
    assert (problem.code.name, problem.facts["parameter"]) == ("invalid_parameter", other[0])
    machine = refusal(("at", "5"), ("after", "3"), world=World.MACHINE)
    assert (machine.code.name, machine.facts["parameter"]) == ("invalid_parameter", "after")


def test_wait_is_capped_by_the_limit() -> None:
    """Asking for longer than the limit waits for the limit."""
    assert ask(("wait", "999999")).wait_seconds == DEFAULT_LIMITS.query_wait_seconds


def test_an_integer_after_is_a_barrier_for_a_machine() -> None:
    """Only there, as in the service that its components come from; it is no window and no parameter."""
    asked = ask(("after", "41"), ("q", "x"), world=World.MACHINE)
    assert (asked.min_sequence, asked.window_from, asked.params) == (41, None, (("q", "x"),))
    both = refusal(("after", "41"), ("min_sequence", "2"), world=World.MACHINE)
    assert both.code.name == "repeated_parameter"
    assert refusal(("before", "41"), world=World.MACHINE).code.name == "ambiguous_after"


def test_a_machine_sees_its_window() -> None:
    """It gets no facts, so that the bounds must reach it as parameters, in their place."""
    asked = ask(("a", "1"), ("after", "2025-01-01"), ("b", "2"), ("tz", "UTC"), world=World.MACHINE)
    assert asked.params == (("a", "1"), ("after", "2025-01-01"), ("b", "2"))
    assert asked.window_from == micros("2025-01-01T00:00:00+00:00")


def test_limits_hold() -> None:
    """Too many parameters, or too many bytes of them, are refused; at the limit they pass."""
    limits = Limits(query_params=3, query_params_bytes=10)
    assert len(ask(("a", "1"), ("b", "2"), ("c", "3"), limits=limits).params) == 3
    assert refusal(*[("a", "1")] * 4, limits=limits).code.name == "too_large"
    assert ask(("a", "é" * 4), limits=limits).params == (("a", "é" * 4),)
    assert refusal(("a", "é" * 5), limits=limits).code.name == "too_large"


def test_text_that_is_not_utf8_is_refused() -> None:
    """A lone surrogate, as lenient decoding makes them, has no UTF-8."""
    assert refusal(("a", "\udc80")).code.name == "malformed"


def test_times_do_not_depend_on_this_machine() -> None:
    """UTC is the default whatever the local zone is."""
    assert ask(("after", "1970-01-02")).window_from == 86_400_000_000
    assert datetime.fromtimestamp(86_400, UTC).day == 2
