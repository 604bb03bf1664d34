"""The parts of an evidence file as they are written (docs/formats.md, Evidence), parsed and not believed."""

from typing import BinaryIO, NamedTuple, TypeVar

import msgspec

from indelible.client.results import NamedKey, Window
from indelible.client.strictzip import Member, ZipError, read_members, read_pieces
from indelible.model.instants import parse_instant
from indelible.model.limits import MIB, Limits
from indelible.notes.evidence import CLOSING, EVENTS, MANIFEST, ORDER, REPORT_FILES, REQUIRED, SIGNATURE

_T = TypeVar("_T")


class FileDigest(msgspec.Struct, frozen=True):
    """What the cover sheet says of a file: its SHA-256 in hex, and its size."""

    sha256: str
    bytes: int


class LogName(msgspec.Struct, frozen=True):
    """Which log the cover sheet is about."""

    log_id: str
    name: str
    origin: str


class AskedBy(msgspec.Struct, frozen=True):
    """Who asked for the file, in the server's words."""

    key_id: str
    label: str


class HeadText(msgspec.Struct, frozen=True):
    """A tree's size and its root in hex."""

    size: int
    root: str


class ReportSheet(msgspec.Struct, frozen=True):
    """What the cover sheet says of a report."""

    view: str
    version: int
    interface: str
    view_sha256: str
    config_sha256: str
    result_sha256: str
    fold: str
    content_type: str
    engine: str = ""


class Manifest(msgspec.Struct, frozen=True):
    """The cover sheet."""

    format: str
    software: str
    deployment: str
    workspace: str
    log: LogName
    query: str
    basis: str
    time_zone: str
    window: Window | None
    asked_by: AskedBy
    made: str
    events: int
    first_sequence: int
    last_sequence: int
    gaps: int
    head: HeadText
    files: dict[str, FileDigest]
    window_closed: bool | None = None
    report: ReportSheet | None = None


class RangeClosing(msgspec.Struct, frozen=True):
    """`proof.json`: the hashes that close the tree around the events, and a window's neighbours."""

    origin: str
    first: int
    last: int
    size: int
    root: str
    window: Window | None
    before: str | None
    after: str | None
    hashes: list[str]


class AuditProof(msgspec.Struct, frozen=True):
    """`audit-proof.json`: where the lines of `audit.ndjson` stand in the log `_audit`."""

    origin: str
    size: int
    root: str
    checkpoint: str
    keys: list[NamedKey]
    proofs: list[list[str]]


class Files(NamedTuple):
    """An evidence file that is open, with the zip's structure and its names checked."""

    file: BinaryIO
    members: dict[str, Member]

    def read(self, name: str) -> bytes:
        """Return a file inside, one of those that are bounded. Raises ZipError."""
        return b"".join(read_pieces(self.file, self.members[name]))


def open_files(file: BinaryIO, limits: Limits) -> Files:
    """Check a zip's structure, names and sizes; nothing of its content is read yet.

    Raises:
        ZipError: it is not as the format has it, or over a limit.
    """
    found = read_members(file, len(ORDER))
    names = [member.name for member in found]
    strange = sorted(set(names) - set(ORDER))
    if strange:
        raise ZipError(f"{strange[0]} does not belong into it")
    if names != [name for name in ORDER if name in names]:
        raise ZipError("its files are there twice, or in another order")
    missing = [name for name in _wanted(names) if name not in names]
    if missing:
        raise ZipError(f"{missing[0]} is not in it")
    for member in found:
        _check_size(member, limits)
    return Files(file, {member.name: member for member in found})


def _wanted(names: list[str]) -> list[str]:
    """What has to be there: with a report all files of one, and then the events may be left out together."""
    wanted = [*REQUIRED, MANIFEST, SIGNATURE]
    if not any(name in names for name in REPORT_FILES):
        return wanted
    if EVENTS not in names and CLOSING not in names:
        wanted = [name for name in wanted if name not in {EVENTS, CLOSING}]
    return [*wanted, *REPORT_FILES]


def _check_size(member: Member, limits: Limits) -> None:
    limit = limits.evidence_events_bytes if member.name == EVENTS else limits.evidence_part_bytes
    if member.size > limit:
        raise ZipError(f"{member.name} has {member.size} bytes, the limit is {limit}")
    ratio = limits.evidence_ratio
    if member.size > MIB and member.size > ratio * member.stored:
        raise ZipError(f"{member.name} is more than {ratio} times as large as it is stored")


def parse(name: str, data: bytes, kind: type[_T]) -> _T:
    """Read a JSON file inside.

    Raises:
        ValueError: it is malformed; names the file.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is malformed: {error}") from None


def window_of(window: Window | None) -> tuple[int | None, int | None] | None:
    """Return a window in microseconds; raises ValueError."""
    if window is None:
        return None
    low, high = (None if text is None else parse_instant(text) for text in (window.from_, window.to))
    return low, high
