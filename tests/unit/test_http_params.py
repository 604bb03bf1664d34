from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.http.params import (
    choice,
    decode_pairs,
    flag,
    integer,
    read_params,
    seconds,
    text,
)
from indelible.model.errors import Problem

PARAMS = (
    integer("limit", "", least=1),
    choice("order", "", ("asc", "desc"), default="asc"),
    flag("bytes", ""),
    seconds("wait", "", most=60),
    text("from", ""),
)


def refusal(query: str) -> str:
    """Return the code with which a query is refused."""
    with pytest.raises(Problem) as caught:
        read_params(query, PARAMS)
    return caught.value.code.name


def test_defaults_stand_where_nothing_is_given() -> None:
    """Each declared parameter has a value, so that handlers never look for one that is not there."""
    assert read_params("", PARAMS) == {
        "limit": None,
        "order": "asc",
        "bytes": False,
        "wait": 0.0,
        "from": None,
    }


def test_values_are_read_as_declared() -> None:
    """Numbers, flags, words and decoded text arrive with their types."""
    values = read_params(
        "limit=5&order=desc&bytes=true&wait=1.5&from=2025-01-01T00%3A00%3A00%2B01:00", PARAMS
    )
    assert values == {
        "limit": 5,
        "order": "desc",
        "bytes": True,
        "wait": 1.5,
        "from": "2025-01-01T00:00:00+01:00",
    }


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid_parameter"),
        ("limit=-1", "invalid_parameter"),
        ("limit=1e3", "invalid_parameter"),
        ("limit=%D9%A1", "invalid_parameter"),  # an Arabic digit is a digit to int()
        ("limit=" + "9" * 30, "invalid_parameter"),
        ("limit", "invalid_parameter"),
        ("order=up", "invalid_parameter"),
        ("bytes=1", "invalid_parameter"),
        ("wait=61", "invalid_parameter"),
        ("wait=nan", "invalid_parameter"),
        ("limt=5", "unknown_parameter"),
        ("limit=5&limit=5", "repeated_parameter"),
        ("limit=5&li%6Dit=6", "repeated_parameter"),
        ("from=%ff", "malformed"),
        ("from=%f", "malformed"),
        ("from=%zz", "malformed"),
        ("%ff=1", "malformed"),
    ],
)
def test_what_is_not_understood_is_refused(query: str, code: str) -> None:
    """A parameter is never dropped or guessed at: a wrong bound would be a wrong report."""
    assert refusal(query) == code


def test_a_needed_parameter_is_asked_for() -> None:
    """Leaving out a required parameter is refused by its name."""
    with pytest.raises(Problem, match="sequence is needed"):
        read_params("", (integer("sequence", "", required=True),))


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_pairs_survive_encoding(pairs: list[tuple[str, str]]) -> None:
    """What a form encoder writes is read back in order, repeats and all of Unicode included."""
    encodable = [(name, value) for name, value in pairs if _encodable(name + value)]
    query = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in encodable)
    assert decode_pairs(query) == encodable


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@given(st.text(alphabet="%aF0+&=zé", max_size=20))
def test_any_query_is_read_or_refused(query: str) -> None:
    """No query string raises anything but a refusal."""
    try:
        decode_pairs(query)
        read_params(query, PARAMS)
    except Problem:
        pass
