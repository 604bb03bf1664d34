"""Takes primaries away under load and says what came of it: `scripts/test-failover [KILLS]`."""

import os
import sys
import tempfile
import time
from pathlib import Path

import pytest
from tests.harness.failover import Kill, survive

KINDS: tuple[Kill, ...] = ("postgres", "member", "cable") if os.geteuid() == 0 else ("postgres", "member")
"""By turns. Cables are those of networks that only root can make."""


def say(words: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main(kills: int) -> int:
    """Run, print progress and a table, and return an exit code: 1 where something told does not hold."""
    began = time.monotonic()

    def tell(words: str) -> None:
        say(f"{time.monotonic() - began:6.1f} s  {words}")

    with tempfile.TemporaryDirectory(prefix="indelible-failover-") as folder:
        try:
            outcome = survive(Path(folder), [KINDS[at % len(KINDS)] for at in range(kills)], tell)
        except pytest.skip.Exception as missing:
            sys.stderr.write(f"{missing}\n")
            return 3
        except AssertionError as error:
            sys.stderr.write(f"A promise does not hold: {error}\n")
            return 1
    say(f"\n{'killed':<10}{'member':<8}{'followed by':<13}seconds without an acknowledged append")
    for outage in outcome.outages:
        say(f"{outage.killed:<10}{outage.member:<8}{outage.followed_by:<13}{outage.seconds:.1f}")
    none, unknown = outcome.refused_without_effect, outcome.refused_unknown
    say(f"\n{outcome.acknowledged} appends acknowledged, 0 lost")
    say(f"refused meanwhile: {none} without effect, {unknown} unknown, each settled by a retry with its key")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 4))
