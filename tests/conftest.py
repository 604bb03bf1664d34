"""What holds for every test: a list of those that were left out, and no gap where none is allowed.

`INDELIBLE_LEFT_OUT` names a file that takes the list, for `scripts/test`. With `INDELIBLE_TEST_ALL=1` a
test that was left out fails the run.
"""

import os
from collections import Counter
from pathlib import Path

import pytest

ALL = os.environ.get("INDELIBLE_TEST_ALL") == "1"


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return the reason of a skip as the test stated it."""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


def left_out(reporter: pytest.TerminalReporter) -> list[str]:
    """Return one line for each reason: how many tests, and why."""
    reasons = Counter(reason_of(report) for report in reporter.stats.get("skipped", []))
    return [f"  {count} x {reason}" for reason, count in sorted(reasons.items())]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Hand the list of what was left out to the script that started this run."""
    lines = left_out(terminalreporter)
    path = os.environ.get("INDELIBLE_LEFT_OUT")
    if path:
        Path(path).write_text("".join(line + "\n" for line in lines))
    if lines and ALL:
        terminalreporter.section("left out, which fails this run (INDELIBLE_TEST_ALL=1)")
        for line in lines:
            terminalreporter.line(line)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail the run when a test was left out and none may be."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if ALL and exitstatus == 0 and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
