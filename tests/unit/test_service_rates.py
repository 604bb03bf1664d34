"""Rates bound a key, and all keys of a workspace together; without a limit nothing is counted."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS, Limits
from indelible.service.rates import Rates

Take = Callable[[str, int], None]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock, to be set."""
    moment = [100.0]
    monkeypatch.setattr("indelible.service.rates.time.monotonic", lambda: moment[0])
    return moment


def limited(name: str, per_second: int) -> tuple[Take, Limits]:
    """What counts a call, with one limit set."""
    limits = replace(DEFAULT_LIMITS, **{name: per_second})
    made = Rates(limits)
    return (made.append if name.startswith("appends") else made.query), limits


def refused(take: Take, key: str, workspace: int) -> Problem:
    """How it is refused."""
    with pytest.raises(Problem) as found:
        take(key, workspace)
    return found.value


@pytest.mark.parametrize("what", ["appends", "queries"])
def test_a_key_has_its_second_and_then_waits(now: list[float], what: str) -> None:
    """Others of the workspace go on; after a second it may go on too."""
    take, _ = limited(f"{what}_per_second_per_key", 3)
    for _ in range(3):
        take("a", 1)
    problem = refused(take, "a", 1)
    assert (problem.code.name, problem.detail) == ("rate_limited", f"at most 3 {what} a second with this key")
    take("b", 1)
    now[0] += 0.34
    take("a", 1)
    assert refused(take, "a", 1).code.status == 429
    now[0] += 60
    for _ in range(3):
        take("a", 1)
    refused(take, "a", 1)


@pytest.mark.parametrize("what", ["appends", "queries"])
def test_a_workspace_has_its_second_however_many_keys_it_makes(now: list[float], what: str) -> None:
    """The keys of another one go on."""
    take, _ = limited(f"{what}_per_second_per_workspace", 5)
    for number in range(5):
        take(f"key {number}", 1)
    problem = refused(take, "another", 1)
    assert problem.detail == f"at most 5 {what} a second in this workspace"
    take("another", 2)
    now[0] += 1
    take("another", 1)


def test_without_a_limit_nothing_is_refused(now: list[float]) -> None:
    """The default: a node's own bounds are what holds."""
    made = Rates(DEFAULT_LIMITS)
    for _ in range(10_000):
        made.append("a", 1)
        made.query("a", 1)
    assert now == [100.0]
