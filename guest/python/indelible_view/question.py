"""A question as a view gets it, and the answer that says what it covers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from indelible_view.events import Event, Mark
from indelible_view.times import to_iso


class Answer(NamedTuple):
    """What a view answers: a content type and a text."""

    content_type: str
    body: str

    @classmethod
    def of(cls, value: Any) -> "Answer":
        """Write a value as JSON."""
        return cls("application/json", json.dumps(value, ensure_ascii=False, separators=(",", ":")))


class Folded(NamedTuple):
    """What the answer rests on; the SDK counts it."""

    events: int = 0
    first: int | None = None
    last: int | None = None
    unreadable: int = 0

    def add(self, event: Event) -> "Folded":
        """Return the count with one more event."""
        first = event.sequence if self.first is None else self.first
        return Folded(self.events + 1, first, event.sequence, self.unreadable + (not event.readable))


class Window(NamedTuple):
    """The time that was asked about, as the host understood `after`, `before`, `tz` and `basis`.

    Microseconds since 1970: `start` is inside, `end` is not, None is open. `basis` is `received`, or
    `occurred` for the time that events claim.
    """

    start: int | None
    end: int | None
    basis: str
    after: str | None = None
    before: str | None = None
    tz: str = "UTC"

    @classmethod
    def of(cls, facts: Mapping[str, str]) -> "Window":
        """Read what the host says."""
        start, end = facts.get("window-from"), facts.get("window-to")
        return cls(
            None if start is None else int(start),
            None if end is None else int(end),
            facts.get("basis", "received"),
            facts.get("window-text-after"),
            facts.get("window-text-before"),
            facts.get("tz", "UTC"),
        )

    def covers(self, event: Event | Mark) -> bool:
        """Say whether an event, or the mark that was kept of it, is inside."""
        time = self.time_of(event)
        if time is None:
            return False
        return (self.start is None or self.start <= time) and (self.end is None or time < self.end)

    def time_of(self, event: Event | Mark) -> int | None:
        """Return the time that counts; None where an event claims none and that is what counts."""
        _, received, claimed = event.mark if isinstance(event, Event) else event
        return claimed if self.basis == "occurred" else received

    def describe(self) -> dict[str, Any]:
        """Return the window as the cover of an answer has it."""
        return {
            "after": self.after,
            "before": self.before,
            "from": None if self.start is None else to_iso(self.start),
            "to": None if self.end is None else to_iso(self.end),
            "tz": self.tz,
        }


class Question:
    """One question: parameters as they were declared, the window, and what the answer will say it covers."""

    def __init__(
        self,
        values: Mapping[str, Any],
        body: str,
        facts: Sequence[tuple[str, str]],
        folded: Folded,
        title: str,
    ) -> None:
        self.body = body
        self.facts = dict(facts)
        """What the host knows: `asked-at`, `at-sequence`, `log-name`, …"""
        self.window = Window.of(self.facts)
        self._values = values
        self._folded = folded
        self._title = title
        self._matched = 0
        self._first: int | None = None
        self._last: int | None = None
        self._without_time = 0

    def __getitem__(self, name: str) -> Any:
        """Return a parameter's value: what was given, or its default; a list where it may be repeated."""
        return self._values[name]

    def matches(self, event: Event | Mark) -> bool:
        """Say whether an event is inside the window, and count it in the cover if so.

        Ask it last, after the view's own filters: what it says yes to is what `cover.events_matched` counts.
        """
        if not self.window.covers(event):
            self._without_time += self.window.time_of(event) is None
            return False
        sequence = event.sequence if isinstance(event, Event) else event[0]
        assert sequence is not None  # noqa: S101 - a mark begins with a sequence
        self._matched += 1
        self._first = sequence if self._first is None else min(self._first, sequence)
        self._last = sequence if self._last is None else max(self._last, sequence)
        return True

    def cover(self) -> dict[str, Any]:
        """Return what the answer covers, as far as a view can know it."""
        folded, facts = self._folded, self.facts
        cover = {
            "view": {"title": self._title},
            "log": {
                "log_id": facts.get("log-id"),
                "name": facts.get("log-name"),
                "origin": facts.get("origin"),
            },
            "asked_at": facts.get("asked-at"),
            "question": dict(self._values),
            "basis": self.window.basis,
            "window": self.window.describe(),
            "events_folded": folded.events,
            "first_folded": folded.first,
            "last_folded": folded.last,
            "events_matched": self._matched,
            "first_matched": self._first,
            "last_matched": self._last,
            "unreadable": folded.unreadable,
        }
        return cover | ({"without_time": self._without_time} if self.window.basis == "occurred" else {})

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, limit: int | None = None
    ) -> Answer:
        """Answer with a table and its cover; past `limit` rows it is cut, and the cover says so."""
        given = list(rows) if limit is None else list(rows[:limit])
        counts = {"rows": len(rows), "rows_given": len(given), "truncated": len(given) < len(rows)}
        return Answer.of({"columns": list(columns), "rows": given, "cover": self.cover() | counts})
