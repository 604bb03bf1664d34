r"""The attestation of a report (formats.md, Report attestation): what a log's key says of a view's answer.

The text of a signed note, twelve lines:

    indelible/report/v1\n<origin>\n<size>\n<base64 root>\nfold <first> <last>\n<interface>\n
    view <sha256>\nconfig <sha256>\nrequest <sha256>\nerasures <number> <sha256>\nresult <sha256>\n<time>\n

Pure.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from indelible.model.instants import format_micros, parse_instant
from indelible.notes.strict import (
    HEX_DIGEST,
    NoteError,
    check_text,
    decode_base64,
    decode_decimal,
    decode_hash,
    encode_base64,
    lines_of,
)

FORMAT = "indelible/report/v1"
NO_ERASURES = hashlib.sha256(b"").hexdigest()
"""The digest of erasures where there are none, which is always so until erasure is built."""

_LINES = 12
_INTERFACE = re.compile(r"[a-z0-9:/-]{1,80}@[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}\Z", re.ASCII)

OPEN_FROM_MICROS = 253_402_300_800_000_000
"""The first instant after the year 9999, where RFC 3339 ends: a window up to there or later has no end."""

Pairs = Sequence[tuple[str, str]]


def init_facts(log_id: str, name: str, origin: str) -> tuple[tuple[str, str], ...]:
    """What a view is told of its log, when it starts and with every question."""
    return (("log-id", log_id), ("log-name", name), ("origin", origin))


class Attestation(NamedTuple):
    """What is signed. Digests are SHA-256 in lower-case hex; `time` is µs since 1970, by the server's clock.

    The events `first` to `last` were folded by a fresh instance, no others; `last` is `first - 1` for none.
    """

    origin: str
    size: int
    root: bytes  # 32
    first: int
    last: int
    interface: str  # of the component, in full: indelible:view/view@1.0.0
    view_sha256: str
    config_sha256: str
    request_sha256: str
    erasures: int
    erasures_sha256: str
    result_sha256: str
    time: int


def format_attestation(said: Attestation) -> str:
    """Return the text that is signed; `parse_attestation` reads it back.

    Raises:
        NoteError: a part cannot stand in a note.
    """
    lines = (
        FORMAT,
        said.origin,
        str(said.size),
        encode_base64(said.root),
        f"fold {said.first} {said.last}",
        said.interface,
        f"view {said.view_sha256}",
        f"config {said.config_sha256}",
        f"request {said.request_sha256}",
        f"erasures {said.erasures} {said.erasures_sha256}",
        f"result {said.result_sha256}",
        format_micros(said.time),
    )
    text = "".join(f"{line}\n" for line in lines)
    if parse_attestation(text) != said:
        raise NoteError("An attestation has a part that cannot be written.")
    return text


def parse_attestation(text: str) -> Attestation:
    """Read the text of an attestation; each has one spelling.

    Raises:
        NoteError: it is malformed, or written another way.
    """
    lines = lines_of(check_text(text, "An attestation"), "An attestation")
    if len(lines) != _LINES or lines[0] != FORMAT or not lines[1]:
        raise NoteError(f"An attestation has {_LINES} lines, the first is {FORMAT}.")
    first, last = _words(lines[4], "fold", 2)
    erasures, erasures_sha256 = _words(lines[9], "erasures", 2)
    if not _INTERFACE.match(lines[5]):
        raise NoteError("An attestation names the interface of the view with its version.")
    return Attestation(
        lines[1],
        decode_decimal(lines[2], "The size of an attestation"),
        decode_hash(lines[3], "The root of an attestation"),
        decode_decimal(first, "The first event of an attestation"),
        decode_decimal(last, "The last event of an attestation"),
        lines[5],
        _digest(*_words(lines[6], "view", 1)),
        _digest(*_words(lines[7], "config", 1)),
        _digest(*_words(lines[8], "request", 1)),
        decode_decimal(erasures, "The number of erasures of an attestation"),
        _digest(erasures_sha256),
        _digest(*_words(lines[10], "result", 1)),
        _time(lines[11]),
    )


def _words(line: str, name: str, count: int) -> list[str]:
    label, *words = line.split(" ")
    if label != name or len(words) != count:
        raise NoteError(f"An attestation has a line that begins with {name}.")
    return words


def _digest(text: str) -> str:
    if not HEX_DIGEST.match(text):
        raise NoteError("A digest of an attestation is no SHA-256 in lower-case hex.")
    return text


def _time(text: str) -> int:
    try:
        micros = parse_instant(text)
        if micros >= 0 and format_micros(micros) == text:
            return micros
    except (ValueError, OverflowError):
        pass
    raise NoteError("The time of an attestation is not RFC 3339 in UTC with six digits.")


# ---------------------------------------------------------------------- what the guest received


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`request.json`: what the view was asked. A machine has `input_base64` alone, a view the other three."""

    params: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    facts: list[tuple[str, str]] | msgspec.UnsetType = msgspec.UNSET
    body: str | msgspec.UnsetType = msgspec.UNSET
    input_base64: str | msgspec.UnsetType = msgspec.UNSET


