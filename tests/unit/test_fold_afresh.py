"""One answer from nothing: batches do not count, failures name their event, and it can be ended."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tests.harness import wat

from indelible.fold.afresh import Afresh, FoldFailed
from indelible.fold.compile import Compiler
from indelible.fold.errors import Aborted
from indelible.fold.host import Host
from indelible.fold.types import Batch
from indelible.model.limits import Limits

DEAR = """(local $n i32) (local.set $n (i32.mul (local.get 2) (i32.const 30000)))
    (loop $l (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $l (i32.gt_s (local.get $n) (i32.const 0))))"""
"""An append that takes fuel for each event."""

TENTH = """(if (i64.gt_u (i64.add (local.get 0) (i64.extend_i32_u (local.get 2))) (i64.const 10))
    (then unreachable))"""
"""An append that traps at event 10, and in every batch that reaches it."""


def batches(sizes: Sequence[int]) -> Iterator[Batch]:
    """Events in batches of these sizes."""
    first = 1
    for size in sizes:
        yield wat.batch(*[b"{}"] * size, first=first)
        first += size


def run(folder: Path, append: str, limits: Limits = wat.LIMITS, seconds: float = 60.0) -> Afresh:
    """A run of a view with this append before the usual one."""
    wasm = wat.wasm(append=f"{append} {wat.BODIES['append']}")
    compiled = Compiler(folder, limits).compile(wasm)
    return Afresh(Host(folder, limits), compiled, "", (), seconds)


@pytest.mark.parametrize("sizes", [[21], [1] * 21, [7, 7, 7], [20, 1]])
def test_fuel_of_a_batch_does_not_depend_on_the_batch(tmp_path: Path, sizes: list[int]) -> None:
    """Where a batch is over what a call may use and its events are not, the answer is the same."""
    limits = replace(wat.LIMITS, fold_fuel_per_batch=2_000_000)
    seen: list[int] = []
    answer = run(tmp_path, DEAR, limits).answer(lambda: batches(sizes), wat.NO_QUESTION, seen.append)
    assert answer.body == b"{}"
    assert seen[-1] == 21


@pytest.mark.parametrize("sizes", [[21], [1] * 21, [7, 7, 7], [9, 12]])
def test_a_failure_names_its_event(tmp_path: Path, sizes: list[int]) -> None:
    """The event at which a view fails is found, however the events come."""
    with pytest.raises(FoldFailed) as failed:
        run(tmp_path, TENTH).answer(lambda: batches(sizes), wat.NO_QUESTION)
    assert (failed.value.sequence, failed.value.refused) == (10, False)


def test_it_can_be_stopped(tmp_path: Path) -> None:
    """`stop` ends it, during the fold and before it began; nothing is decided by that."""
    fold = run(tmp_path, "")
    with pytest.raises(Aborted, match="enough"):
        fold.answer(lambda: batches([7, 7, 7]), wat.NO_QUESTION, lambda _last: fold.stop("enough"))
    with pytest.raises(Aborted, match="enough"):
        fold.answer(lambda: batches([7]), wat.NO_QUESTION)


def test_the_whole_of_it_has_a_limit(tmp_path: Path) -> None:
    """Its seconds bound all calls together, not each."""
    with pytest.raises(Aborted, match="did not end within 0 s"):
        run(tmp_path, "", seconds=0.0).answer(lambda: batches([7]), wat.NO_QUESTION)
