"""How much memory instances have, while others are made and freed beside them."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.harness.wat import LIMITS, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A host of this test."""
    bench = Bench(tmp_path)
    with bench.host:
        yield bench


def test_instances_that_come_and_go_beside_each_other_are_measured_right(bench: Bench) -> None:
    """A memory in the place of one that was just freed is noticed; else its whole limit would be counted."""
    bench.open().close()
    wrong: list[int] = []

    def come_and_go() -> None:
        for _ in range(150):
            with bench.open() as fold:
                if fold.memory_bytes >= LIMITS.view_memory_bytes:
                    wrong.append(fold.memory_bytes)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
