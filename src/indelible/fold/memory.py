"""How much linear memory an instance has, read from the process's own map of its address space.

The engine tells nobody the size of a component's memory. But each memory has a reservation of 4 GiB that
never moves: an accessible run at its start, then some GiB without access. Such runs that appear while an
instance is made are its memories (proc(5), /proc/pid/maps). Two instances made at the same moment could be
taken for one another, so the making is watched one at a time; if another takes longer than half a second,
the watch goes on beside it, and the sum over both is still right.

Where the map cannot be read, or a memory is not found, its whole share of the limit is counted.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_INACCESSIBLE_BYTES = 2 << 30
_WAIT_SECONDS = 0.5

_watching = threading.Lock()


def parse_regions(lines: Sequence[bytes]) -> Mapping[int, int]:
    """Return start and size in bytes of every run that looks like a linear memory.

    `lines` are those of /proc/self/maps: `start-end perms …`, ordered by address. Only the few without access
    are looked at closely, and what stands right before them.
    """
    regions = {}
    for place, line in enumerate(lines):
        if b" ---p " not in line:
            continue
        start, end = _span(line)
        if end - start < _INACCESSIBLE_BYTES:
            continue
        first = _run_before(lines, place, start)
        if first < start:
            regions[first] = start - first
    return regions


def _span(line: bytes) -> tuple[int, int]:
    start, _, end = line.partition(b" ")[0].partition(b"-")
    return int(start, 16), int(end, 16)


def _run_before(lines: Sequence[bytes], place: int, end: int) -> int:
    """Return where the accessible run begins that ends at `end`, right before the line at `place`."""
    while place > 0:
        place -= 1
        start, stop = _span(lines[place])
        if stop != end or b" rw" not in lines[place]:
            break
        end = start
    return end


def _regions() -> Mapping[int, int]:
    try:
        return parse_regions(_MAPS.read_bytes().splitlines())
    except OSError:
        return {}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Make or free memories while nobody else does, as far as half a second's patience goes.

    A memory that is freed while another appears may leave it its very place, where it would not be noticed.
    """
    exclusive = _watching.acquire(timeout=_WAIT_SECONDS)
    try:
        yield
    finally:
        if exclusive:
            _watching.release()


class Region:
    """The memories of one instance."""

    def __init__(self) -> None:
        self._starts: frozenset[int] = frozenset()

    @contextmanager
    def observe(self) -> Iterator[None]:
        """Watch while an instance is made; the memories that appear are its own."""
        with undisturbed():
            before = _regions()
            yield
            self._starts = frozenset(_regions()) - frozenset(before)

    def size(self, memories: int, share_bytes: int) -> int:
        """Return the bytes in use; of `memories` allowed ones, those not found count as `share_bytes`."""
        regions = _regions()
        found = [regions[start] for start in self._starts if start in regions]
        return sum(found) + max(0, memories - len(found)) * share_bytes
