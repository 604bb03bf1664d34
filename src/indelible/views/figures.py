"""What a view has cost so far in this process, for the metrics."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from indelible.telemetry import ViewFigures

if TYPE_CHECKING:
    from indelible.views.follower import Follower


class Figures:
    """Counts of one view, since it was first in memory here.

    Plain numbers: written by the thread that has the view's turn, read by whoever shows them.
    """

    __slots__ = ("events", "fold_seconds", "fuel", "queries", "query_seconds")

    def __init__(self) -> None:
        self.events = 0
        self.fold_seconds = 0.0
        self.fuel = 0  # of folding and of answering
        self.queries = 0
        self.query_seconds = 0.0

    def folded(self, events: int, seconds: float, fuel: int) -> None:
        """Count a batch."""
        self.events += events
        self.fold_seconds += seconds
        self.fuel += fuel

    def answered(self, seconds: float, fuel: int) -> None:
        """Count a question, however it ended."""
        self.queries += 1
        self.query_seconds += seconds
        self.fuel += fuel


def shown(followers: Collection["Follower"], most: int) -> Iterator[ViewFigures]:
    """The figures of the views that were used last, at most so many, of those that were ever in memory."""
    used = [each for each in followers if each.resident or each.figures.events or each.figures.queries]
    for each in sorted(used, key=lambda one: -one.last_used)[:most]:
        view, figures = each.deployment, each.figures
        yield ViewFigures(
            log_id=dict(view.facts).get("log-id", ""),
            view_id=view.view_id,
            version=view.version,
            events=figures.events,
            fold_seconds=figures.fold_seconds,
            fuel=figures.fuel,
            queries=figures.queries,
            query_seconds=figures.query_seconds,
            memory_bytes=each.size_hint_bytes if each.resident else 0,
            behind=each.behind,
        )
