"""What every engine does about events that are trimmed: which chunks go, and where they are read then."""

import pytest
from tests.contract.store_contract import Engine, OopsError
from tests.harness.store_rows import add_log, chunk, fill

from indelible.store.base import SegmentRow, Store


def segment(first: int, last: int, version: str | None = None) -> SegmentRow:
    """A segment whose events are dated by their sequences."""
    return SegmentRow(first, last, first * 10, last * 10, f"events/x/{first}-{last}", "ab" * 32, 77, version)


class TrimContract:
    """What every engine must do."""

    @pytest.fixture
    def store(self, engine: Engine) -> Store:
        """A fresh store."""
        return engine.open()

    def test_nothing_is_trimmed_at_first(self, store: Store) -> None:
        """Of no log, known or not."""
        log = add_log(store)
        for each in (log, log + 1):
            assert store.reader.trimmed(each) == 0
            assert store.reader.segment(each, 1) is None
            assert store.reader.segment_before(each, 1 << 60) is None

    def test_a_segment_is_found_by_its_events_and_by_time(self, store: Store) -> None:
        """The one that holds a sequence, and the last one that begins before a time; of this log alone."""
        log, other = add_log(store, "a"), add_log(store, "b")
        first, second, third = segment(1, 5), segment(6, 6, "v-1"), segment(7, 300)
        with store.transaction() as transaction:
            for each in (third, first, second):
                transaction.put_segment(log, each)
            transaction.put_segment(other, segment(1, 1_000))
        find, before = store.reader.segment, store.reader.segment_before
        assert [find(log, at) for at in (0, 1, 5, 6, 7, 300, 301)] == [
            *(None, first, first, second, third, third, None)
        ]
        assert [before(log, time) for time in (10, 11, 60, 61, 70, 71, 9_999)] == [
            *(None, first, first, second, second, third, third)
        ]

    def test_a_segment_that_begins_where_one_does_replaces_it(self, store: Store) -> None:
        """As where a trimming is tried again."""
        log = add_log(store)
        for each in (segment(1, 5), segment(1, 9, "v-2")):
            with store.transaction() as transaction:
                transaction.put_segment(log, each)
        assert store.reader.segment(log, 7) == segment(1, 9, "v-2")

    def test_chunks_go_up_to_where_one_ends(self, store: Store) -> None:
        """One that reaches past the size stays, whole; what was asked before is never taken back."""
        log, other = add_log(store, "a"), add_log(store, "b")
        rows, others = fill(store, log, [2, 3, 4, 1]), fill(store, other, [2, 3])
        for size, trimmed in ((1, 0), (2, 2), (4, 2), (3, 2), (5, 5), (1, 5), (8, 5)):
            with store.transaction() as transaction:
                assert transaction.trim(log, size) == trimmed
            assert store.reader.trimmed(log) == trimmed
            left = [row for row in rows if row.first > trimmed]
            assert store.reader.chunks(log, 10, 99, reverse=True)[::-1] == left
        assert store.reader.chunks(other, 1, 99) == others
        assert store.reader.trimmed(other) == 0

    def test_the_last_chunk_never_goes(self, store: Store) -> None:
        """However far is asked for: a start looks at it."""
        log, empty = add_log(store, "a"), add_log(store, "b")
        rows = fill(store, log, [2, 3])
        for size in (5, 99):
            with store.transaction() as transaction:
                assert transaction.trim(log, size) == 2
                assert transaction.trim(empty, size) == 0
        assert store.reader.chunks(log, 5, 9) == rows[1:]
        with store.transaction() as transaction:
            transaction.put_chunk(log, chunk(log, 6, 2, 9))

    def test_what_was_trimmed_is_not_there_for_readers(self, store: Store) -> None:
        """Nothing is given in its place: whoever asks learns that it is elsewhere."""
        log = add_log(store)
        rows = fill(store, log, [2, 3, 4])
        with store.transaction() as transaction:
            assert transaction.trim(log, 5) == 5
        reader = store.reader
        assert reader.chunks(log, 4, 9) == reader.chunks(log, 5, 9, reverse=True) == []
        assert reader.metas(log, 4, 5) == []
        assert reader.chunk_time(log, 5) is None
        assert reader.chunk_time(log, 6) == (6, 4, rows[2].time)
        assert reader.leaves(log, 6, 4) == rows[2].leaves
        with pytest.raises(LookupError):
            reader.leaves(log, 5, 2)

    def test_a_trimming_that_fails_removes_nothing(self, store: Store) -> None:
        """Chunks, mark and segment change together or not at all."""
        log = add_log(store)
        rows = fill(store, log, [2, 3])

        def attempt() -> None:
            with store.transaction() as transaction:
                transaction.put_segment(log, segment(1, 2))
                assert transaction.trim(log, 2) == 2
                raise OopsError

        with pytest.raises(OopsError):
            attempt()
        assert store.reader.chunks(log, 1, 9) == rows
        assert (store.reader.trimmed(log), store.reader.segment(log, 1)) == (0, None)
