"""An auditor's machine: installed without extras, without a server, and an evidence file is checked there."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harness.answers import answered
from tests.harness.evidence import KEYS, members_of, zipped

ROOT = Path(__file__).resolve().parents[2]
NO_INDEX = ("Could not find a version", "Temporary failure", "Connection", "connection", "Max retries")


def run(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a command."""
    return subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh environment, in which the project stands without extras."""
    folder = tmp_path_factory.mktemp("alone")
    source = folder / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("guest", "wit"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("target", "node_modules"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    assert run(sys.executable, "-m", "venv", folder / "env").returncode == 0
    pip = run(folder / "env/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check", source)
    if pip.returncode and any(words in pip.stderr for words in NO_INDEX):
        pytest.skip("needs the index that pip uses: no package could be fetched")
    assert pip.returncode == 0, pip.stderr
    return folder


def test_evidence_is_verified_without_the_server_installed(alone: Path) -> None:
    """`verify` works with the base set alone, and the server's libraries are not there."""
    (alone / "evidence.zip").write_bytes(zipped(members_of(window=(4, 10))))
    (alone / "keys").write_text("\n".join(KEYS))
    done = run(alone / "env/bin/indelible", "verify", alone / "evidence.zip", "--key", alone / "keys")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("Everything that the file claims is proved.\n")
    listed = run(alone / "env/bin/python", "-m", "pip", "list", "--disable-pip-version-check").stdout
    assert "msgspec" in listed
    assert not [name for name in ("apsw", "wasmtime", "uvloop", "structlog") if name in listed]


def test_a_report_is_checked_without_the_engine_and_recomputed_with_its_extra(alone: Path) -> None:
    """With the base set alone the report is unproved, with the command that helps; with that it is proved."""
    (alone / "report.zip").write_bytes(zipped(answered()))
    (alone / "keys").write_text("\n".join(KEYS))
    verify = (alone / "env/bin/indelible", "verify", alone / "report.zip", "--key", alone / "keys")
    done = run(*verify)
    assert done.returncode == 6, done.stdout + done.stderr
    assert "pip install 'indelible[reports]'" in done.stdout
    more = alone / "more"  # beside the environment, so that the other tests go on without it
    pip = (alone / "env/bin/python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
    assert run(*pip, "--target", more, f"{alone / 'source'}[reports]").returncode == 0
    done = run("env", f"PYTHONPATH={more}", *verify)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Recomputing the report from the events gives the same" in done.stdout


@pytest.mark.parametrize("words", [("serve", "--data", "d"), ("doctor", "--data", "d"), ("demo", "--once")])
def test_what_needs_the_server_says_what_to_install(alone: Path, words: tuple[str, ...]) -> None:
    """One sentence, with the command that helps, and no traceback."""
    done = run(alone / "env/bin/indelible", *words)
    assert done.returncode == 1
    assert "pip install 'indelible[server]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("language", ["python", "rust", "js"])
def test_a_view_is_scaffolded_from_what_is_installed(alone: Path, language: str) -> None:
    """SDK, template and contract are in the wheel: no clone and no registry is needed."""
    done = run(
        alone / "env/bin/indelible", "view", "new", f"a-{language}", "--lang", language, "--into", alone
    )
    assert done.returncode == 0, done.stderr
    assert (alone / f"a-{language}/wit/view.wit").read_bytes() == (ROOT / "wit/view.wit").read_bytes()
    assert (alone / f"a-{language}/test_view.py").exists()
