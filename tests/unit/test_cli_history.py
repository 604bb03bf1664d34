"""The history of a clone becomes events: each change of a file, with before and after."""

import os
import subprocess
from pathlib import Path

import pytest

from indelible.cli.demo import find_source
from indelible.cli.history import parse_history, read_history

WHO = {
    "GIT_AUTHOR_NAME": "Example Author",
    "GIT_AUTHOR_EMAIL": "author@example.com",
    "GIT_AUTHOR_DATE": "2025-01-02T03:04:05+02:00",
    "GIT_COMMITTER_NAME": "Example Author",
    "GIT_COMMITTER_EMAIL": "author@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def git(folder: Path, *arguments: str) -> None:
    """Run git with a fixed author."""
    subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, env={**os.environ, **WHO}
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A real repository: add, change, rename, delete, an empty commit, awkward names."""
    try:
        git(tmp_path, "init", "--initial-branch", "main")
    except FileNotFoundError:
        pytest.skip("needs git: apt-get install git")
    (tmp_path / "a\tb é.txt").write_text("one\n" * 20)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "Add \x1f a file")
    (tmp_path / "a\tb é.txt").write_text("one\n" * 20 + "two\n")
    git(tmp_path, "commit", "-am", "Change it")
    git(tmp_path, "mv", "a\tb é.txt", "c.txt")
    git(tmp_path, "commit", "-m", "Rename it")
    git(tmp_path, "commit", "--allow-empty", "-m", "Nothing")
    git(tmp_path, "rm", "c.txt")
    git(tmp_path, "commit", "-m", "Delete it")
    return tmp_path


def test_each_change_is_an_event(clone: Path) -> None:
    """Oldest first: added, modified, renamed, a commit without changes, deleted."""
    events = read_history(clone)
    assert [event["type"] for event in events] == [
        "file.added", "file.modified", "file.renamed", "commit", "file.deleted",
    ]  # fmt: skip
    added, modified, renamed, _, deleted = events
    assert added["resource"] == modified["resource"] == "a\tb é.txt"
    assert added["changes"]["blob"][0] is None
    assert added["changes"]["blob"][1] == modified["changes"]["blob"][0]
    assert renamed["changes"]["path"] == ["a\tb é.txt", "c.txt"]
    assert deleted["changes"]["blob"][1] is None
    assert added["actor"] == {"id": "author@example.com", "name": "Example Author"}
    assert added["occurred_at"] == "2025-01-02T03:04:05+02:00"
    assert added["message"] == "Add \x1f a file"


def test_nothing_where_there_is_no_history(tmp_path: Path) -> None:
    """Outside of a clone, and in one without commits, there are no events, and the shipped trail is shown."""
    outside = tmp_path / "outside"
    outside.mkdir()
    assert read_history(outside) == []
    source = find_source(outside)
    assert len(source.events) > 100
    assert "Indelible's own history" in source.says
    assert {"type", "actor", "resource", "occurred_at"} <= set(source.events[0])


def test_no_output_is_no_event() -> None:
    """Empty output of git is nothing."""
    assert list(parse_history("")) == []
