"""Who did what: how many actions each actor took, within a window of time."""

from typing import Any

from indelible_view import Answer, AuditView, Event, Question, Text, Whole, export, to_iso


class WhoDidWhat(AuditView):
    """Keeps a row for each event, and counts those that a question asks for."""

    title = "Who did what"
    description = "Actions by actor, the busiest first."
    parameters = (
        Text("actor", description="only this actor", repeated=True),
        Whole("limit", least=1, most=10_000, default=1_000, description="the most rows"),
    )

    def init(self, config: dict[str, Any]) -> None:
        """Start from nothing: attributes are the state, and are kept by themselves."""
        self.rows: list[list[Any]] = []

    def append(self, event: Event) -> None:
        """Keep who did it, and when. What is no JSON object is counted by itself, and skipped here."""
        if event.readable:
            self.rows.append([event.mark, event.id("actor")])

    def query(self, question: Question) -> Answer:
        """Count the events inside the window, by actor."""
        wanted = question["actor"]
        found: dict[str | None, list[int]] = {}  # actions, first and last time of receipt
        for mark, actor in self.rows:
            if (not wanted or actor in wanted) and question.matches(mark):
                count = found.setdefault(actor, [0, mark[1], mark[1]])
                count[0] += 1
                count[2] = mark[1]
        busiest = sorted(found.items(), key=lambda row: (-row[1][0], row[0] or ""))
        rows = [[actor, count, to_iso(first), to_iso(last)] for actor, (count, first, last) in busiest]
        return question.table(["actor", "actions", "first", "last"], rows, limit=question["limit"])


View = export(WhoDidWhat)  # the name that the build looks for
