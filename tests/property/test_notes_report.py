"""Attestations and requests of reports: what is written is read back, and nothing else is read."""

import hashlib
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from tests.harness.answers import request_bytes, request_digest

from indelible.notes.report import (
    Asked,
    Attestation,
    encode_asked,
    format_attestation,
    machine_asked,
    parse_asked,
    parse_attestation,
    request_sha256,
    view_asked,
)
from indelible.notes.strict import NoteError

DIGESTS = st.binary(max_size=8).map(lambda data: hashlib.sha256(data).hexdigest())
SIZES = st.integers(0, (1 << 63) - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), max_size=5)
ATTESTATIONS = st.builds(
    Attestation,
    st.from_regex(r"[a-z.]{1,20}/logs/[0-9a-f-]{36}", fullmatch=True),
    SIZES,
    st.binary(min_size=32, max_size=32),
    SIZES,
    SIZES,
    st.from_regex(r"[a-z]{1,9}:[a-z]{1,9}/[a-z]{1,9}@[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}", fullmatch=True),
    DIGESTS,
    DIGESTS,
    DIGESTS,
    SIZES,
    DIGESTS,
    DIGESTS,
    st.integers(0, 250_000_000_000_000_000),
)
ASKED = st.one_of(
    st.builds(view_asked, PAIRS, PAIRS, TEXTS), st.builds(machine_asked, st.binary(min_size=1, max_size=50))
)
NO = "0" * 64
TEXT = format_attestation(
    Attestation("a/logs/b", 1, bytes(32), 1, 1, "a:b/c@1.0.0", NO, NO, NO, 0, NO, NO, time=1)
)


@given(ATTESTATIONS)
def test_an_attestation_is_read_back(said: Attestation) -> None:
    """Any attestation has twelve lines and comes back as it was."""
    text = format_attestation(said)
    assert parse_attestation(text) == said
    assert text.count("\n") == 12


@given(st.integers(0, len(TEXT) - 1), st.characters(codec="utf-8"))
def test_what_is_read_is_written_so(at: int, character: str) -> None:
    """A changed character is refused, or says something that is written exactly so: one spelling for each."""
    changed = TEXT[:at] + character + TEXT[at + 1 :]
    with suppress(NoteError):
        assert format_attestation(parse_attestation(changed)) == changed


@given(st.text(max_size=200))
def test_any_text_is_refused_in_words(text: str) -> None:
    """Rubbish is a NoteError and never another one."""
    with suppress(NoteError):
        parse_attestation(text)


@given(ASKED)
def test_a_request_is_read_back(asked: Asked) -> None:
    """Any question comes back as it was; somebody else's program writes and hashes it the same way."""
    data = encode_asked(asked)
    assert parse_asked(data) == asked
    given_ = ((name, getattr(asked, name)) for name in asked.__struct_fields__)
    members = {name: value for name, value in given_ if isinstance(value, str | list)}
    assert request_bytes(members) == data
    assert request_digest(members) == request_sha256(asked)


@given(ASKED, ASKED)
def test_two_questions_have_two_digests(one: Asked, other: Asked) -> None:
    """Lengths stand before texts, so that no two questions of one world give one digest."""
    if isinstance(one.body, str) is isinstance(other.body, str):
        assert (request_sha256(one) == request_sha256(other)) == (one == other)


@given(st.binary(max_size=100))
def test_any_bytes_of_a_request_are_refused_in_words(data: bytes) -> None:
    """Rubbish is a NoteError and never another one."""
    with suppress(NoteError):
        request_sha256(parse_asked(data))