def view_asked(params: Pairs, facts: Pairs, body: str) -> Asked:
    """What a view of the world `indelible:view` is asked."""
    return Asked(list(params), list(facts), body)


def machine_asked(question: bytes) -> Asked:
    """What a machine is asked: bytes."""
    return Asked(input_base64=encode_base64(question))


def encode_asked(asked: Asked) -> bytes:
    """Write `request.json`."""
    return msgspec.json.encode(asked) + b"\n"


def parse_asked(data: bytes) -> Asked:
    """Read `request.json`; the one spelling that `encode_asked` writes.

    Raises:
        NoteError: it is malformed, or speaks to a view and to a machine, or to neither.
    """
    try:
        asked = msgspec.json.decode(data, type=Asked)
    except (ValueError, RecursionError) as error:
        raise NoteError(f"request.json is malformed: {error}.") from None
    parts = [part is not msgspec.UNSET for part in (asked.params, asked.facts, asked.body)]
    if not (all(parts) or not any(parts)) or any(parts) == (asked.input_base64 is not msgspec.UNSET):
        raise NoteError("request.json has neither params, facts and body, nor input_base64 alone.")
    if asked.input_base64 == "":
        raise NoteError("request.json asks a machine nothing; it is asked {} at least.")
    if encode_asked(asked) != data:
        raise NoteError("request.json is not written as the format has it.")
    return asked


def machine_input(asked: Asked) -> bytes | None:
    """The bytes that a machine was asked; None where a view was.

    Raises:
        NoteError: they are no base64.
    """
    text = asked.input_base64
    return decode_base64(text, "input_base64") if isinstance(text, str) else None


def view_question(asked: Asked) -> tuple[Pairs, Pairs, str]:
    """The params, facts and body that a view was asked; nothing where a machine was."""
    params, facts, body = asked.params, asked.facts, asked.body
    if isinstance(params, list) and isinstance(facts, list) and isinstance(body, str):
        return params, facts, body
    return (), (), ""


def request_sha256(asked: Asked) -> str:
    """The digest of what the guest received, in hex.

    For a view the params, then the facts, each as u32 count and for each pair u32 length and bytes twice;
    then u64 length and bytes of the body. For a machine its input. Integers are big-endian.

    Raises:
        NoteError: the input of a machine is no base64, or a text is no UTF-8.
    """
    question = machine_input(asked)
    if question is not None:
        return hashlib.sha256(question).hexdigest()
    params, facts, body = view_question(asked)
    digest = hashlib.sha256()
    try:
        for pairs in (params, facts):
            digest.update(len(pairs).to_bytes(4, "big"))
            for text in _flat(pairs):
                digest.update(len(text).to_bytes(4, "big") + text)
        data = body.encode()
    except UnicodeEncodeError:
        raise NoteError("request.json has text that is no UTF-8.") from None
    digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _flat(pairs: Pairs) -> Iterable[bytes]:
    for name, value in pairs:
        yield name.encode()
        yield value.encode()
