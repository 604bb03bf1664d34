"""What a batch's events are, byte for byte (DESIGN), by table."""

import tracemalloc
from pathlib import Path

import pytest

from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS, Limits
from indelible.service.framing import Framing, choose, is_json, split

NDJSON, ARRAY = Framing("ndjson"), Framing("array")


@pytest.mark.parametrize(
    ("content_type", "delimiter", "body", "expected"),
    [
        ("application/x-ndjson", None, b"[1]", NDJSON),
        ("Application/X-NDJSON; charset=utf-8", None, b"", NDJSON),
        ("application/json", None, b"{}", ARRAY),
        ("application/json;charset=utf-8", None, b"", ARRAY),
        (None, None, b"[1]", ARRAY),
        ("application/x-www-form-urlencoded", None, b"[1]", ARRAY),
        ("application/json", "%0A", b"[1]", Framing("delimiter", b"\n")),
        (None, "%00%ff", b"x", Framing("delimiter", b"\0\xff")),
        (None, "a%2Bb+c", b"x", Framing("delimiter", b"a+b+c")),
        (None, "\u00e9", b"x", Framing("delimiter", b"\xc3\xa9")),
    ],
)
def test_the_framing_follows_the_type_the_parameter_and_the_body(
    content_type: str | None, delimiter: str | None, body: bytes, expected: Framing
) -> None:
    """`?delimiter=` wins, then the type, then a first byte `[`."""
    assert choose(content_type, delimiter, body) == expected


@pytest.mark.parametrize(
    ("content_type", "delimiter", "body", "code"),
    [
        (None, None, b"{}\n{}", "unsupported_media_type"),
        ("text/plain", None, b"x", "unsupported_media_type"),
        (None, None, b"", "unsupported_media_type"),
        ("application/json", "", b"[1]", "invalid_parameter"),
    ],
)
def test_what_says_nothing_is_refused(
    content_type: str | None, delimiter: str | None, body: bytes, code: str
) -> None:
    """A guess would cut a customer's events in the wrong place for ever."""
    with pytest.raises(Problem) as caught:
        choose(content_type, delimiter, body)
    assert caught.value.code.name == code


