"""The contract of storage for signing keys, public proofs and metas of chunks, for every engine.

A subclass gives the fixture `store`, as `StoreContract` does.
"""

import pytest
from tests.harness.store_rows import add_log, fill

from indelible.store.base import LogKeyRow, Store


def key(log: int, generation: int, statement: bytes = b"") -> LogKeyRow:
    """A signing key whose members tell where it belongs."""
    return LogKeyRow(log, generation, "derived", f"vkey {log} {generation}", statement, 7 + generation)


class KeysContract:
    """What every engine must do."""

    def test_keys_of_a_log_come_oldest_first_and_are_its_own(self, store: Store) -> None:
        """What was added is read back whole, by log; a log without any has none."""
        one, two = add_log(store, "one"), add_log(store, "two")
        rows = [key(one, 0), key(one, 1, b"\0note\xff"), key(one, 2)]
        with store.transaction() as transaction:
            for row in (rows[2], rows[0], rows[1], key(two, 0)):
                transaction.add_log_key(row)
        assert store.reader.log_keys(one) == rows
        assert store.reader.log_keys(two) == [key(two, 0)]
        assert store.reader.log_keys(99) == []

    def test_a_generation_is_added_once(self, store: Store) -> None:
        """A second key of one generation is a KeyError, and the first one stays."""
        log = add_log(store)

        def attempt() -> None:
            with store.transaction() as transaction:
                transaction.add_log_key(key(log, 0))
                transaction.add_log_key(key(log, 0, b"other"))

        with pytest.raises(KeyError):
            attempt()
        assert store.reader.log_keys(log) == []

    def test_whose_proofs_are_public_is_read_with_the_log(self, store: Store) -> None:
        """False at first, set and taken back, for one log; False is answered for a log that is not there."""
        one, two = add_log(store, "one"), add_log(store, "two")
        for public in (True, False, True):
            with store.transaction() as transaction:
                assert transaction.set_public_proofs(one, public=public)
                assert not transaction.set_public_proofs(99, public=public)
            found = {info.key: info.public_proofs for info in store.reader.logs(None, "0", 9)}
            assert found == {one: public, two: False}
        with store.transaction() as transaction:
            info = store.reader.log_by_key(one)
            assert info is not None
            other = info._replace(log_id=type(info.log_id)(int=5), name="three")
            three = transaction.add_log(other, head := store.reader.heads([one])[one])
        assert head.size == 0
        found_three = store.reader.log_by_key(three)
        assert found_three is not None
        assert found_three.public_proofs

    def test_metas_are_the_chunks_without_their_bodies(self, store: Store) -> None:
        """Those that hold the events asked for, and neither those before nor those after."""
        log = add_log(store)
        rows = [row._replace(leaves=b"", payload=b"") for row in fill(store, log, [3, 1, 4, 2])]
        for first in range(1, 11):
            for last in range(first, 11):
                wanted = [row for row in rows if row.first <= last and row.first + row.events > first]
                assert store.reader.metas(log, first, last) == wanted
        assert store.reader.metas(log + 1, 1, 5) == []
