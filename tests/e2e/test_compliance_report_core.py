"""The tests that the view's core brings along in Rust, where Rust is there."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

VIEWS = Path(__file__).resolve().parents[2] / "views"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_core_passes_its_own_tests() -> None:
    """The scanner agrees with another JSON reader; snapshots, dates and refusals hold."""
    cargo = shutil.which("cargo")
    if cargo is None:
        reason = "needs Rust: apt-get install cargo-web rustc-web"
        if os.environ.get("INDELIBLE_TEST_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run(
        [cargo, "test", "--locked", "--quiet"], cwd=VIEWS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-4_000:]
