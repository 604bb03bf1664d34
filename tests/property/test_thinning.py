"""Which snapshots are kept: few, the newest always, and behind them ever fewer the older they get."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from indelible.views.thinning import kept


@given(
    st.sets(st.integers(1, 10**9), min_size=1, max_size=80),
    st.integers(1, 4),
    st.integers(0, 16),
)
def test_few_are_kept_and_the_newest_always(sequences: set[int], newest: int, older: int) -> None:
    """Nothing that is not stored, no more than the limits say, and no fewer where there are as many."""
    found = kept(sequences, newest, older)
    assert found <= sequences
    assert len(found) == min(len(sequences), newest + older)
    assert set(sorted(sequences)[-newest:]) <= found
    assert kept(found, newest, older) == found


@given(st.integers(1, 3_000), st.integers(1, 100_000))
def test_gaps_grow_with_age_and_never_beyond_it(snapshots: int, step: int) -> None:
    """A log that is snapshotted every `step` events, for long: 12 older ones suffice.

    No gap, and so no replay, is longer than 70% of how long ago it began, and the old gaps are the wide ones.
    """
    there: set[int] = set()
    for number in range(1, snapshots + 1):
        there = kept({*there, number * step}, 2, 12)
    points = [0, *sorted(there)]
    head = points[-1]
    gaps = [(after - before, head - before) for before, after in pairwise(points[:-1])]
    assert all(gap <= max(step, 0.7 * age) for gap, age in gaps)
    assert len(gaps) < 10 or sum(gap for gap, _ in gaps[:5]) >= sum(gap for gap, _ in gaps[-5:])
