"""States of the past: a version as it stood at one event, and versions that no longer follow their log.

Each is a follower of its own, which takes turns and room like all others, but keeps no snapshot, is not woken
by commits and is let go when nobody asks any more. Their number is bounded, for each workspace as well.
On the event loop.
"""

import time
from collections.abc import Callable, Iterable

from indelible.model.limits import Limits
from indelible.views import refusals
from indelible.views.follower import Follower
from indelible.views.types import Deployment

Key = tuple[str, int, int | None]
"""View, version, and the event that it stands at; None: the head."""


class Past:
    """Those of one process."""

    def __init__(
        self,
        make: Callable[[Deployment, int | None], Follower],
        limits: Limits,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._limits = limits
        self._now = now
        self._followers: dict[Key, Follower] = {}
        self._leaving: set[Follower] = set()

    def everyone(self) -> Iterable[Follower]:
        """All that may hold something, those on their way out included."""
        return [*self._followers.values(), *self._leaving]

    def at(self, view: Deployment, upto: int | None) -> Follower:
        """The state of a version at event `upto`, or at the head, which its replay may have yet to reach.

        Raises:
            Problem: `saturated`.
        """
        key = (view.view_id, view.version, upto)
        found = self._followers.get(key)
        if found is None:
            self._make_place(view.workspace)
            found = self._followers[key] = self._make(view, upto)
        return found

    def _make_place(self, workspace: int) -> None:
        """Let go of what was asked longest ago, of the workspace itself where it has its share."""
        ours = {key for key, each in self._followers.items() if each.deployment.workspace == workspace}
        if len(ours) >= self._limits.past_views_per_workspace:
            self._let_one_go(ours, self._limits.past_views_per_workspace)
        elif len(self._followers) >= self._limits.past_views:
            self._let_one_go(self._followers, self._limits.past_views)

    def _let_one_go(self, keys: Iterable[Key], limit: int) -> None:
        idle = [key for key in keys if not self._followers[key].is_asked]
        if not idle:
            raise refusals.too_many_pasts(limit)
        self._end(min(idle, key=lambda key: self._followers[key].last_used))

    def _end(self, key: Key) -> None:
        follower = self._followers.pop(key)
        self._leaving.add(follower)
        follower.end(forget_snapshots=False)

    def forget(self, view_id: str) -> None:
        """Let go of all states of a view that is deleted."""
        for key in [key for key in self._followers if key[0] == view_id]:
            self._end(key)

    def tend(self) -> None:
        """See to what time brings: who waits still, and what nobody asked for `past_idle_seconds`."""
        idle_since = self._now() - self._limits.past_idle_seconds
        for key, follower in list(self._followers.items()):
            if follower.last_used < idle_since and not follower.is_asked:
                self._end(key)
            else:
                follower.tend(idle_since)
        self._leaving = {each for each in self._leaving if not each.is_gone}
