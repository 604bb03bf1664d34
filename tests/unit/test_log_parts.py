"""What is committed together is cut without losing, doubling or reordering a call."""

import asyncio

from tests.harness.logs import WRITERS

from indelible.log.parts import Part
from indelible.log.pending import Append, Change, Ticket
from indelible.model.errors import Problem


def append(log: int, number: int) -> Append:
    """An append that tells which it is."""
    return Append(log, 1, WRITERS[0], (b"%d" % number,), 1, None, b"", None)


def whole(loop: asyncio.AbstractEventLoop, sizes: dict[int, int], changes: int) -> Part:
    """A part with so many appends a log, and changes."""
    group = {
        log: [(each := append(log, at), Ticket(each, loop.create_future())) for at in range(size)]
        for log, size in sizes.items()
    }
    change = Change(lambda _transaction, _now: (None, ()))
    return Part(group, [(change, Ticket(change, loop.create_future())) for _ in range(changes)], wait=True)


def test_halves_of_halves_end_in_single_calls_in_order() -> None:
    """Changes come before appends, as in one commit; each log's appends stay in their order."""
    loop = asyncio.new_event_loop()
    try:
        part = whole(loop, {1: 5, 2: 1, 3: 4}, 3)
        waiting, singles = [part], []
        while waiting:
            first = waiting.pop(0)
            if first.calls == 1:
                singles.append(first)
            else:
                waiting = [*first.halves(), *waiting]
        assert all(single.wait for single in singles)
        told = [ticket for single in singles for ticket, _ in single.refused(Problem("internal", "x"))]
        assert told[:3] == [ticket for _, ticket in part.changes]
        assert told[3:] == [ticket for appends in part.group.values() for _, ticket in appends]
        assert part.calls == len(told) == 13
    finally:
        loop.close()
