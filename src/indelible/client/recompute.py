"""Recomputing a report: the events of an evidence file are folded again, and the bytes compared.

The only module here that needs the engine (the extra `reports`), which it imports where it is used. The
component comes from the file and is hostile: it is compiled in a child process with limits, into a folder
that goes away, and runs under fuel, time and memory.
"""

import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from indelible.client.claims import Claim
from indelible.client.evidence_events import micros_of
from indelible.client.evidence_parts import Files, Manifest
from indelible.client.evidence_report import ReportParts, init_facts
from indelible.client.strictzip import read_pieces
from indelible.model.limits import Limits
from indelible.notes.evidence import EVENTS, REPORT, Line, decode_lines, payload_of
from indelible.notes.report import machine_input, view_question

if TYPE_CHECKING:  # the engine may not be installed
    from indelible.fold.types import Answer, Batch

_BATCH_EVENTS = 700  # another number than the server's: a report does not depend on it
_AROUND = 20  # bytes that are shown of a difference

_NOT_RECOMPUTED = "That the report follows from the events was not recomputed"


def recompute(
    files: Files, report: ReportParts, sheet: Manifest, limits: Limits, told: Callable[[int, int], object]
) -> Claim:
    """Fold the events of a file, which were checked before, and compare the answer with the report.

    `told` is called with the bytes of events that were read, and of how many.
    """
    try:
        import indelible.fold.host  # noqa: F401, PLC0415 - the engine is an extra
        from indelible.fold.errors import FoldError  # noqa: PLC0415 - same
    except ImportError:
        return _unproved("the engine is not installed; pip install 'indelible[reports]' brings it")
    try:
        with tempfile.TemporaryDirectory(prefix="indelible-verify-") as folder:
            answer = _answer(Path(folder), files, report, sheet, limits, told)
    except _Other as other:
        return Claim("refuted", f"The report does not follow from the events: {other}.")
    except FoldError as error:
        return _failed(error)
    except (OSError, ValueError, MemoryError) as error:
        return _unproved(f"this machine could not: {error}")
    return _compared(answer, report, sheet)


class _Other(Exception):
    """The component is not what was attested."""


def _answer(
    folder: Path,
    files: Files,
    report: ReportParts,
    sheet: Manifest,
    limits: Limits,
    told: Callable[[int, int], object],
) -> "Answer":
    from indelible.fold.afresh import Afresh  # noqa: PLC0415 - the engine is an extra
    from indelible.fold.compile import Compiler  # noqa: PLC0415 - same
    from indelible.fold.host import Host  # noqa: PLC0415 - same
    from indelible.fold.types import Question, World  # noqa: PLC0415 - same

    compiled = Compiler(folder, limits).compile(report.component)
    with Host(folder, limits) as host:
        if host.interface(compiled) != report.said.interface:
            raise _Other("view.wasm has another interface than the one attested")
        given = machine_input(report.asked)
        if (given is None) != (compiled.world is World.VIEW):
            raise _Other("the question is not one for a view of this world")
        params, said, body = view_question(report.asked)
        question = Question(params, body, said) if given is None else Question((), given, ())
        facts = init_facts(sheet) if given is None else ()
        run = Afresh(host, compiled, report.config, facts, limits.report_check_seconds)
        return run.answer(lambda: _batches(files, limits, told), question)


def _failed(error: Exception) -> Claim:
    from indelible.fold.afresh import FoldFailed  # noqa: PLC0415 - it is there where this is called
    from indelible.fold.errors import QueryRefused  # noqa: PLC0415 - same

    if isinstance(error, QueryRefused):
        says = f"asked again, the view refuses the question ({error})"
        return Claim("refuted", f"The report does not follow from the events: {says}.")
    if isinstance(error, FoldFailed) and error.refused:
        where = f"event {error.sequence}" if error.sequence else "to start"
        return Claim(
            "refuted", f"The report does not follow from the events: the view refuses {where} ({error})."
        )
    what = f"at event {error.sequence}: {error}" if isinstance(error, FoldFailed) else str(error)
    return _unproved(
        f"the view or a limit of this machine ended it ({what}). Limits are raised as docs/limits.md has it"
    )


def _unproved(why: str) -> Claim:
    return Claim("unproved", f"{_NOT_RECOMPUTED}: {why}.")


# ---------------------------------------------------------------------- events


def _batches(files: Files, limits: Limits, told: Callable[[int, int], object]) -> "Iterator[Batch]":
    """The events of the file, in batches under the limits of one."""
    member = files.members[EVENTS]
    waiting: list[Line] = []
    size = 0
    for line in _lines(files, told, member.size):
        length = len(line.payload) if isinstance(line.payload, str) else len(str(line.payload_base64))
        if waiting and (len(waiting) >= _BATCH_EVENTS or size + length > limits.fold_batch_bytes):
            yield _batch(waiting)
            waiting, size = [], 0
        waiting.append(line)
        size += length
    if waiting:
        yield _batch(waiting)


def _lines(files: Files, told: Callable[[int, int], object], size: int) -> Iterator[Line]:
    rest: list[bytes] = []
    read = 0
    for piece in read_pieces(files.file, files.members[EVENTS]):
        read += len(piece)
        end = piece.rfind(b"\n") + 1
        if end:
            yield from decode_lines(b"".join([*rest, piece[:end]]))
            rest = []
        rest.append(piece[end:])
        told(read, size)


def _batch(lines: list[Line]) -> "Batch":
    from indelible.fold.types import Batch  # noqa: PLC0415 - the engine is an extra

    writers = list(dict.fromkeys(line.writer for line in lines))
    places = {writer: place for place, writer in enumerate(writers)}
    return Batch(
        lines[0].sequence,
        [micros_of(line.time) for line in lines],
        [payload_of(line) for line in lines],
        writers,
        [places[line.writer] for line in lines] if len(writers) > 1 else (),
    )


# ---------------------------------------------------------------------- the answer


def _compared(answer: "Answer", report: ReportParts, sheet: Manifest) -> Claim:
    found, attested = answer.body, report.result
    words = sheet.report
    if found == attested and words is not None and words.content_type != answer.content_type:
        says = f"the cover sheet calls it {words.content_type}, the view {answer.content_type}"
        return Claim("refuted", f"The report is called what it is not: {says}.")
    if found == attested:
        return Claim(
            "proved", f"Recomputing the report from the events gives the same {len(found)} bytes ({REPORT})."
        )
    same = _same(found, attested)
    here, engine = f"wasmtime {version('wasmtime')}", words.engine if words else ""
    says = (
        f"Recomputing the report from the events gives other bytes: {len(found)}, not {len(attested)}, and "
        f"from byte {same + 1} on {_shown(found, same)}, not {_shown(attested, same)}."
    )
    if engine != here:
        says += f" It was recomputed with {here}, and made with {engine or 'an engine that is not named'}."
    return Claim("refuted", says)


def _same(one: bytes, other: bytes) -> int:
    """How many bytes they begin with in common."""
    shorter = min(len(one), len(other))
    return next((at for at in range(shorter) if one[at] != other[at]), shorter)


def _shown(data: bytes, at: int) -> str:
    return ascii(data[at : at + _AROUND].decode(errors="replace")) if at < len(data) else "nothing"
