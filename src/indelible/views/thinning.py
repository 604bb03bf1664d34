"""Which snapshots of a version to keep: the newest, and behind them ever fewer the older they get. Pure."""

from collections.abc import Iterable


def kept(sequences: Iterable[int], newest: int, older: int) -> set[int]:
    """Of the snapshots at these sequences, those to keep: the `newest` newest, and at most `older` others.

    A question about event N replays from the kept snapshot before it, or from nothing. So of the others
    the one goes whose gap, without it, is the smallest for its age (the gap's distance from the newest):
    what is long ago is replayed in longer runs than what was yesterday. Which are kept depends on those
    stored alone, so that it does not matter which node asks, and one that has gone is never missed.
    """
    ordered = sorted(set(sequences))
    past, recent = ordered[: max(0, len(ordered) - newest)], ordered[-newest:]
    while len(past) > older:
        head = recent[-1]
        starts = [0, *past]
        ends = [*past[1:], recent[0]]
        thinnest = min(range(len(past)), key=lambda at: (ends[at] - starts[at]) / (head - starts[at]))
        del past[thinnest]
    return {*past, *recent}
