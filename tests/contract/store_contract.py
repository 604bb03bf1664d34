"""The contract of storage (`store.base`), as tests that every engine inherits.

A subclass gives the fixture `engine`: an `Engine` that opens the same store again and again.
"""

import os
import threading
from collections.abc import Callable
from typing import NamedTuple

import pytest
from tests.harness.store_rows import EMPTY, add_log, chunk, fill, key_row, leaf, log_info

from indelible.store.base import (
    HeadRow,
    NodeRow,
    Store,
    StoreRefused,
    Transaction,
    ViewRow,
)


class Engine(NamedTuple):
    """How to open the engine under test on one fixed place, and to run a statement beside it."""

    open: Callable[[], Store]


class OopsError(Exception):
    """What a test raises inside a transaction."""


class StoreContract:
    """What every engine must do."""

    @pytest.fixture
    def engine(self) -> Engine:
        """Given by the subclass."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, engine: Engine) -> Store:
        """A fresh store."""
        return engine.open()

    # ------------------------------------------------------------------ transactions

    def test_a_transaction_is_visible_in_whole_only_after_it_ended(self, store: Store) -> None:
        """Readers, from another thread too, see nothing before the commit and everything after."""
        seen: list[object] = []
        with store.transaction() as transaction:
            transaction.put_meta("a", b"1")
            transaction.put_meta("b", b"2")
            thread = threading.Thread(target=lambda: seen.append(store.reader.meta("a")))
            thread.start()
            thread.join(20)
        assert seen == [None]
        assert (store.reader.meta("a"), store.reader.meta("b")) == (b"1", b"2")

    def test_an_exception_rolls_everything_back_and_is_raised_again(self, store: Store) -> None:
        """Nothing of the block is left, and the very exception comes out; the store goes on."""
        log = add_log(store)

        def attempt() -> None:
            with store.transaction() as transaction:
                transaction.put_chunk(log, chunk(log, 1, 2, 5))
                transaction.put_head(log, HeadRow(2, 5, 0, b"r" * 32, b"f" * 32))
                transaction.put_meta("a", b"1")
                raise OopsError

        with pytest.raises(OopsError):
            attempt()
        assert store.reader.head(log) == EMPTY
        assert store.reader.chunks(log, 1, 10) == []
        assert store.reader.meta("a") is None
        fill(store, log, [1])

    def test_a_savepoint_undoes_its_own_part_alone(self, store: Store) -> None:
        """What stands before and after a part that failed is committed; the part is not."""

        def fail(transaction: Transaction) -> None:
            with transaction.savepoint():
                transaction.put_meta("inner", b"1")
                raise OopsError

        with store.transaction() as transaction:
            transaction.put_meta("before", b"1")
            with pytest.raises(OopsError):
                fail(transaction)
            with transaction.savepoint():
                transaction.put_meta("good", b"1")
            transaction.put_meta("after", b"1")
        found = [store.reader.meta(name) for name in ("before", "inner", "good", "after")]
        assert found == [b"1", None, b"1", b"1"]

    def test_two_threads_never_write_at_once(self, store: Store) -> None:
        """Transactions of two threads follow each other; none is lost."""
        log = add_log(store)
        errors: list[BaseException] = []

        def count() -> None:
            try:
                for _ in range(20):
                    with store.transaction() as transaction:
                        head = transaction.lock_heads([log])[log]
                        transaction.put_head(log, head._replace(size=head.size + 1))
            except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
                errors.append(error)

        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
        head = store.reader.head(log)
        assert head is not None
        assert head.size == 40

    def test_no_two_openings_of_one_place_believe_to_be_alone(self, store: Store, engine: Engine) -> None:
        """The second one is refused, or both know that they share, and see what the other committed."""
        add_log(store)
        if not store.shared:
            with pytest.raises(StoreRefused, match="in use"):
                engine.open()
            assert store.reader.meta("nothing") is None
            return
        other = engine.open()
        with other.transaction() as transaction:
            transaction.put_meta("a", b"1")
        assert store.reader.meta("a") == b"1"

    def test_everything_is_there_after_reopening(self, store: Store, engine: Engine) -> None:
        """What was committed outlives the process that did it."""
        log = add_log(store)
        rows = fill(store, log, [3, 1])
        store.close()
        again = engine.open()
        assert again.reader.chunks(log, 1, 10) == rows
        head = again.reader.head(log)
        assert head is not None
        assert head.size == 4

    # ------------------------------------------------------------------ heads, chunks, leaves, nodes

    def test_heads(self, store: Store) -> None:
        """Heads are read back member by member; a log that is not there has none."""
        one, two = add_log(store, "one"), add_log(store, "two")
        new = HeadRow(2**40 - 1, 2**62, 2**61, os.urandom(32), os.urandom(640))
        with store.transaction() as transaction:
            assert transaction.lock_heads([two, one, 999]) == {one: EMPTY, two: EMPTY}
            transaction.put_head(two, new)
            assert transaction.lock_heads([two]) == {two: new}
            transaction.put_meta("a", b"1")
            locked = transaction.lock([one, 999], [two], ["a", "b"])
            assert (locked.heads, locked.values) == ({one: EMPTY, two: new}, {"a": b"1"})
        assert store.reader.head(two) == new
        assert store.reader.heads([one, two, 999]) == {one: EMPTY, two: new}
        assert store.reader.head(999) is None

    def test_chunks_in_both_directions(self, store: Store) -> None:
        """From any sequence the chunk that holds it comes first, then its neighbours, of this log alone."""
        other, log, third = add_log(store, "a"), add_log(store, "b"), add_log(store, "c")
        fill(store, other, [5, 5])
        rows = fill(store, log, [1, 3, 2, 4])
        fill(store, third, [1])
        starts = [row.first for row in rows]
        for sequence in range(1, 11):
            at = max(i for i, first in enumerate(starts) if first <= sequence)
            for limit in (1, 2, 10):
                assert store.reader.chunks(log, sequence, limit) == rows[at : at + limit]
                back = list(reversed(rows[: at + 1]))[:limit]
                assert store.reader.chunks(log, sequence, limit, reverse=True) == back
            row = rows[at]
            assert store.reader.chunk_time(log, sequence) == (row.first, row.events, row.time)
        assert store.reader.chunks(999, 1, 5) == []
        assert store.reader.chunk_time(999, 1) is None

    def test_a_chunk_where_one_stands_is_refused(self, store: Store) -> None:
        """History is not overwritten, whatever the layers above ask for."""
        log = add_log(store)
        rows = fill(store, log, [2])

        def overwrite() -> None:
            with store.transaction() as transaction:
                transaction.put_chunk(log, rows[0]._replace(payload=b"other"))

        with pytest.raises(Exception, match=r".*"):
            overwrite()
        assert store.reader.chunks(log, 1, 1) == rows

    def test_leaves_across_chunks(self, store: Store) -> None:
        """Every run of leaf hashes comes out in order, wherever chunks begin and end; never a shorter one."""
        other, log = add_log(store, "a"), add_log(store, "b")
        fill(store, other, [4])
        fill(store, log, [1, 3, 2, 4])
        for first in range(1, 11):
            for count in range(11 - first + 1):
                expected = b"".join(leaf(log, first + i) for i in range(count))
                assert store.reader.leaves(log, first, count) == expected
        for first, count in ((1, 11), (11, 1), (10, 2), (999, 1)):
            with pytest.raises(LookupError):
                store.reader.leaves(log, first, count)
        with pytest.raises(LookupError):
            store.reader.leaves(999, 1, 1)

    def test_nodes_across_tiles(self, store: Store) -> None:
        """Nodes written in any number of steps are read back by run, byte for byte, a level and log apart."""
        log, other = add_log(store, "a"), add_log(store, "b")
        nodes = {level: [os.urandom(31) + b"\0" for _ in range(600)] for level in (1, 2)}
        at = 0
        for step in (1, 254, 1, 1, 255, 88):
            rows = [NodeRow(level, i, nodes[level][i]) for level in (1, 2) for i in range(at, at + step)]
            with store.transaction() as transaction:
                transaction.put_nodes(log, rows)
                transaction.put_nodes(other, [row._replace(hash=b"o" * 32) for row in rows])
            at += step
        for level in (1, 2):
            for start, count in (
                (0, 600),
                (0, 256),
                (255, 1),
                (255, 2),
                (256, 256),
                (599, 1),
                (511, 2),
                (5, 0),
            ):
                expected = b"".join(nodes[level][start : start + count])
                assert store.reader.nodes(log, level, start, count) == expected
        for level, start, count in ((1, 0, 601), (1, 600, 1), (3, 0, 1), (1, 5_000, 2)):
            with pytest.raises(LookupError):
                store.reader.nodes(log, level, start, count)

    def test_tiles_are_listed_whatever_the_head_covers(self, store: Store) -> None:
        """Level, number and bytes, in order, after a place, at most so many."""
        log, other = add_log(store), add_log(store, "other")
        with store.transaction() as transaction:
            transaction.put_nodes(log, [NodeRow(1, at, bytes([at % 256]) * 32) for at in range(300)])
            transaction.put_nodes(log, [NodeRow(2, 0, b"n" * 32)])
            transaction.put_nodes(other, [NodeRow(1, 0, b"o" * 32)])
        everything = [(1, 0, 256 * 32), (1, 1, 44 * 32), (2, 0, 32)]
        assert store.reader.tiles(log, (-1, -1), 10) == everything
        assert store.reader.tiles(log, (-1, -1), 2) == everything[:2]
        assert store.reader.tiles(log, (1, 0), 10) == everything[1:]
        assert store.reader.tiles(log, (2, 0), 10) == []

    def test_the_last_log_is_the_one_made_last(self, store: Store) -> None:
        """Its number, and 0 in a store without logs."""
        assert store.reader.last_log() == 0
        numbers = [add_log(store, name) for name in ("a", "b")]
        assert store.reader.last_log() == max(numbers)

    def test_the_newest_time_is_that_of_the_newest_event(self, store: Store) -> None:
        """Over all logs; 0 where there are no logs, or no events."""
        assert store.reader.newest_time() == 0
        first, second = add_log(store, "a"), add_log(store, "b")
        assert store.reader.newest_time() == 0
        fill(store, first, [1, 1, 1])
        fill(store, second, [5])
        assert store.reader.newest_time() == 30

    # ------------------------------------------------------------------ registry

    def test_workspaces_and_logs(self, store: Store) -> None:
        """Rows come back as given; names are unique a workspace; pages are ordered and complete."""
        assert store.reader.workspace_count() == 0
        with store.transaction() as transaction:
            one = transaction.add_workspace(b"1" * 16, "one", 3)
            two = transaction.add_workspace(b"2" * 16, "two", 4)
        assert [(row.key, row.name, row.created) for row in store.reader.workspaces()] == [
            (one, "one", 3),
            (two, "two", 4),
        ]
        assert store.reader.workspace_count() == 2
        for row in store.reader.workspaces():
            assert store.reader.workspace_by_key(row.key) == row
            assert store.reader.workspace_by_id(row.workspace_id) == row
            assert store.reader.workspace_by_name(row.name) == row
        assert store.reader.workspace_by_key(999) is None
        assert store.reader.workspace_by_id(b"x" * 16) is None
        assert store.reader.workspace_by_name("three") is None
        infos = [log_info(one, name) for name in ("b", "a", "c")] + [log_info(two, "a")]
        with store.transaction() as transaction:
            stored = [info._replace(key=transaction.add_log(info, EMPTY)) for info in infos]
        for info in stored:
            assert store.reader.log_by_id(info.log_id.bytes) == info
            assert store.reader.log_by_name(info.workspace, info.name) == info
            assert store.reader.log_by_key(info.key) == info
        assert [info.name for info in store.reader.logs(one, "", 10)] == ["a", "b", "c"]
        assert [info.name for info in store.reader.logs(one, "a", 1)] == ["b"]
        assert [info.key for info in store.reader.logs(None, "0", 10)] == [info.key for info in stored]
        assert store.reader.logs(None, str(stored[2].key), 10) == stored[3:]
        assert store.reader.log_by_name(two, "b") is None
        assert store.reader.log_by_id(b"x" * 16) is None
        assert store.reader.log_by_key(999) is None
        assert store.reader.counts(one) == (3, 0)

    def test_a_name_that_is_taken_is_a_key_error_and_the_transaction_goes_on(self, store: Store) -> None:
        """So a use case can refuse one caller of a group and commit the others."""
        with store.transaction() as transaction:
            one = transaction.add_workspace(b"1" * 16, "one", 3)
            transaction.add_log(log_info(one, "a"), EMPTY)
            with pytest.raises(KeyError):
                transaction.add_log(log_info(one, "a"), EMPTY)
            with pytest.raises(KeyError):
                transaction.add_workspace(b"2" * 16, "one", 3)
            transaction.put_meta("after", b"1")
        assert store.reader.meta("after") == b"1"
        assert store.reader.counts(one) == (1, 0)

    def test_keys(self, store: Store) -> None:
        """Every member comes back, None and the empty tuple told apart; a revocation is once."""
        add_log(store)
        (workspace,) = (row.key for row in store.reader.workspaces())
        first = key_row(workspace, "k1", created=2)
        second = key_row(workspace, "k2", created=1)._replace(logs=None, views=None, preset=None)
        with store.transaction() as transaction:
            transaction.add_key(first)
            transaction.add_key(second)
        assert store.reader.key("k1") == first
        assert store.reader.keys(workspace) == [second, first]
        assert store.reader.counts(workspace)[1] == 2
        with store.transaction() as transaction:
            assert transaction.revoke_key("k1", 9)
            assert not transaction.revoke_key("k1", 10)
            assert not transaction.revoke_key("none", 10)
        assert store.reader.key("k1") == first._replace(revoked=9)
        assert store.reader.counts(workspace)[1] == 1

    def test_views(self, store: Store) -> None:
        """Versions come back in order; retired ones only where all are asked for."""
        log = add_log(store)
        rows = [
            ViewRow(b"v" * 16, log, "view", n, "ab", "{}", "w", None, "active", n, b"a" * 16) for n in (1, 2)
        ]
        with store.transaction() as transaction:
            for row in rows:
                transaction.add_view(row)
            assert transaction.set_view_state(b"v" * 16, 1, "retired")
            assert not transaction.set_view_state(b"v" * 16, 7, "retired")
        assert store.reader.views(log) == rows[1:]
        assert store.reader.views() == rows[1:]
        assert store.reader.versions(b"v" * 16) == [rows[0]._replace(state="retired"), rows[1]]

    # ------------------------------------------------------------------ idempotency keys

    def test_the_journal_and_the_index_of_keys(self, store: Store) -> None:
        """Journal rows are numbered upwards, merged with their epoch, found again, dropped by slices."""
        with store.transaction() as transaction:
            one, two, three = (transaction.journal_keys(body) for body in (b"1", b"2", b"3"))
        assert one < two < three
        assert store.key_journal() == [(one, b"1"), (two, b"2"), (three, b"3")]
        digests = [bytes([i]) * 16 for i in range(6)]
        with store.transaction() as transaction:
            transaction.merge_keys(7, [(digest, at) for at, digest in enumerate(digests[:4])], two)
        with store.transaction() as transaction:
            transaction.merge_keys(8, [(digests[4], 44)], two)
            transaction.merge_keys(8, [(digests[5], 55)], two)
        assert store.key_journal() == [(three, b"3")]
        assert store.key_counts() == {7: 4, 8: 2}
        with store.transaction() as transaction:
            assert transaction.find_keys(digests, [7, 8]) == dict(
                zip(digests, [0, 1, 2, 3, 44, 55], strict=True)
            )
            assert transaction.find_keys([*digests, b"?" * 16], [8]) == {digests[4]: 44, digests[5]: 55}
            assert transaction.drop_epoch(7, 3) == 3
            assert transaction.drop_epoch(7, 3) == 1
            assert transaction.find_keys(digests, [7, 8]) == {digests[4]: 44, digests[5]: 55}
        assert store.key_counts() == {8: 2}
        with store.transaction() as transaction:
            assert transaction.journal_keys(b"4") > three

    def test_a_number_of_the_journal_is_never_used_again(self, store: Store, engine: Engine) -> None:
        """A merge drops the journal up to a number: a new row below it would be lost with its keys."""
        with store.transaction() as transaction:
            last = transaction.journal_keys(b"1")
        with store.transaction() as transaction:
            transaction.merge_keys(1, [(b"d" * 16, 1)], last)
        store.close()
        with engine.open().transaction() as transaction:
            assert transaction.journal_keys(b"2") > last

    def test_chunks_beyond_a_head_can_be_dropped(self, store: Store) -> None:
        """What was laid for a head that never came is removed, of this log alone; what is covered stays."""
        log, other, empty = add_log(store, "a"), add_log(store, "b"), add_log(store, "c")
        rows = fill(store, log, [2, 3])
        others = fill(store, other, [2, 3])
        with store.transaction() as transaction:
            transaction.put_chunk(log, chunk(log, 6, 1, 3))
            transaction.put_chunk(empty, chunk(empty, 1, 2, 3))
        with store.transaction() as transaction:
            transaction.drop_beyond(log, 5)
            transaction.drop_beyond(log, 5)
        assert store.reader.chunks(log, 1, 10) == rows
        with store.transaction() as transaction:
            transaction.drop_beyond(empty, 0)
        assert store.reader.chunks(empty, 1, 10) == []
        assert store.reader.chunks(other, 1, 10) == others
