"""What is committed together, and how it is cut when it cannot be: one bad call takes no others with it.

Pure, and used by the committer's thread.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self, TypeVar

from indelible.log.group import Changes, Group, Outcomes
from indelible.model.errors import Problem

_T = TypeVar("_T")


class Part(NamedTuple):
    """Appends and changes for one transaction; with `wait` it waits for heads that others have locked."""

    group: Group
    changes: Changes
    wait: bool = False

    @property
    def calls(self) -> int:
        """How many calls wait for it."""
        return sum(map(len, self.group.values())) + len(self.changes)

    def halves(self) -> Iterator[Self]:
        """Two parts that hold the same in the same order, of a part of two calls or more."""
        if self.group and self.changes:
            yield self._replace(group={})
            yield self._replace(changes=())
        elif self.changes:
            for changes in _halves(self.changes):
                yield self._replace(changes=changes)
        elif len(self.group) > 1:
            for logs in _halves(list(self.group)):
                yield self._replace(group={log: self.group[log] for log in logs})
        else:
            ((log, waiting),) = self.group.items()
            for some in _halves(waiting):
                yield self._replace(group={log: list(some)})

    def refused(self, problem: Problem) -> Outcomes:
        """The same answer for all of its calls."""
        outcomes: Outcomes = [(ticket, problem) for waiting in self.group.values() for _, ticket in waiting]
        return outcomes + [(ticket, problem) for _, ticket in self.changes]


def _halves(items: Sequence[_T]) -> tuple[Sequence[_T], Sequence[_T]]:
    items = list(items)
    middle = len(items) // 2
    return items[:middle], items[middle:]
