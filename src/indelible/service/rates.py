"""Rates of a key and of its workspace: appends and queries a second (off by default), long polls at once."""

import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from indelible.model.errors import Problem
from indelible.model.limits import Limits

CACHED_BUCKETS = 10_000


class _Buckets:
    """One token bucket for each key, or each workspace, which holds a second's worth."""

    def __init__(self, per_second: int, what: str, whose: str) -> None:
        self._per_second = per_second
        self._what = what
        self._whose = whose
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, owner: Hashable) -> None:
        if not self._per_second:
            return
        now = time.monotonic()
        tokens, since = self._buckets.get(owner, (float(self._per_second), now))
        tokens = min(float(self._per_second), tokens + (now - since) * self._per_second)
        if tokens < 1:
            raise Problem(
                "rate_limited",
                f"at most {self._per_second} {self._what} a second {self._whose}",
                limit=self._per_second,
                retry_after=1,
            )
        self._buckets[owner] = (tokens - 1, now)
        if len(self._buckets) > CACHED_BUCKETS:
            self._buckets.popitem(last=False)


class Rates:
    """What a key may do a second and at once, and what all keys of its workspace may, at this node."""

    def __init__(self, limits: Limits) -> None:
        key, workspace = "with this key", "in this workspace"
        self._appends = _Buckets(limits.appends_per_second_per_key, "appends", key)
        self._queries = _Buckets(limits.queries_per_second_per_key, "queries", key)
        self._all_appends = _Buckets(limits.appends_per_second_per_workspace, "appends", workspace)
        self._all_queries = _Buckets(limits.queries_per_second_per_workspace, "queries", workspace)
        self._polls: dict[str, int] = {}
        self._polls_limit = limits.long_polls_per_key

    def append(self, key_id: str, workspace: int) -> None:
        """Count an append; raises `rate_limited`."""
        self._appends.take(key_id)
        self._all_appends.take(workspace)

    def query(self, key_id: str, workspace: int) -> None:
        """Count a query; raises `rate_limited`."""
        self._queries.take(key_id)
        self._all_queries.take(workspace)

    @contextmanager
    def long_poll(self, key_id: str) -> Iterator[None]:
        """Hold one of the key's long polls; raises `rate_limited` when all are held."""
        held = self._polls.get(key_id, 0)
        if held >= self._polls_limit:
            raise Problem(
                "rate_limited",
                f"at most {self._polls_limit} long polls at once with a key",
                limit=self._polls_limit,
                retry_after=1,
            )
        self._polls[key_id] = held + 1
        try:
            yield
        finally:
            self._polls[key_id] -= 1
            if not self._polls[key_id]:
                del self._polls[key_id]
