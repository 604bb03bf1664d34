"""The command that holds keys: what it is given, what is taken from it, and what comes of a failure."""

import base64
import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from indelible.log.command import SignerCommand
from indelible.log.signers import Signers
from indelible.model.errors import Problem
from indelible.model.limits import Limits
from indelible.notes.keys import Signer

ORIGIN = "x.example/logs/1"
EXAMPLE = Path(__file__).parents[1] / "harness" / "signer_command.py"
KEY = Signer(ORIGIN, bytes(32))
RAW = KEY.verifier.public_key


class Hands:
    """A monotonic clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now


def command(words: list[str], hands: Hands | None = None, **limits: float) -> SignerCommand:
    """A signer command of these words."""
    return SignerCommand(shlex.join(words), Limits(**limits), monotonic=hands or time.monotonic)  # type: ignore[arg-type]  # numbers of their own kinds


def script(text: str) -> list[str]:
    """A command that is a Python script."""
    return [sys.executable, "-c", text]


def refused(wanted: SignerCommand) -> str:
    """Why the command's public key is refused."""
    with pytest.raises(Problem) as caught:
        wanted.public_key(ORIGIN, 0)
    assert caught.value.code.name == "signer_failed"
    return caught.value.detail


def test_the_example_signs_with_a_key_for_each_log_and_generation(tmp_path: Path) -> None:
    """What it signs verifies with the key that it gave for that origin and generation, and with no other."""
    example = command([sys.executable, str(EXAMPLE), str(tmp_path)])
    signers = Signers(bytes(32), example)
    keys = [signers.new(ORIGIN, 0), signers.new(ORIGIN, 1), signers.new("x.example/logs/2", 0)]
    assert len({key.verifier.public_key for key in keys}) == 3
    for key in keys:
        signature = key.sign("a text\n")
        assert [other.verifier.verify("a text\n", signature) for other in keys] == [
            other is key for other in keys
        ]
    again = Signers(bytes(32), command([sys.executable, str(EXAMPLE), str(tmp_path)])).new(ORIGIN, 1)
    assert again.verifier == keys[1].verifier


@pytest.mark.parametrize("written", [RAW, base64.b64encode(RAW), base64.b64encode(RAW) + b"\n"])
def test_answers_are_raw_or_base64(written: bytes) -> None:
    """Both are read, a line's end or not."""
    answer = command(script(f"import sys; sys.stdout.buffer.write({written!r})"))
    assert answer.public_key(ORIGIN, 0) == KEY.verifier


def test_it_gets_origin_and_generation_and_none_of_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words are handed over as they are, without a shell; what is ours in the environment stays ours."""
    monkeypatch.setenv("INDELIBLE_ROOT_KEY", "a-secret")
    monkeypatch.setenv("PIN_FILE", "kept")
    heard = tmp_path / "heard"
    text = (
        "import json, os, sys; from pathlib import Path\n"
        f"Path({str(heard)!r}).write_text(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
        f"sys.stdout.buffer.write({RAW!r})"
    )
    command([*script(text), "$HOME;x"]).public_key(ORIGIN, 7)
    said = heard.read_text()
    assert said.startswith(f'[["$HOME;x", "public-key", "{ORIGIN}", "7"]')
    assert '"PIN_FILE": "kept"' in said
    assert "a-secret" not in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import sys; sys.exit('no slot')", "exit code 1: 'no slot'"),
        ("print('x' * 5000)", "more than 4096 bytes"),
        ("print('not a key')", "not 32 bytes"),
        ("", "not 32 bytes"),
        ("import os; os.kill(os.getpid(), 9)", "exit code -9"),
    ],
)
def test_what_is_no_answer_is_refused_and_said(text: str, words: str) -> None:
    """An exit code, too much, something else, nothing, and a death: each in words for the operator."""
    wanted = command(script(text))
    assert words in refused(wanted)
    assert words in (wanted.failure or "")


def test_a_command_that_is_not_there_is_refused() -> None:
    """A slip in its name is told as such."""
    assert "could not be run" in refused(command(["/no/such/command"]))


@pytest.mark.parametrize("line", ["", "  ", "'open"])
def test_a_line_that_is_no_command_is_refused_at_start(line: str) -> None:
    """Nothing, or a quote that is not closed."""
    with pytest.raises(ValueError, match=r"."):
        SignerCommand(line, Limits())


def test_a_run_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """Also a child of it that holds its output open; and the caller waits no longer than the limit."""
    child = tmp_path / "child"
    text = (
        "import subprocess, sys; from pathlib import Path\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"Path({str(child)!r}).write_text(str(p.pid))"
    )
    started = time.monotonic()
    assert "longer than 1 s" in refused(command(script(text), signer_seconds=1.0))
    assert time.monotonic() - started < 20
    deadline = time.monotonic() + 20
    while _runs(int(child.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_signature_that_does_not_verify_is_never_used() -> None:
    """Another key's, or one over another text."""
    wrong = Signer(ORIGIN, b"w" * 32).sign("a text\n")
    other = KEY.sign("another text\n")
    for signature in (wrong, other):
        held = command(script(f"import sys; sys.stdout.buffer.write({signature!r})"))
        with pytest.raises(Problem, match="does not verify"):
            held.sign("a text\n", 0, KEY.verifier)
        assert held.failure is not None
    right = command(script(f"import sys; sys.stdout.buffer.write({KEY.sign('a text' + chr(10))!r})"))
    assert KEY.verifier.verify("a text\n", right.sign("a text\n", 0, KEY.verifier))
    assert right.failure is None


def test_after_a_failure_none_is_run_for_a_while(tmp_path: Path) -> None:
    """What waits is refused at once, with when to come back; then one run is tried again."""
    hands, runs = Hands(), tmp_path / "runs"
    text = f"open({str(runs)!r}, 'a').write('x'); import sys; sys.exit(1)"
    wanted = command(script(text), hands, signer_retry_seconds=5.0)
    for moment, expected in [(0.0, 1), (0.1, 1), (4.9, 1), (5.1, 2), (6.0, 2), (10.2, 3)]:
        hands.now = moment
        refused(wanted)
        assert len(runs.read_text()) == expected


def test_a_key_of_a_command_is_not_signed_for_without_one() -> None:
    """A server that was started without its command says so, and derives nothing in its place."""
    with pytest.raises(Problem, match="--signer-command"):
        Signers(bytes(32)).known("command", KEY.verifier, 0)
