"""The contract of storage for its end, for every engine.

A subclass gives the fixture `store`, as `StoreContract` does.
"""

import threading

from indelible.store.base import Store, StoreClosed

READERS = 8


class CloseContract:
    """What every engine must do."""

    def test_closing_waits_for_who_reads_and_tells_who_comes_later(self, store: Store) -> None:
        """A thread that reads while a server stops meets no fault and finds no damage: it is told."""
        reading, ended = threading.Barrier(READERS + 1), list[type[Exception]]()

        def read() -> None:
            reading.wait(30)
            try:
                while True:
                    store.reader.meta("a")
            except Exception as error:  # noqa: BLE001 - whatever it is, the test compares it
                ended.append(type(error))

        threads = [threading.Thread(target=read) for _ in range(READERS)]
        for thread in threads:
            thread.start()
        reading.wait(30)
        store.close()
        for thread in threads:
            thread.join(30)
        assert ended == [StoreClosed] * READERS
