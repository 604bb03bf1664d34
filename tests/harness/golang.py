"""Programs in Go that judge what we claim, with golang.org/x/mod/sumdb/tlog and note."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

GOPATH = Path("/usr/share/gocode")
SOURCES = Path(__file__).parents[1] / "conformance" / "go"


def build(source: str, folder: Path) -> Path:
    """Build a program of `tests/conformance/go`; skips where Go or its tlog package is missing."""
    if not shutil.which("go") or not (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("needs go and golang-golang-x-mod-dev: apt-get install golang-go golang-golang-x-mod-dev")
    program = folder / "program"
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(GOPATH), "GOFLAGS": "", "GOWORK": "off"}
    if "HOME" not in environment:  # else Go's own cache makes the second build quick
        environment["GOCACHE"] = str(folder / "cache")
    subprocess.run(["go", "build", "-o", program, "."], cwd=SOURCES / source, env=environment, check=True)
    return program


def ask(program: Path, claims: dict[str, Any]) -> tuple[int, str]:
    """Give the program `tlog` claims; return its exit code and what it says."""
    text = json.dumps(claims, default=lambda value: base64.b64encode(value).decode())
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr
