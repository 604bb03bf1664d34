"""The segments of an archived log: the manifest names the last one, and each names the one before it."""

from collections.abc import Iterator
from typing import NamedTuple

from indelible.log.archive_manifest import ArchivedLog, ArchiveError
from indelible.log.segment import HEADER_BYTES, Header, Ref, SegmentError, decode_header
from indelible.store.objects import Objects, ObjectsDiffer, get_exact


class Fetched(NamedTuple):
    """A segment as it stands in the objects, compared with its name; its events are not read yet."""

    ref: Ref
    header: Header
    data: bytes


def fetched(objects: Objects, ref: Ref) -> bytes:
    """An archived object.

    Raises:
        ArchiveError: it is missing, or was changed.
        OSError: the objects cannot be read.
    """
    try:
        return get_exact(objects, ref.key, ref.sha256, ref.version)
    except ObjectsDiffer as error:
        raise ArchiveError(str(error)) from None


def segments_of(objects: Objects, archived: ArchivedLog, after: int = 0) -> Iterator[Fetched]:
    """The segments of a log that hold events after sequence `after`, the first one first.

    Their first lines are read before the first is given, their events one by one. Raises as `fetched`, and
    names the segment that was changed.
    """
    refs = [(archived.last, archived.size)]
    headers: list[Header] = []
    try:
        while True:
            headers.append(_header(objects, archived, *refs[-1]))
            if headers[-1].previous is None or headers[-1].first - 1 <= after:
                break
            refs.append((headers[-1].previous, headers[-1].first - 1))
        for (ref, _), header in zip(reversed(refs), reversed(headers), strict=True):
            yield Fetched(ref, header, fetched(objects, ref))
    except ArchiveError:
        # A segment that was changed may have named the ones before it wrongly: the last such is to blame.
        for ref, _ in refs:
            fetched(objects, ref)
        raise


def _header(objects: Objects, archived: ArchivedLog, ref: Ref, expected: int) -> Header:
    """What the first line of a segment says: it ends at event `expected`, and names the one before it."""
    if not ref.key.startswith(f"events/{archived.log_id}/"):
        raise ArchiveError(f"{ref.key} is no segment of log {archived.log_id}")
    data = objects.start(ref.key, HEADER_BYTES, ref.version)
    if data is None:
        raise ArchiveError(f"{ref.key} is missing")
    try:
        header = decode_header(data)
    except SegmentError as error:
        raise ArchiveError(f"{ref.key} was changed: {error}") from None
    if header.last != expected or header.origin != archived.origin:
        raise ArchiveError(f"{ref.key} is not the segment that ends at event {expected} of its log")
    if (header.previous is None) != (header.first == 1):
        raise ArchiveError(f"{ref.key} does not begin where the segment before it ends")
    return header
