"""What holds for every test: a list of those that were left out, and no gap where none is allowed.

`INDELIBLE_LEFT_OUT` names a file that takes the list, for `scripts/test`. With `INDELIBLE_TEST_ALL=1` a
test that was left out fails the run, but for the one reason that no installation can mend.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("few", max_examples=20)  # for runs that only gather what tests make

ALL = os.environ.get("INDELIBLE_TEST_ALL") == "1"

STATE = tempfile.mkdtemp(prefix="indelible-tests-state-")
"""Commands that tests run remember heads there, and not where whoever runs the tests remembers them."""
os.environ["XDG_STATE_HOME"] = STATE
atexit.register(shutil.rmtree, STATE, ignore_errors=True)

NO_VECTORS = "needs ../shared/vectors"
"""The one reason that fails no run: it stands in the list, and nothing else does it excuse.

The published vectors lie outside of the repository, and no package brings them: whoever has a clone alone
could never pass. What they show is also shown by our own slow tree and by Go's implementation.
"""


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the reason of a skip as the test stated it."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


def left_out(reporter: pytest.TerminalReporter) -> Counter[str]:
    """Return how many tests were left out for each reason."""
    return Counter(reason_of(report) for report in reporter.stats.get("skipped", []))


def listed(reasons: Counter[str]) -> list[str]:
    """Return one line for each reason: how many tests, and why."""
    return [f"  {count} x {reason}" for reason, count in sorted(reasons.items())]


def gaps(reasons: Counter[str]) -> Counter[str]:
    """Return what may not be left out where nothing may."""
    return Counter({reason: count for reason, count in reasons.items() if reason != NO_VECTORS})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Hand the list of what was left out to the script that started this run."""
    reasons = left_out(terminalreporter)
    path = os.environ.get("INDELIBLE_LEFT_OUT")
    if path:
        Path(path).write_text("".join(line + "\n" for line in listed(reasons)))
    lines = listed(gaps(reasons))
    if lines and ALL:
        terminalreporter.section("left out, which fails this run (INDELIBLE_TEST_ALL=1)")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session", autouse=True)
def _databases() -> Iterator[None]:
    """What tests started of PostgreSQL ends with the session."""
    yield
    postgres = sys.modules.get("tests.harness.postgres")
    if postgres is not None:
        postgres.end_sessions()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run when a test was left out that may not be."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if ALL and exitstatus == 0 and reporter is not None and gaps(left_out(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
