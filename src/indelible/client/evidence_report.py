"""The report in an evidence file: whether what the log's key attests is of the files beside it.

Nothing is folded here: `recompute` does that, where the engine is installed.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from indelible.client.claims import Claim, check_signed, when
from indelible.client.evidence_parts import Manifest, ReportSheet, window_of
from indelible.notes import report as report_notes
from indelible.notes.checkpoint import Checkpoint
from indelible.notes.evidence import REPORT, REPORT_CONFIG, REPORT_REQUEST, REPORT_SIGNATURE, REPORT_VIEW
from indelible.notes.note import parse_note
from indelible.notes.report import (
    NO_ERASURES,
    OPEN_FROM_MICROS,
    Asked,
    Attestation,
    Pairs,
    parse_asked,
    parse_attestation,
    request_sha256,
    view_question,
)
from indelible.notes.statements import KeyHistory

_SHOWN = 300  # characters of a question


class ReportParts(NamedTuple):
    """The files of a report, parsed; nothing of them is checked yet."""

    said: Attestation
    signature: bytes
    asked: Asked
    request_sha256: str
    config: str
    component: bytes
    result: bytes


def parse_report(content: Mapping[str, bytes]) -> ReportParts:
    """Read the files of a report.

    Raises:
        ValueError: one is malformed; names it.
    """
    asked = parse_asked(content[REPORT_REQUEST])
    try:
        config = content[REPORT_CONFIG].decode()
    except UnicodeDecodeError:
        raise ValueError(f"{REPORT_CONFIG} is not UTF-8") from None
    signature = content[REPORT_SIGNATURE]
    said = parse_attestation(parse_note(signature).text)
    digest = request_sha256(asked)
    return ReportParts(said, signature, asked, digest, config, content[REPORT_VIEW], content[REPORT])


def init_facts(sheet: Manifest) -> Pairs:
    """What a view is told of its log when it starts."""
    return report_notes.init_facts(sheet.log.log_id, sheet.log.name, sheet.log.origin)


def check_report(
    report: ReportParts, sheet: Manifest, head: Checkpoint, trusted: Sequence[KeyHistory]
) -> Iterator[Claim]:
    """Whether the attestation is signed, and is of this head, these events and these files."""
    yield check_signed(report.signature, head, trusted, "the attestation of the report")
    wrong = next(_disagreements(report, sheet, head), None)
    if wrong is not None:
        yield Claim("refuted", f"The report is not what was attested: {wrong}.")
        return
    said = report.said
    files = f"{REPORT}, {REPORT_VIEW}, {REPORT_CONFIG} and {REPORT_REQUEST}"
    yield Claim(
        "proved",
        f"The attestation of {when(said.time)} is of that head, of {_folded(said, sheet)}, and of {files} as "
        f"they are (SHA-256). The report has {len(report.result)} bytes, SHA-256 {said.result_sha256}.",
    )
    yield Claim("stated", _question(report, sheet))


def _folded(said: Attestation, sheet: Manifest) -> str:
    if said.last < said.first:
        return "no event"
    events = f"the events {said.first} to {said.last}"
    if sheet.window is not None:
        return f"{events}, those of the window alone"
    return f"{events}, all under it" if (said.first, said.last) == (1, said.size) else f"{events} alone"


def _disagreements(report: ReportParts, sheet: Manifest, head: Checkpoint) -> Iterator[str]:
    said = report.said
    if (said.origin, said.size, said.root) != (head.origin, head.size, head.root):
        yield "it is of another head"
    if (said.first, said.last) != (sheet.first_sequence, sheet.last_sequence):
        yield f"the events {said.first} to {said.last} were folded, and those of the file are others"
    if (said.erasures, said.erasures_sha256) != (0, NO_ERASURES):
        yield "it speaks of erasures, which this program does not know"
    yield from _other_files(report)
    yield from _other_facts(report, sheet)
    if sheet.report is None:
        yield "the cover sheet does not speak of a report"
    else:
        yield from _other_words(said, sheet.report, sheet)


def _other_files(report: ReportParts) -> Iterator[str]:
    said = report.said
    found = (
        (REPORT_VIEW, said.view_sha256, _sha256(report.component)),
        (REPORT_CONFIG, said.config_sha256, _sha256(report.config.encode())),
        (REPORT_REQUEST, said.request_sha256, report.request_sha256),
        (REPORT, said.result_sha256, _sha256(report.result)),
    )
    for name, attested, digest in found:
        if attested != digest:
            yield f"{name} is another one"


def _other_facts(report: ReportParts, sheet: Manifest) -> Iterator[str]:
    """A view may have been told something false, and then answers what is false in good faith."""
    _, given, _ = view_question(report.asked)
    if not given:
        return
    facts = dict(given)
    if len(facts) != len(given):
        yield "the view was told a fact twice"
    wanted = {**dict(init_facts(sheet)), "at-sequence": str(report.said.last)}
    for name, value in wanted.items():
        if facts.get(name) != value:
            yield f"the view was told another {name}"
    if sheet.window is not None and not _is_window(facts, *(window_of(sheet.window) or (None, None))):
        yield "the events of another window were folded than the one that was asked for"


def _is_window(facts: Mapping[str, str], low: int | None, high: int | None) -> bool:
    """Whether a question is about a window (µs); a bound that no event can be beyond counts as none."""
    asked_low, asked_high = facts.get("window-from"), facts.get("window-to")
    low_fits = asked_low is None or (_MICROS.match(asked_low) is not None and int(asked_low) <= 0)
    high_fits = asked_high is None or (
        _MICROS.match(asked_high) is not None and int(asked_high) >= OPEN_FROM_MICROS
    )
    return (low_fits if low is None else asked_low == str(low)) and (
        high_fits if high is None else asked_high == str(high)
    )


_MICROS = re.compile(r"-?[0-9]{1,18}\Z", re.ASCII)


def _other_words(said: Attestation, words: ReportSheet, sheet: Manifest) -> Iterator[str]:
    told = (words.interface, words.view_sha256, words.config_sha256, words.result_sha256)
    if told != (said.interface, said.view_sha256, said.config_sha256, said.result_sha256):
        yield "the cover sheet names another view, configuration or result"
    if words.fold != ("all" if sheet.window is None else "window"):
        yield "the cover sheet says otherwise which events were folded"


def _question(report: ReportParts, sheet: Manifest) -> str:
    words = sheet.report
    name = f'"{words.view}" version {words.version}' if words else "a view"
    params, given, body = view_question(report.asked)
    asked = [f"{key}={value}" for key, value in params]
    window = [f"{key}={dict(given)[key]}" for key in _SAID if key in dict(given)]
    shown = " ".join([*window, *asked]) or "nothing more"
    more = f", with a body of {len(body.encode())} bytes" if body else ""
    if not given:
        shown, more = "the bytes of request.json", ""
    return (
        f"In the server's words the view is {name} (component SHA-256 {report.said.view_sha256}); it was "
        f"asked {shown[:_SHOWN]}{'…' if len(shown) > _SHOWN else ''}{more}."
    )


_SAID = ("window-text-after", "window-text-before", "tz", "basis")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
