"""What a view in Python is written with: `docs/views.md` shows it from the first line on.

    from indelible_view import AuditView, Event, Question, export


    class HowMany(AuditView):
        title = "How many"

        def init(self, config):
            self.events = 0

        def append(self, event: Event):
            self.events += 1

        def query(self, question: Question):
            return question.table(["events"], [[self.events]])


    View = export(HowMany)

Needs Python alone to be imported; only `export` looks for what `componentize-py` brings to a build.
"""

from indelible_view.binding import export
from indelible_view.events import Event, Mark
from indelible_view.parameters import Choice, Flag, Parameter, Text, Whole
from indelible_view.question import Answer, Question, Window
from indelible_view.refusal import Refusal
from indelible_view.times import to_datetime, to_iso
from indelible_view.view import AuditView, Log

__all__ = [
    "Answer",
    "AuditView",
    "Choice",
    "Event",
    "Flag",
    "Log",
    "Mark",
    "Parameter",
    "Question",
    "Refusal",
    "Text",
    "Whole",
    "Window",
    "export",
    "to_datetime",
    "to_iso",
]
