"""What the built-in view `report` answers, as plainly as Python can say it, over events of our own shape.

Slow and short on purpose: a list of dictionaries, a filter, a sort.
`tests/e2e/test_report_random.py` holds the component to it.
"""

import functools
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.harness.report_events import Appended, Instant, Json, Row, one, rows_of, values

from indelible.model.instants import format_micros, parse_instant

Look = Callable[[Mapping[str, Json]], tuple[list[Json], bool]]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Asked(NamedTuple):
    """A question: values of parameters, a window in µs, and by which time it goes."""

    values: Mapping[str, Sequence[str]]
    window_from: int | None = None
    window_to: int | None = None
    basis: str = "received"
    tz: str = "UTC"


# ------------------------------------------------------------- comparisons


def rank(value: Json) -> tuple[Any, ...]:
    """A key that sorts values as the documentation says."""
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, (int, float, Decimal)):
        return (2, Decimal(str(value)))
    if isinstance(value, str):
        return (3, value)
    return (4, json.dumps(value))


def identity(value: Json) -> str | None:
    """Equal for what is written the same."""
    return words(value) if isinstance(value, Decimal) else json.dumps(value)


def words(value: Json) -> str | None:
    """A text, number or flag as it is written."""
    if value is None or isinstance(value, (list, dict)):
        return None
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value if isinstance(value, str) else json.dumps(value)


def _like(text: str, pattern: str) -> bool:
    form = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    return re.fullmatch(form, text, re.DOTALL) is not None


def _is(value: Json, wanted: Json) -> bool:
    if isinstance(wanted, str):
        return words(value) == wanted
    if isinstance(wanted, bool):
        return value is wanted
    number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    return number and Decimal(str(value)) == Decimal(str(wanted))


COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "at_least": lambda value, than: value >= than,
    "more_than": lambda value, than: value > than,
    "at_most": lambda value, than: value <= than,
    "less_than": lambda value, than: value < than,
}


def _compares(name: str, value: Json, wanted: Json, *, time: bool) -> bool:
    if value is None or isinstance(value, (bool, str, list, dict)):
        return False
    than = parse_instant(wanted) if time else Decimal(str(wanted))
    return COMPARE[name](value if time else Decimal(str(value)), than)


