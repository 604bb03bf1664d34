"""Tests of the view, in the same host as the server's: `indelible view build`, then `python -m unittest`."""

import json
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMPONENT = HERE / "{{name}}.wasm"


def ask(query: str) -> dict:
    """Fold events.ndjson, check that the view is deterministic, and return its answer to `query`."""
    command = [sys.executable, "-m", "indelible.cli", "view", "test", str(COMPONENT), "--json"]
    command += ["--events", str(HERE / "events.ndjson"), "--query", query]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return json.loads(done.stdout)["questions"][0]


class Tests(unittest.TestCase):
    """What the view answers about events.ndjson."""

    def test_actions_are_counted_by_actor(self) -> None:
        """The busiest first; events by nobody stand under null."""
        answer = ask("")["answer"]
        counts = [row[:2] for row in answer["rows"]]
        self.assertEqual(counts, [["user_8f3a", 3], ["user_11c0", 2], [None, 1], ['ü/ser "9"', 1]])
        self.assertEqual(answer["cover"]["events_folded"], 8)
        self.assertEqual(answer["cover"]["unreadable"], 1)

    def test_a_window_and_an_actor_narrow_it_down(self) -> None:
        """An instant in `before` is exclusive; events here are 1 s apart, from 2026-01-01 on."""
        answer = ask("before=2026-01-01T00:00:06Z&actor=user_8f3a")["answer"]
        self.assertEqual([row[:2] for row in answer["rows"]], [["user_8f3a", 2]])
        self.assertEqual(answer["cover"]["events_matched"], 2)

    def test_a_wrong_question_is_refused(self) -> None:
        """A filter that is dropped silently makes a wrong report."""
        self.assertIn("colour is no parameter", ask("colour=red")["refused"])


if __name__ == "__main__":
    unittest.main()
