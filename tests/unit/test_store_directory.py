"""The data directory: made for its owner alone, with durable entries."""

import os
import stat
from pathlib import Path

import pytest

from indelible.store import directory, durable
from indelible.store.base import StoreRefused
from indelible.store.directory import DataDirectory


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, list[str]]]:
    """The folders that are synced, each with what stood in it then."""
    seen: list[tuple[Path, list[str]]] = []

    def sync(path: Path) -> None:
        durable.sync(path)
        seen.append((path, sorted(entry.name for entry in path.iterdir())))

    monkeypatch.setattr(directory, "sync", sync)
    return seen


def test_each_folder_that_is_made_has_a_durable_entry(
    tmp_path: Path, synced: list[tuple[Path, list[str]]]
) -> None:
    """The folder above is synced after the entry is in it, before anything is stored inside."""
    DataDirectory(tmp_path / "a" / "b" / "data")
    assert synced[-3:] == [(tmp_path, ["a"]), (tmp_path / "a", ["b"]), (tmp_path / "a" / "b", ["data"])]


def test_a_folder_that_is_there_is_synced_too(tmp_path: Path, synced: list[tuple[Path, list[str]]]) -> None:
    """The process that made it may have died before it came to that."""
    (tmp_path / "data").mkdir()
    DataDirectory(tmp_path / "data")
    assert synced == [(tmp_path, ["data"])]


def test_a_folder_in_one_that_cannot_be_read_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner may enter the folder above without being allowed to list it, and then has not made it."""

    def refused(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(directory, "sync", refused)
    DataDirectory(tmp_path)
    with pytest.raises(StoreRefused, match="Permission denied"):
        DataDirectory(tmp_path / "new")


def test_only_the_folder_itself_is_closed_to_others(tmp_path: Path) -> None:
    """Those above it are made as the user's mask has it; a file in its place is refused."""
    before = os.umask(0o022)
    try:
        DataDirectory(tmp_path / "above" / "data")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "above").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "above" / "data").stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(StoreRefused, match="cannot be used as a data directory"):
        DataDirectory(tmp_path / "file")
