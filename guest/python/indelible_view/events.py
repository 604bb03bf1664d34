"""An event as a view gets it."""

from datetime import datetime
from typing import Any

from indelible_view import reading
from indelible_view.times import parse_instant, to_datetime, to_iso

CLAIMED = ("occurred_at", "time", "eventTime", "@timestamp")
"""Members that may hold the time which an event claims; the first that is an RFC 3339 instant counts."""

Mark = list[int | None]
"""What a state keeps of an event to ask about its window later: sequence, time, claimed time or None."""

_UNREAD = object()


class Event:
    """One event. Reading any of it never raises, whatever the bytes are."""

    __slots__ = ("_json", "_text", "form", "sequence", "time", "writer")

    def __init__(self, sequence: int, time: int, writer: str, text: str, form: str = "text") -> None:
        self.sequence = sequence
        """Its place in the log: 1, 2, 3…"""
        self.time = time
        """When the server received it, microseconds since 1970; never less than that of the event before."""
        self.writer = writer
        """The UUID of the key that appended it."""
        self.form = form
        """`text`; `base64` where the bytes are not UTF-8; `erased` where the payload is gone."""
        self._text = text
        self._json: Any = _UNREAD

    @property
    def text(self) -> str:
        """The event's bytes: base64 of them where they are not UTF-8, empty where they were erased."""
        return self._text

    @property
    def json(self) -> Any:
        """The event as JSON; None where it is none, as for `null`. `readable` tells more."""
        if self._json is _UNREAD:
            try:
                self._json = reading.read(self._text) if self.form == "text" else None
            except reading.Unreadable:
                self._json = None
        return self._json

    @property
    def readable(self) -> bool:
        """Whether the event is a JSON object. Those that are not are counted in `cover.unreadable`."""
        return type(self.json) is dict

    @property
    def object(self) -> dict[str, Any]:
        """The event's members; none where it is no JSON object."""
        value = self.json
        return value if type(value) is dict else {}

    def get(self, *path: str) -> Any:
        """Return what stands at a path of names, such as `get("context", "ip")`; None where nothing does."""
        value = self.json
        for name in path:
            if type(value) is not dict:
                return None
            value = value.get(name)
        return value

    def id(self, *path: str) -> str | None:
        """Return the id at a path: a text that is not empty, or the member `id` of an object; else None."""
        value = self.get(*path)
        if type(value) is dict:
            value = value.get("id")
        return value if type(value) is str and value else None

    @property
    def occurred(self) -> int | None:
        """The time that the event claims, microseconds since 1970; None where it claims no exact one."""
        members = self.object
        for name in CLAIMED:
            value = members.get(name)
            if type(value) is str and (micros := parse_instant(value)) is not None:
                return micros
        return None

    @property
    def mark(self) -> Mark:
        """What a state keeps to ask `question.covers(mark)` later."""
        return [self.sequence, self.time, self.occurred]

    @property
    def datetime(self) -> datetime:
        """`time` as a datetime in UTC."""
        return to_datetime(self.time)

    @property
    def iso(self) -> str:
        """`time` as RFC 3339."""
        return to_iso(self.time)
