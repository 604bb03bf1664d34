"""Programs in Go with golang.org/x/mod's tlog and note, for tests of what others can check."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_GOPATH = Path("/usr/share/gocode")
_SOURCES = Path(__file__).parents[1] / "conformance" / "go"


def build(source: str, folder: Path) -> Path:
    """Build a program of `tests/conformance/go`; skips where Go or its tlog package is missing."""
    if not shutil.which("go") or not (_GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("needs go and golang-golang-x-mod-dev: apt-get install golang-go golang-golang-x-mod-dev")
    program = folder / "program"
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(_GOPATH), "GOFLAGS": "", "GOWORK": "off"}
    if "HOME" not in environment:  # else Go's own cache makes the second build quick
        environment["GOCACHE"] = str(folder / "cache")
    subprocess.run(["go", "build", "-o", program, "."], cwd=_SOURCES / source, env=environment, check=True)
    return program
