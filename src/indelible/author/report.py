"""What `indelible view test` found out about a view."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from indelible.author.checks import STRAIGHT, Check, Difference, check_all
from indelible.author.play import Asked, Cost, Outcome, Player, find_failure
from indelible.author.subject import Subject


class Report(NamedTuple):
    """A view over events: what it cost, what it answered, and whether that depends on the events alone."""

    cost: Cost
    questions: Sequence[Asked]
    no_snapshot: str
    failure: tuple[int | None, str] | None  # the event, and why
    checks: Sequence[Check]

    @property
    def passed(self) -> bool:
        """Whether the view folded all events, answered, and differed nowhere."""
        answered = not any(asked.failed for asked in self.questions)
        return self.failure is None and answered and all(check.passed for check in self.checks)

    @property
    def fuel_per_event(self) -> float:
        """Fuel for one event, on average; the host gives a batch a fixed amount."""
        return self.cost.fold_fuel / max(1, self.cost.events)

    @property
    def micros_per_event(self) -> float:
        """Microseconds for one event on this machine, on average."""
        return self.cost.fold_seconds * 1_000_000 / max(1, self.cost.events)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        cost = self.cost
        snapshot = {"parts": cost.snapshot_parts, "bytes": cost.snapshot_bytes}
        return {
            "passed": self.passed,
            "events": cost.events,
            "batches": cost.batches,
            "fuel_per_event": round(self.fuel_per_event),
            "micros_per_event": round(self.micros_per_event, 3),
            "memory_bytes": cost.memory_bytes,
            "snapshot": {"none": self.no_snapshot} if self.no_snapshot else snapshot,
            "questions": [_asked_json(asked) for asked in self.questions],
            "failure": None
            if self.failure is None
            else {"event": self.failure[0], "reason": self.failure[1]},
            "checks": [_check_json(check) for check in self.checks],
        }


def make_report(subject: Subject, seed: int) -> Report:
    """Run a view straight, and then on every other way.

    Raises:
        Aborted: this machine was too slow, or lacks memory.
    """
    player = Player(subject)
    outcome = player.play(STRAIGHT, len(subject.trail.payloads))
    if outcome.reason:
        return Report(player.cost, (), "", _locate(subject, outcome), ())
    checks = tuple(check_all(subject, outcome, seed))
    return Report(player.cost, tuple(player.asked), outcome.no_snapshot, None, checks)


def _locate(subject: Subject, outcome: Outcome) -> tuple[int | None, str]:
    """Find the one event of the batch that failed, as the server does before it gives the view up."""
    if outcome.failed_at is None:
        return None, outcome.reason
    return find_failure(subject, outcome.failed_at) or (
        None,
        f"{outcome.reason}; but folded one by one the events of that batch do not fail",
    )


def _asked_json(asked: Asked) -> dict[str, Any]:
    about = {"query": asked.query, "bytes": len(asked.body), "fuel": asked.fuel}
    about["milliseconds"] = round(asked.seconds * 1000, 3)
    if asked.refused:
        return {**about, "refused": asked.refused}
    try:
        return {**about, "answer": json.loads(asked.body)}
    except (ValueError, RecursionError):
        return {**about, "text": asked.body.decode(errors="backslashreplace")}


def _check_json(check: Check) -> dict[str, Any]:
    about = {"name": check.name, "says": check.says, "passed": check.passed}
    about |= {"skipped": check.skipped} if check.skipped else {}
    return about | ({} if check.difference is None else {"difference": _difference_json(check.difference)})


def _difference_json(found: Difference) -> dict[str, Any]:
    return {
        "event": found.event,
        "what": found.what,
        "offset": found.offset,
        "straight": found.expected.decode(errors="backslashreplace"),
        "otherwise": found.found.decode(errors="backslashreplace"),
    }
