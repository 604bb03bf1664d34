"""How much linear memory an instance has, read from the process's own map of its address space.

The engine tells nobody the size of a component's memory. But each memory has a reservation of 4 GiB that
never moves: an accessible run at its start, then some GiB without access. Such runs that appear while an
instance is made are its memories (proc(5), /proc/pid/maps). Two instances made at the same moment could be
taken for one another, so the making is watched one at a time; if another takes longer than half a second,
the watch goes on beside it, and the sum over both is still right.

With a thousand instances the map has thousands of lines: only what is new in it, or the lines of one memory,
are looked at closely. Where the map cannot be read, or a memory is not found, its whole share of the limit is
counted.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_INACCESSIBLE_BYTES = 2 << 30
_WAIT_SECONDS = 0.5

_watching = threading.Lock()


def parse_regions(lines: Sequence[bytes], known: Collection[bytes] = ()) -> Mapping[int, int]:
    """Return start and size in bytes of every run that looks like a linear memory.

    `lines` are those of /proc/self/maps: `start-end perms …`, ordered by address. Only the few without access
    are looked at closely, and what stands right before them; of these, those that are not `known` lines.
    """
    regions = {}
    for place, line in enumerate(lines):
        if b" ---p " not in line or line in known:
            continue
        start, end = _span(line)
        if end - start < _INACCESSIBLE_BYTES:
            continue
        first = _run_before(lines, place, start)
        if first < start:
            regions[first] = start - first
    return regions


def size_at(text: bytes, start: int) -> int | None:
    """Return the size in bytes of the memory that begins at `start`, by the text of the map; None without."""
    at = text.find(b"\n%x-" % start) + 1
    end = start
    while at > 0:
        stop = text.find(b"\n", at)
        line = text[at:stop]
        first, last = _span(line)
        if first != end:
            return None
        if b" ---p " in line:
            return end - start if end > start and last - first >= _INACCESSIBLE_BYTES else None
        if b" rw" not in line:
            return None
        end, at = last, stop + 1
    return None


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


def _map() -> bytes:
    """The map's text, after a line feed: so each line begins with one."""
    try:
        return b"\n" + _MAPS.read_bytes()
    except OSError:
        return b"\n"


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
            before = _map()
            yield
            after = _map().splitlines()
        appeared = parse_regions(after, frozenset(before.splitlines()))
        # One that was there before has only grown: it is another's.
        self._starts = frozenset(start for start in appeared if b"\n%x-" % start not in before)

    def size(self, memories: int, share_bytes: int) -> int:
        """Return the bytes in use; of `memories` allowed ones, those not found count as `share_bytes`."""
        text = _map()
        found = [size for start in self._starts if (size := size_at(text, start)) is not None]
        return sum(found) + max(0, memories - len(found)) * share_bytes
