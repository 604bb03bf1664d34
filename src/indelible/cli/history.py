"""The history of a git clone as events: one for each file that a commit changed.

type         file.added | file.modified | file.deleted | file.renamed; commit for one that changed none
actor        {"id": e-mail, "name": name} of the author
resource     the file's path; for a commit its abbreviated id
changes      {"blob": [before, after]}, and "path" or "mode" where they changed; null: there was none
commit, message, occurred_at      the commit's id, subject, and the time that its author claims
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

Event = dict[str, Any]

MAX_COMMITS = 2_000
MAX_EVENTS = 20_000
_GIT_SECONDS = 30
_MARK = "\x1e"
_FIELDS = "\x1f"
_FORMAT = _MARK + _FIELDS.join(("%H", "%aE", "%aN", "%aI", "%s"))
_ABBREVIATED = 12
_NO_MODE = "000000"
_KINDS = {"A": "added", "D": "deleted", "R": "renamed", "C": "added"}


class Commit(NamedTuple):
    """What all events of one commit share."""

    commit: str
    email: str
    name: str
    time: str
    subject: str


class Change(NamedTuple):
    """One raw line of git: modes and abbreviated blobs before and after, the status, the paths."""

    modes: tuple[str, str]
    blobs: tuple[str, str]
    status: str
    before: str
    path: str


def read_history(folder: Path) -> list[Event]:
    """Return the newest events of the clone around `folder`, oldest first; none where there is no history."""
    command = [
        "git", "-c", "log.showSignature=false", "-C", str(folder), "log", "--reverse", "--raw", "-z", "-M",
        f"--max-count={MAX_COMMITS}", f"--abbrev={_ABBREVIATED}", "--encoding=UTF-8", f"--format={_FORMAT}",
    ]  # fmt: skip
    try:
        found = subprocess.run(  # noqa: S603 - a fixed command, its arguments are ours
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if found.returncode != 0:
        return []
    return list(parse_history(found.stdout.decode(errors="replace")))[-MAX_EVENTS:]


def read_trail(path: Path) -> list[Event]:
    """Return the events of a file of NDJSON."""
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def parse_history(text: str) -> Iterator[Event]:
    """Turn the output of `git log --raw -z` with our format into events."""
    commit: Commit | None = None
    changed = False
    tokens = iter(text.split("\0"))
    for token in tokens:
        stripped = token.lstrip("\n")
        if stripped.startswith(_MARK):
            if commit is not None and not changed:
                yield _bare_commit(commit)
            commit, changed = Commit(*stripped[1:].rstrip("\n").split(_FIELDS, 4)), False
        elif stripped.startswith(":") and commit is not None:
            yield _event(commit, _change(stripped, tokens))
            changed = True
    if commit is not None and not changed:
        yield _bare_commit(commit)


def _change(line: str, rest: Iterator[str]) -> Change:
    old_mode, new_mode, old_blob, new_blob, status = line[1:].split(" ")
    before = next(rest)
    path = next(rest) if status[0] in "RC" else before
    return Change((old_mode, new_mode), (old_blob, new_blob), status[0], before, path)


def _event(commit: Commit, change: Change) -> Event:
    changes: dict[str, list[str | None]] = {"blob": [_blob(blob) for blob in change.blobs]}
    if change.status == "R":
        changes["path"] = [change.before, change.path]
    if change.modes[0] != change.modes[1] and _NO_MODE not in change.modes:
        changes["mode"] = list(change.modes)
    kind = f"file.{_KINDS.get(change.status, 'modified')}"
    return {"type": kind, **_who(commit), "resource": change.path, "changes": changes, **_claims(commit)}


def _bare_commit(commit: Commit) -> Event:
    return {"type": "commit", **_who(commit), "resource": commit.commit[:_ABBREVIATED], **_claims(commit)}


def _who(commit: Commit) -> Event:
    return {"actor": {"id": commit.email, "name": commit.name}}


def _claims(commit: Commit) -> Event:
    return {"commit": commit.commit, "message": commit.subject, "occurred_at": commit.time}


def _blob(text: str) -> str | None:
    return text if text.strip("0") else None


if __name__ == "__main__":
    for found in read_history(Path(sys.argv[1])):
        print(json.dumps(found, ensure_ascii=False))
