"""A queue that is fair among groups: pure, not thread-safe."""

from collections import OrderedDict, deque
from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Takes items of groups; gives those of the most urgent class first, the groups of a class in turns.

    A group with a thousand items waits as long for its next turn as one with a single item. So that nothing
    starves, each `patience`-th item comes from the least urgent class that has any.
    """

    def __init__(self, classes: int, patience: int = 8) -> None:
        self._classes: list[OrderedDict[Hashable, deque[Item]]] = [OrderedDict() for _ in range(classes)]
        self._patience = patience
        self._taken = 0

    def push(self, urgency: int, group: Hashable, item: Item) -> None:
        """Add an item; urgency 0 is the most urgent class."""
        self._classes[urgency].setdefault(group, deque()).append(item)

    def pop(self, busy: Collection[Hashable] = (), classes: int | None = None) -> Item | None:
        """Take the next item of a group that is not in `busy`, of the first `classes` (default: all).

        None when there is none.
        """
        self._taken += 1
        patient = self._taken % self._patience == 0
        open_ones = self._classes[:classes]
        for groups in reversed(open_ones) if patient else open_ones:
            group = next((each for each in groups if each not in busy), None)
            if group is not None:
                return self._take(groups, group)
        return None

    @staticmethod
    def _take(groups: OrderedDict[Hashable, deque[Item]], group: Hashable) -> Item:
        items = groups[group]
        item = items.popleft()
        if items:
            groups.move_to_end(group)
        else:
            del groups[group]
        return item
