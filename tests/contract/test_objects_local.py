"""Objects in a directory: the contract of `store.objects`, and the order of its steps on the disk."""

import os
from pathlib import Path

import pytest
from tests.contract.objects_contract import ObjectsContract

from indelible.store.objects import LocalObjects, Objects


class TestLocal(ObjectsContract):
    """`LocalObjects` in a fresh directory."""

    @pytest.fixture
    def objects(self, tmp_path: Path) -> Objects:
        """In a directory that is not there yet."""
        return LocalObjects(tmp_path / "data" / "objects")


# ---------------------------------------------------------------------- the order of steps


class Trace:
    """What was done to the disk, in order: writes, syncs of files and of folders, names that appeared."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.fail_at: str | None = None

    def note(self, step: str) -> None:
        """Note a step, or fail there instead."""
        if self.fail_at is not None and step.startswith(self.fail_at):
            raise OSError(5, f"injected at {step}")
        self.steps.append(step)


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> Trace:
    """Watch the calls that reach the disk; they are done all the same."""
    found = Trace()
    real_write, real_fsync = os.write, os.fsync
    real_replace, real_link, real_mkdir = Path.replace, Path.hardlink_to, Path.mkdir

    def write(handle: int, data: bytes) -> int:
        found.note("write")
        return real_write(handle, data[: max(1, len(data) // 2)])  # a disk may take less than it was given

    def fsync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        found.note(f"sync {'folder ' + path.name if path.is_dir() else 'file'}")
        real_fsync(handle)

    def replace(self: Path, target: Path) -> Path:
        found.note("replace")
        return real_replace(self, target)

    def hardlink_to(self: Path, target: Path) -> None:
        found.note("link")
        real_link(self, target)

    def mkdir(self: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        found.note(f"mkdir {self.name}")
        real_mkdir(self, mode, parents, exist_ok)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(Path, "hardlink_to", hardlink_to)
    monkeypatch.setattr(Path, "mkdir", mkdir)
    return found


def test_put_syncs_the_file_before_its_name_and_its_folder_after(tmp_path: Path, trace: Trace) -> None:
    """A name never stands for bytes that a crash could take, and `put` returns when the name is safe too."""
    objects = LocalObjects(tmp_path / "o")
    trace.steps.clear()
    objects.put("a/b/c", b"12345678")
    assert trace.steps == [
        *("mkdir a", "sync folder o", "mkdir b", "sync folder a"),
        *("write", "write", "write", "write", "sync file", "replace", "sync folder b"),
    ]


def test_create_syncs_in_the_same_order_also_when_it_lost(tmp_path: Path, trace: Trace) -> None:
    """Whoever is told that an object stands there may point at it: so its name is synced by him too."""
    objects = LocalObjects(tmp_path / "o")
    objects.create("a/b", b"x")
    assert trace.steps[-4:] == ["write", "sync file", "link", "sync folder a"]
    trace.steps.clear()
    assert not objects.create("a/b", b"y")
    assert trace.steps[-1] == "sync folder a"


def test_folders_that_a_killed_process_made_are_synced_by_the_next(tmp_path: Path, trace: Trace) -> None:
    """A folder that is there need not be durable: the process that made it may have died before the sync."""
    LocalObjects(tmp_path / "o").put("a/b", b"x")
    trace.steps.clear()
    LocalObjects(tmp_path / "o").put("a/b", b"y")
    assert "sync folder o" in trace.steps


@pytest.mark.parametrize("step", ["write", "sync file", "replace", "sync folder"])
def test_a_put_that_fails_leaves_the_old_object_or_the_new_one_whole(
    tmp_path: Path, trace: Trace, step: str
) -> None:
    """At whichever step it fails: what is read is one of the two, and nothing else is listed."""
    objects = LocalObjects(tmp_path / "o")
    objects.put("a/b", b"old")
    trace.fail_at = step
    with pytest.raises(OSError, match="injected"):
        objects.put("a/b", b"new and longer")
    trace.fail_at = None
    assert objects.get("a/b") in {b"old", b"new and longer"}
    assert (objects.get("a/b") == b"old") == (step != "sync folder")
    assert objects.list("") == ["a/b"]


def test_what_a_crash_left_beside_an_object_is_nobodys(tmp_path: Path) -> None:
    """A file that was being written when the process died is neither listed nor read."""
    objects = LocalObjects(tmp_path / "o")
    objects.put("a/b", b"x")
    (tmp_path / "o" / "a" / ".b.0123456789abcdef").write_bytes(b"half")
    assert objects.list("a/") == ["a/b"]
    assert objects.get("a/b") == b"x"