class Model:
    """A specification and a question, over a log."""

    def __init__(self, spec: Mapping[str, Json], asked: Asked) -> None:
        self.spec = spec
        self.asked = asked

    def operand(self, given: Json) -> list[Json]:
        """The values that an operand stands for; none where its parameter has none."""
        if not isinstance(given, dict):
            return given if isinstance(given, list) else [given]
        declared = self.spec["parameters"][given["param"]]
        texts = self.asked.values.get(given["param"], ())
        if not texts:
            default = declared.get("default", [])
            return default if isinstance(default, list) else [default]
        if declared.get("type", "text") in ("integer", "number"):
            return [Decimal(text) for text in texts]
        return list(texts)

    def holds(
        self, condition: Json, look: Callable[[Mapping[str, Json]], tuple[list[Json], bool]]
    ) -> bool | None:
        """Whether a condition holds; None where all of it is left out."""
        if isinstance(condition, list) or "all" in condition:
            inner = condition if isinstance(condition, list) else condition["all"]
            said = [self.holds(one, look) for one in inner]
            left = [one for one in said if one is not None]
            return all(left) if left else None
        if "any" in condition:
            said = [self.holds(one, look) for one in condition["any"]]
            left = [one for one in said if one is not None]
            return any(left) if left else None
        if "not" in condition:
            said_not = self.holds(condition["not"], look)
            return None if said_not is None else not said_not
        return self._leaf(condition, *look(condition))

    def _leaf(self, leaf: Mapping[str, Json], found: list[Json], time: bool) -> bool | None:
        exists = leaf.get("exists")
        tests: list[Callable[[Json], bool]] = []
        for name in ("is", "like", *COMPARE):
            wanted = self.operand(leaf[name]) if name in leaf else []
            if wanted:
                tests.append(functools.partial(self._test, name, wanted, time))
        if exists is None and not tests:
            return None
        if exists is not None and exists != any(value is not None for value in found):
            return False
        return not tests or any(all(test(value) for test in tests) for value in found)

    @staticmethod
    def _test(name: str, wanted: list[Json], time: bool, value: Json) -> bool:
        if name == "is":
            return any(_is(value, constant) for constant in wanted)
        if name == "like":
            text = words(value)
            return text is not None and any(_like(text, pattern) for pattern in wanted)
        return _compares(name, value, wanted[0], time=time)

    def _look(self, row: Row) -> Callable[[Mapping[str, Json]], tuple[list[Json], bool]]:
        def look(leaf: Mapping[str, Json]) -> tuple[list[Json], bool]:
            return values(row, leaf), leaf.get("member") in ("time", "when", "occurred_at")

        return look

    # ---------------------------------------------------------------- rows

    def matched(self, log: Sequence[Appended]) -> list[Row]:
        """The rows that count, in the order of the question."""
        each = self.spec.get("each", "event")
        claimed = self.asked.basis == "occurred"
        rows = []
        for appended in log:
            for row in rows_of(appended, each):
                row["when"] = row["occurred_at"] if claimed else row["time"]
                if self._in_window(row["when"]) and self._passes(self.spec.get("where"), row):
                    rows.append(row)
        return sorted(rows, key=lambda row: (row["when"], row["sequence"], row["place"]))

    def _in_window(self, when: int | None) -> bool:
        low, high = self.asked.window_from, self.asked.window_to
        return when is not None and (low is None or when >= low) and (high is None or when < high)

    def _passes(self, condition: Json, row: Row) -> bool:
        return condition is None or self.holds(condition, self._look(row)) is not False

    def answer(self, log: Sequence[Appended]) -> list[list[Json]]:
        """The rows of the whole answer, times still instants."""
        rows = self.matched(log)
        if "columns" in self.spec:
            return self._listed(self._drawn(rows))
        return self._sorted(self._grouped(rows), self.names())

    def names(self) -> list[str]:
        """The names of the columns, which tests always write."""
        if "columns" in self.spec:
            return [column["name"] for column in self.spec["columns"]]
        return [one["name"] for one in (*self.spec.get("group_by", ()), *self.spec.get("aggregates", ()))]

    def _drawn(self, rows: list[Row]) -> list[Row]:
        if "sample" not in self.spec:
            return rows
        size = int(self.operand(self.spec["sample"]["size"])[0])
        seed = self.operand(self.spec["sample"]["seed"])[0]

        def ticket(row: Row) -> bytes:
            return hashlib.sha256(f"{seed}\n{row['sequence']}\n{row['place']}".encode()).digest()

        drawn = {id(row) for row in sorted(rows, key=ticket)[:size]}
        return [row for row in rows if id(row) in drawn]

    def _listed(self, rows: list[Row]) -> list[list[Json]]:
        listed = []
        for row in rows:
            cells = [values(row, column) for column in self.spec["columns"]]
            listed.append([cell[0] if len(cell) == 1 else cell for cell in cells])
        return self._sorted(listed, self.names())

    def _sorted(self, rows: list[list[Json]], names: list[str]) -> list[list[Json]]:
        for key in reversed(self.spec.get("sort", [])):
            at = names.index(key["column"])
            down = key.get("order") == "desc"
            rows = sorted(rows, key=lambda row, at=at: rank(row[at]), reverse=down)  # type: ignore[misc]
        return rows

    # -------------------------------------------------------------- groups

    def _grouped(self, rows: list[Row]) -> list[list[Json]]:
        keys = self.spec.get("group_by", [])
        groups: dict[str, tuple[list[Json], list[Row]]] = {}
        if not keys:
            groups["[]"] = ([], [])
        for row in rows:
            cells = [self._key(row, key) for key in keys]
            name = json.dumps([identity(cell) for cell in cells])
            groups.setdefault(name, (cells, []))[1].append(row)
        told = [
            [*cells, *(self._said(inside, aggregate) for aggregate in self.spec.get("aggregates", ()))]
            for cells, inside in groups.values()
        ]
        return [group for group in told if self._shown(group)]

    def _shown(self, group: list[Json]) -> bool:
        having, names = self.spec.get("having"), self.names()

        def look(leaf: Mapping[str, Json]) -> tuple[list[Json], bool]:
            cell = group[names.index(leaf["column"])]
            return (cell if isinstance(cell, list) else [cell]), False

        return having is None or self.holds(having, look) is not False

    def _key(self, row: Row, key: Mapping[str, Json]) -> Json:
        if "bucket" not in key:
            return one(row, key)
        when = row[key.get("of", "when")]
        return None if when is None else bucket(when, key["bucket"], key.get("tz", self.asked.tz))

    def _said(self, rows: list[Row], aggregate: Mapping[str, Json]) -> Json:
        rows = [row for row in rows if self._passes(aggregate.get("where"), row)]
        if "count" in aggregate:
            return len({row["sequence"] for row in rows}) if aggregate["count"] == "events" else len(rows)
        (name,) = {"distinct", "first", "last", "min", "max", "sum", "latest"} & aggregate.keys()
        every = [one(row, aggregate[name]) for row in rows]
        told = [value for value in every if value is not None]
        if name == "distinct":
            return len({identity(value) for value in told})
        if name == "sum":
            numbers = [v for v in told if isinstance(v, (int, float)) and not isinstance(v, bool)]
            return sum((Decimal(str(number)) for number in numbers), Decimal(0))
        if name == "latest":
            return every[::-1][: aggregate["n"]]
        if name in ("first", "last"):
            return every[0 if name == "first" else -1] if every else None
        return (min if name == "min" else max)(told, key=rank) if told else None


def bucket(micros: int, unit: str, tz: str) -> str:
    """What the run of time is called that an instant is in."""
    local = (EPOCH + timedelta(microseconds=micros)).astimezone(ZoneInfo(tz))
    if unit == "hour":
        return local.replace(minute=0, second=0, microsecond=0).isoformat()
    day = local.date()
    if unit == "week":
        day -= timedelta(days=day.weekday())
    named = {
        "month": day.strftime("%Y-%m"),
        "quarter": f"{day.year}-Q{(day.month + 2) // 3}",
        "year": f"{day.year}",
    }
    return named.get(unit, day.isoformat())


def shown(cell: Json) -> Json:
    """A cell as the answer writes it."""
    if isinstance(cell, list):
        return [shown(one) for one in cell]
    if isinstance(cell, Instant):
        return format_micros(cell)
    return float(cell) if isinstance(cell, Decimal) else cell
