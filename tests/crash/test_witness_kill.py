"""A witness that is killed at any moment: never two roots of one size, never a step back."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.harness.tracing import need_strace
from tests.harness.witnesses import MemoryLog, start_witness

SEED = 20_261_125


def histories() -> tuple[MemoryLog, MemoryLog]:
    """Two logs of one key that part after 3 events: what a forger has."""
    true, false = MemoryLog(), MemoryLog()
    true.grow(*(b"%d" % n for n in range(60)))
    false.grow(*(b"%d" % n for n in range(3)), *(b"other %d" % n for n in range(57)))
    return true, false


RENAME = "rename,renameat,renameat2"


@pytest.mark.parametrize(("moment", "size"), [("delay_enter", 2), ("delay_exit", 6)])
def test_a_kill_between_stored_and_answered_leaves_one_history(
    tmp_path: Path, moment: str, size: int
) -> None:
    """Killed as its record gets its name, before and after: it goes on from what may have left it.

    Not stored, so not answered: the size before stands. Stored and not answered: the new size stands, and
    the history that parts before it is never cosigned.
    """
    need_strace()
    true, false = histories()
    data = tmp_path / "w"
    with start_witness(data, "--log", true.vkey) as first:
        assert first.add(true.request(0, 2)).status_code == 200
    hold = f"inject={RENAME}:{moment}=30000000:when=1"
    tracer = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={RENAME}", "-e", hold)
    with (
        start_witness(data, "--log", true.vkey, before=tracer) as killed,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(killed.add, true.request(2, 6))
        (folder,) = (data / "state" / "cosigned").iterdir()
        held = time.monotonic() + 30
        while not any(b"\n6\n" in path.read_bytes() for path in folder.iterdir()):
            assert time.monotonic() < held
            time.sleep(0.01)
        killed.kill()
        assert isinstance(answer.exception(30), httpx.HTTPError)  # nobody got a cosignature
    with start_witness(data, "--log", true.vkey) as again:
        assert again.add(true.request(0, 8)).text == f"{size}\n"
        if size == 6:
            assert again.add(false.request(6, 8)).status_code == 422
        assert again.add(true.request(size, 8)).status_code == 200
        assert again.add(false.request(8, 9)).status_code == 422


def test_kills_in_a_race_of_two_histories(tmp_path: Path) -> None:
    """Both histories are offered, and it is killed, again and again: one of them alone is ever cosigned."""
    randomness = random.Random(SEED)  # noqa: S311 - no secret, and a failure comes again
    true, false = histories()
    data = tmp_path / "w"
    roots: dict[int, set[str]] = {}
    newest = 0
    for _ in range(6):
        with start_witness(data, "--log", true.vkey) as witness:
            for _ in range(randomness.randrange(2, 12)):
                log = randomness.choice([true, false])
                size = randomness.randrange(newest, 60)
                answer = witness.add(log.request(0, size))
                if answer.status_code == 409:
                    told = int(answer.text)
                    assert told >= newest
                    answer = witness.add(log.request(min(told, size), size))
                if answer.status_code == 200:
                    assert size >= newest
                    newest = size
                    roots.setdefault(size, set()).add(log.checkpoint(size).split(b"\n")[2].decode())
            witness.kill()
    assert all(len(found) == 1 for found in roots.values())
    assert max(roots) == newest
