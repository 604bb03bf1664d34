"""The demo is what a stranger sees first: four calls on real data, each of which can be pasted."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEMO = [sys.executable, "-m", "indelible.cli", "demo"]


def test_the_four_calls_are_shown_on_the_shipped_trail(tmp_path: Path) -> None:
    """Outside of a clone: the four calls, a file's and an author's report, all answered; nothing stays."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "GIT_CEILING_DIRECTORIES": str(tmp_path)}
    begin = time.monotonic()
    done = subprocess.run(
        [*DEMO, "--once", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begin < 100
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert [step["status"] for step in steps] == [201, 201, 201, 201, 200, 200, 200]
    created, appended, batch, deployed, asked, file, author = (step["answer"] for step in steps)
    assert created["name"] == "demo-history"
    assert appended["sequence"] == 1
    assert deployed["builtin"] == "compliance-report"
    assert asked["cover"]["events_folded"] == batch["last_sequence"]
    assert asked["cover"]["events_matched"] == batch["last_sequence"]
    assert asked["changes_by_resource"]
    assert len(file["changes_by_resource"]) == 1
    assert author["actions_by_actor"][0]["actions"] == author["cover"]["events_matched"] > 100
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with one commit."""
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "file.txt").write_text("text\n")
    identity = ["-c", "user.name=Example Author", "-c", "user.email=author@example.com"]
    try:
        for arguments in (["init"], ["add", "."], [*identity, "commit", "-m", "Begin"]):
            subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs git: apt-get install git")
    return folder


def test_a_demo_that_stays_up_can_be_pasted_into(clone: Path) -> None:
    """The clone's commit is shown; the shown append, pasted into a shell, appends; Ctrl-C ends all."""
    try:
        subprocess.run(["curl", "--version"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs curl: apt-get install curl")
    with subprocess.Popen(DEMO, cwd=clone, stdout=subprocess.PIPE, text=True) as demo:
        try:
            append = _shown_append(demo)
            pasted = subprocess.run(["bash", "-c", append], check=True, capture_output=True, timeout=30)
            assert json.loads(pasted.stdout)["sequence"] == 2
            demo.send_signal(signal.SIGINT)
            assert demo.wait(timeout=60) == 130
        finally:
            demo.terminate()
    port = re.findall(r"http://127\.0\.0\.1:(\d+)", append)[0]
    gone = subprocess.run(["curl", f"http://127.0.0.1:{port}/healthz"], check=False, capture_output=True)
    assert gone.returncode == 7


def _shown_append(demo: "subprocess.Popen[str]") -> str:
    """Read until the demo waits, and return its command for an append."""
    assert demo.stdout is not None
    shown = ""
    while "Ctrl-C ends it" not in shown:
        line = demo.stdout.readline()
        assert line, shown
        shown += line
    assert "author@example.com" in shown
    assert "the clone at" in shown
    return next(line[2:] for line in shown.splitlines() if re.match(r"\$ curl \S+/append ", line))