@pytest.mark.parametrize(
    ("framing", "body", "expected"),
    [
        (NDJSON, b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
        (NDJSON, b'{"a":1}\r\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (NDJSON, b"1\r\r\n2", [b"1\r", b"2"]),  # one trailing CR is dropped, and JSON takes white space
        (NDJSON, b"\n\r\n \t\n1\n\n", [b"1"]),
        (NDJSON, b" 1 \n", [b" 1 "]),
        (NDJSON, b'"a\\nb"\n', [b'"a\\nb"']),
        (NDJSON, '{"k": "é\u2028"}\n'.encode(), ['{"k": "é\u2028"}'.encode()]),
        (NDJSON, b"[1,\t2]\nnull\n-0.0e-7", [b"[1,\t2]", b"null", b"-0.0e-7"]),
        (NDJSON, b'{"a":1,"a":2}', [b'{"a":1,"a":2}']),
        (ARRAY, b"[1]", [b"1"]),
        (ARRAY, b' \r\n[ {"a" : 1 } ,\t"x,]" , [ 1 , 2 ] ]\n', [b'{"a" : 1 }', b'"x,]"', b"[ 1 , 2 ]"]),
        (ARRAY, b"[1e400,12345678901234567890123]", [b"1e400", b"12345678901234567890123"]),
        (ARRAY, '["é"]'.encode(), ['"é"'.encode()]),
        (Framing("delimiter", b"\n"), b"a\nb\n", [b"a", b"b"]),
        (Framing("delimiter", b"\n"), b"a\nb", [b"a", b"b"]),
        (Framing("delimiter", b"\n"), b"a\r\n\xff\0\n", [b"a\r", b"\xff\0"]),
        (Framing("delimiter", b"--"), b"a---b--", [b"a", b"-b"]),
        (Framing("delimiter", b"aa"), b"xaaa", [b"x", b"a"]),  # cut from the left, as a reader of a stream
        (Framing("delimiter", b"|"), b"only", [b"only"]),
    ],
)
def test_events_are_exact_source_bytes(framing: Framing, body: bytes, expected: list[bytes]) -> None:
    """Nothing inside an event is touched: no order, no white space, no number, no escape."""
    assert split(body, framing, DEFAULT_LIMITS) == expected


@pytest.mark.parametrize(
    ("framing", "body", "code"),
    [
        (NDJSON, b"", "empty_event"),
        (NDJSON, b"\n\n \r\n", "empty_event"),
        (ARRAY, b"[]", "empty_event"),
        (ARRAY, b"[ ]", "empty_event"),
        (Framing("delimiter", b"|"), b"", "empty_event"),
        (Framing("delimiter", b"|"), b"|", "empty_event"),
        (Framing("delimiter", b"|"), b"a||b", "empty_event"),
        (Framing("delimiter", b"|"), b"|a", "empty_event"),
        (Framing("delimiter", b"|"), b"a||", "empty_event"),
        (NDJSON, b"1\nnot\n", "malformed_json"),
        (NDJSON, b"1\r2\n", "malformed_json"),
        (NDJSON, b"1 2\n", "malformed_json"),
        (NDJSON, b"{'a':1}\n", "malformed_json"),
        (NDJSON, b"NaN\n", "malformed_json"),
        (NDJSON, b'"\x01"\n', "malformed_json"),
        (NDJSON, b'"\xff"\n', "malformed_json"),
        (NDJSON, b'"\xed\xa0\x80"\n', "malformed_json"),
        (NDJSON, b"\xef\xbb\xbf1\n", "malformed_json"),
        (NDJSON, b"01\n", "malformed_json"),
        (NDJSON, b"[1,]\n", "malformed_json"),
        (NDJSON, b"[" * 100_000 + b"\n", "malformed_json"),
        (ARRAY, b"", "malformed_json"),
        (ARRAY, b"{}", "malformed_json"),
        (ARRAY, b"[1,]", "malformed_json"),
        (ARRAY, b"[1 2]", "malformed_json"),
        (ARRAY, b"[1] x", "malformed_json"),
        (ARRAY, b"[1", "malformed_json"),
        (ARRAY, b'["\xff"]', "malformed_json"),
        (ARRAY, b"[" * 100_000 + b"]" * 100_000, "malformed_json"),
    ],
)
def test_what_is_no_batch_is_refused_whole(framing: Framing, body: bytes, code: str) -> None:
    """All or nothing, and the code says which kind of fault."""
    with pytest.raises(Problem) as caught:
        split(body, framing, DEFAULT_LIMITS)
    assert caught.value.code.name == code


@pytest.mark.parametrize(
    "event", [rb'"\ud800"', rb'"\udc00\ud800"', rb'"a\ud83dz"', rb'{"\udfff": 1}', rb'[["\uD800\u0041"]]']
)
def test_half_of_a_surrogate_pair_is_refused_as_the_page_says(event: bytes) -> None:
    """It has no UTF-8, so nobody could be given it as text; docs/http.md names the rule."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "http.md").read_text()
    assert r'`"\ud800"`' in page
    assert "RFC 7493" in page
    for framing, body in ((NDJSON, event + b"\n"), (ARRAY, b"[" + event + b"]")):
        with pytest.raises(Problem) as caught:
            split(body, framing, DEFAULT_LIMITS)
        assert caught.value.code.name == "malformed_json"
    assert not is_json(event)  # logged by `append` all the same, it is shown as `payload_base64`


@pytest.mark.parametrize(
    "event", [rb'"\ud83d\ude00"', rb'"\\ud800"', rb'"\uffff"', rb'{"a": 1, "a": 2}', rb"1e999"]
)
def test_what_else_i_json_forbids_is_logged_as_it_was_sent(event: bytes) -> None:
    """A whole pair is a character; a double name or a large number is the reader's business."""
    assert split(event + b"\n", NDJSON, DEFAULT_LIMITS) == [event]
    assert split(b"[" + event + b"]", ARRAY, DEFAULT_LIMITS) == [event]
    assert is_json(event)


def test_a_refusal_says_where() -> None:
    """The line counts from 1 and counts blank ones, so that an editor finds it."""
    with pytest.raises(Problem) as caught:
        split(b"1\n\n\nbad\n", NDJSON, DEFAULT_LIMITS)
    assert caught.value.facts["line"] == 4
    long = b"1\n" * 9_000 + b"\n" * 200_000 + b"bad\n"
    with pytest.raises(Problem) as caught:
        split(long, NDJSON, DEFAULT_LIMITS)
    assert caught.value.facts["line"] == 209_001
    with pytest.raises(Problem) as caught:
        split(b"a|b||c", Framing("delimiter", b"|"), DEFAULT_LIMITS)
    assert caught.value.facts["record"] == 3


LIMITS = Limits(batch_events=3, event_bytes=10)


@pytest.mark.parametrize("framing", [NDJSON, ARRAY, Framing("delimiter", b"|")])
def test_limits_are_inclusive(framing: Framing) -> None:
    """Just at the limit is taken, one more is not, in number and in bytes."""

    def body(sizes: list[int]) -> bytes:
        events = [b"1" * size for size in sizes]
        if framing is ARRAY:
            return b"[" + b",".join(events) + b"]"
        return (b"\n" if framing is NDJSON else b"|").join(events)

    assert len(split(body([10, 1, 10]), framing, LIMITS)) == 3
    for sizes, unit in (([1, 1, 1, 1], "events"), ([1, 11], "bytes")):
        with pytest.raises(Problem) as caught:
            split(body(sizes), framing, LIMITS)
        assert (caught.value.code.name, caught.value.facts["unit"]) == ("too_large", unit)


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (NDJSON, b"1\n" * (8 << 20)),
        (NDJSON, b"\n" * (16 << 20)),
        (ARRAY, b"[" + b"1," * (8 << 20) + b"1]"),
        (ARRAY, b'["' + b"," * (16 << 20) + b'"]'),
        (Framing("delimiter", b"|"), b"x|" * (8 << 20)),
        (Framing("delimiter", b"|"), b"|" * (16 << 20)),
    ],
    ids=["lines", "blank", "numbers", "string", "records", "borders"],
)
def test_a_body_of_borders_costs_no_more_memory_than_its_own_size(framing: Framing, body: bytes) -> None:
    """16 MiB of separators must not become a gigabyte of objects before the limit is looked at."""
    tracemalloc.start()
    try:
        with pytest.raises(Problem):
            split(body, framing, DEFAULT_LIMITS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 48 << 20


def test_one_element_of_many_parts_is_refused_early() -> None:
    """What can be no event any more is not looked at to its end."""
    with pytest.raises(Problem, match="an event is over the limit"):
        split(b"[[" + b"1," * (8 << 20) + b"1]]", ARRAY, DEFAULT_LIMITS)


def test_a_full_batch_of_members_passes_the_count_of_elements() -> None:
    """Ten thousand events with many commas each are looked at closely, and are one legal batch."""
    event = b'{"a":"[1,{","b":[1,2,3,4,5,6,7,8,9,[10,11,12]],"c\\"":{"d":1,"e":2,"f":3,"g":4,"h":5}' + (
        b',"x":[' + b"1," * 40 + b"1]}"
    )
    body = b"[" + b" , ".join([event] * 10_000) + b"]"
    assert body.count(b",") > 500_000
    assert split(body, ARRAY, DEFAULT_LIMITS) == [event] * 10_000
