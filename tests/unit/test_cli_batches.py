"""Batches of an import: whole lines, the same keys on every run, and no key for two inputs."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.cli.batches import MAX_BATCH_BYTES, Batch, cut_batches
from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS

LINES = st.lists(st.sampled_from([b'{"a":1}\n', b"\n", b"  \r\n", b"2\r\n", b'"x"\n']), max_size=40)


def cut(data: bytes, events: int = 3, run: str = "") -> list[Batch]:
    """Cut bytes."""
    return list(cut_batches(io.BytesIO(data), events=events, run=run))


@given(LINES, st.integers(1, 7), st.sampled_from([b"", b'{"end":true}']))
def test_every_event_is_in_one_batch(lines: list[bytes], events: int, tail: bytes) -> None:
    """Batches joined are the input, each has at most so many events, and its counts and places are right."""
    data = b"".join(lines) + tail
    batches = cut(data, events)
    whole = [line for line in data.splitlines(keepends=True) if line.strip()]
    assert [line for b in batches for line in b.body.splitlines(keepends=True) if line.strip()] == whole
    assert all(1 <= b.events <= events for b in batches)
    for batch in batches:
        assert data[: batch.end].endswith(batch.body)
        assert data[: batch.end - len(batch.body)].count(b"\n") == batch.first_line - 1


@given(LINES, st.integers(1, 7))
def test_keys_are_the_same_on_every_run(lines: list[bytes], events: int) -> None:
    """The same input gives the same keys, all different from each other; another run has others."""
    data = b"".join(lines)
    keys = [batch.key for batch in cut(data, events)]
    assert keys == [batch.key for batch in cut(data, events)]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {batch.key for batch in cut(data, events, run="again")}


def test_a_grown_file_keeps_the_keys_of_its_whole_batches() -> None:
    """What is added at the end changes no key before it."""
    data = b"1\n2\n3\n4\n"
    assert cut(data)[0].key == cut(data + b"5\n")[0].key


def test_equal_batches_after_different_input_have_different_keys() -> None:
    """A key covers all that came before, so equal lines in two places are two batches."""
    first, second = cut(b"1\n1\n", events=1)
    assert first.body == second.body
    assert first.key != second.key


def test_a_batch_is_bounded_in_bytes() -> None:
    """Large lines make small batches."""
    line = b'"' + b"x" * 1_000_000 + b'"\n'
    batches = cut(line * 20, events=1_000)
    assert max(len(batch.body) for batch in batches) <= MAX_BATCH_BYTES
    assert sum(batch.events for batch in batches) == 20


def test_a_line_over_the_limit_is_named() -> None:
    """A line that no server would take is refused with its number, without being read whole."""
    data = b"1\n" + b"x" * (DEFAULT_LIMITS.event_bytes + 3)
    with pytest.raises(Problem) as refused:
        cut(data)
    assert refused.value.code.name == "too_large"
    assert refused.value.facts["line"] == 2
