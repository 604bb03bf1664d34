"""Rates and counts a key: appends and queries a second (off by default), long polls at once."""

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from indelible.model.errors import Problem
from indelible.model.limits import Limits

CACHED_BUCKETS = 10_000


class _Buckets:
    """One token bucket a key, which holds a second's worth."""

    def __init__(self, per_second: int, what: str) -> None:
        self._per_second = per_second
        self._what = what
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key_id: str) -> None:
        if not self._per_second:
            return
        now = time.monotonic()
        tokens, since = self._buckets.get(key_id, (float(self._per_second), now))
        tokens = min(float(self._per_second), tokens + (now - since) * self._per_second)
        if tokens < 1:
            raise Problem(
                "rate_limited",
                f"at most {self._per_second} {self._what} a second with this key",
                limit=self._per_second,
                retry_after=1,
            )
        self._buckets[key_id] = (tokens - 1, now)
        if len(self._buckets) > CACHED_BUCKETS:
            self._buckets.popitem(last=False)


class Rates:
    """What a key may do a second, and at once."""

    def __init__(self, limits: Limits) -> None:
        self._appends = _Buckets(limits.appends_per_second_per_key, "appends")
        self._queries = _Buckets(limits.queries_per_second_per_key, "queries")
        self._polls: dict[str, int] = {}
        self._polls_limit = limits.long_polls_per_key

    def append(self, key_id: str) -> None:
        """Count an append; raises `rate_limited`."""
        self._appends.take(key_id)

    def query(self, key_id: str) -> None:
        """Count a query; raises `rate_limited`."""
        self._queries.take(key_id)

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
