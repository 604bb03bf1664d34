"""What a run that leaves nothing out may leave out all the same: one thing, by name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import NO_VECTORS

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
TOOL = "needs go: apt-get install golang-go"


def run(folder: Path, reasons: tuple[str, ...], *, all_: bool) -> tuple[int, str, str]:
    """Run one test that passes and one for each reason that is skipped; exit code, list, what was said."""
    shutil.copy(CONFTEST, folder / "conftest.py")
    tests = ["def test_passes(): pass", "import pytest"]
    tests += [f"def test_{at}(): pytest.skip({reason!r})" for at, reason in enumerate(reasons)]
    (folder / "test_it.py").write_text("\n".join(tests))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "INDELIBLE_LEFT_OUT": str(folder / "list"),
        "INDELIBLE_TEST_ALL": "1" if all_ else "",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "."]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, (folder / "list").read_text(), done.stdout


@pytest.mark.parametrize(
    ("reasons", "code"),
    [
        ((), 0),
        ((NO_VECTORS,), 0),
        ((NO_VECTORS, NO_VECTORS), 0),
        ((TOOL,), 1),
        ((NO_VECTORS, TOOL), 1),
        ((NO_VECTORS + " and more",), 1),
    ],
)
def test_only_the_folder_of_vectors_may_be_missing_where_nothing_may(
    tmp_path: Path, reasons: tuple[str, ...], code: int
) -> None:
    """Any other reason fails the run, also beside that one; and each stands in the list, that one too."""
    found, listed, said = run(tmp_path, reasons, all_=True)
    assert found == code, said
    assert all(f" x {reason}\n" in listed for reason in reasons)
    assert ("which fails this run" in said) is (code == 1)
    assert (f" x {NO_VECTORS}\n" in said.partition("which fails this run")[2]) is False


def test_an_ordinary_run_passes_with_what_it_lists(tmp_path: Path) -> None:
    """`scripts/test` ends with the list and is green."""
    found, listed, said = run(tmp_path, (TOOL, TOOL, NO_VECTORS), all_=False)
    assert (found, listed) == (0, f"  1 x {NO_VECTORS}\n  2 x {TOOL}\n"), said
