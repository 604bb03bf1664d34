"""The commands against a real server: the program as it is installed, over loopback."""

import json
import os
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest

from indelible.cli.child import ChildServer
from indelible.client import Client, Problem, verify_inclusion, verify_proof, verify_receipt

INDELIBLE = [sys.executable, "-m", "indelible.cli"]
EVENT = '{"type": "record.updated", "actor": "user_8f3a", "resource": "invoice_2291"}'


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output parsed."""
        return json.loads(self.out)


class Shell:
    """Runs commands against one server."""

    def __init__(self, url: str, folder: Path, **environment: str) -> None:
        self.url = url
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("INDELIBLE_")}
        self.environment = {**kept, "INDELIBLE_URL": url, **environment}

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Done:
        """Run one command."""
        done = subprocess.run(
            [*INDELIBLE, *arguments],
            input=stdin,
            capture_output=True,
            env=self.environment,
            cwd=self.folder,
            check=False,
            timeout=120,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A server without keys, and a shell beside it."""
    folder = tmp_path_factory.mktemp("cli")
    with ChildServer(folder / "data") as server:
        yield Shell(server.url, folder)


def write_events(path: Path, count: int, start: int = 0) -> Path:
    """Write NDJSON, with a blank line and a CRLF in it."""
    lines = [json.dumps({"type": "t", "actor": f"a{n % 3}", "n": n}) for n in range(start, start + count)]
    path.write_bytes(b"\n\r\n".join([b"", *(line.encode() for line in lines), b""]))
    return path


def test_logs_are_made_and_found(shell: Shell) -> None:
    """Create, list, show; the name again is refused with exit code 1 and the log's id."""
    made = shell("log", "create", "made", "--json")
    assert made.code == 0
    assert shell("log", "show", "made", "--json").json["log"]["log_id"] == made.json["log_id"]
    assert "made" in [log["name"] for log in shell("log", "list", "--json").json["logs"]]
    again = shell("log", "create", "made", "--json")
    assert again.code == 1
    refusal = json.loads(again.err)
    assert (refusal["code"], refusal["log_id"]) == ("name_taken", made.json["log_id"])
    missing = shell("log", "show", "nowhere")
    assert (missing.code, missing.out, missing.err.count("\n")) == (1, "", 1)


def test_one_event(shell: Shell) -> None:
    """--event prints the receipt; a wrong expectation is refused; a key appends once."""
    shell("log", "create", "single")
    receipt = shell(
        "append", "single", "--event", EVENT, "--expected-sequence", "0", "--idempotency-key", "k"
    )
    assert receipt.json["sequence"] == 1
    again = shell("append", "single", "--event", EVENT, "--expected-sequence", "0", "--idempotency-key", "k")
    assert again.json == {**receipt.json, "replayed": True}
    wrong = shell("append", "single", "--event", EVENT, "--expected-sequence", "0")
    assert wrong.code == 1
    assert "sequence_mismatch" in wrong.err


def test_an_import_is_appended_once(shell: Shell) -> None:
    """The same command twice appends nothing twice; a grown file gets only what is new in whole batches."""
    shell("log", "create", "import")
    file = write_events(shell.folder / "import.ndjson", 250)
    first = shell("append", "import", str(file), "--batch", "100", "--json").json
    assert first == {
        "events": 250, "already_there": 0, "batches": 3, "first_sequence": 1, "last_sequence": 250,
    }  # fmt: skip
    assert shell("append", "import", str(file), "--batch", "100", "--json").json == {
        **first,
        "already_there": 250,
    }
    assert shell("log", "show", "import", "--json").json["log"]["head"]["size"] == 250
    by_pipe = shell("append", "import", "-", "--batch", "100", "--json", stdin=file.read_bytes())
    assert by_pipe.json["already_there"] == 250
    on_purpose = shell("append", "import", str(file), "--batch", "100", "--run", "second", "--json")
    assert on_purpose.json["already_there"] == 0


def test_an_import_that_breaks_off_is_taken_up(shell: Shell) -> None:
    """What came before a bad line is in; after mending it, the same command appends the rest, once."""
    shell("log", "create", "broken")
    good = [json.dumps({"n": n}) for n in range(30)]
    file = shell.folder / "broken.ndjson"
    file.write_text("\n".join([*good[:25], "{oops", *good[25:]]) + "\n")
    failed = shell("append", "broken", str(file), "--batch", "10")
    assert failed.code == 1
    assert "line 26 of the input" in failed.err
    assert "20 events were appended" in failed.err
    file.write_text("\n".join(good) + "\n")
    mended = shell("append", "broken", str(file), "--batch", "10", "--json").json
    assert (mended["events"], mended["already_there"], mended["last_sequence"]) == (30, 20, 30)
    lines = shell("events", "broken", "--json").out.splitlines()
    assert [json.loads(line)["payload"]["n"] for line in lines] == list(range(30))


def test_events_are_read_and_cleaned(shell: Shell) -> None:
    """Order, limit and start hold; an escape sequence in a payload does not reach the terminal."""
    shell("log", "create", "read")
    for n in range(5):
        shell("append", "read", "--event", json.dumps({"n": n, "x": "\u009b31m"}, ensure_ascii=False))
    plain = shell("events", "read", "--limit", "2", "--order", "desc")
    assert [line.split("\t")[0] for line in plain.out.splitlines()] == ["5", "4"]
    assert "\u009b" not in plain.out
    after = shell("events", "read", "--after-sequence", "3", "--json").out.splitlines()
    assert [json.loads(line)["sequence"] for line in after] == [4, 5]
    exact = json.loads(shell("events", "read", "--limit", "1", "--json", "--exact").out)
    assert "payload_base64" in exact


def test_following_shows_what_comes(shell: Shell) -> None:
    """--follow begins at the head, shows events as they are appended, and ends with Ctrl-C."""
    shell("log", "create", "follow")
    shell("append", "follow", "--event", '{"old": true}')
    command = [*INDELIBLE, "events", "follow", "--follow", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=shell.environment
    ) as follower:
        try:
            assert follower.stdout is not None
            assert follower.stderr is not None
            seen = _append_until_seen(shell.url, follower.stdout)
            follower.send_signal(signal.SIGINT)
            assert follower.wait(timeout=10) == 130
            assert b"Traceback" not in follower.stderr.read()
        finally:
            follower.kill()
    assert seen["payload"] == {"new": True}
    assert seen["sequence"] > 1


def _append_until_seen(url: str, output: IO[bytes]) -> Any:
    """Append until the follower, which may still be starting, shows one of the events."""
    deadline = time.monotonic() + 30
    with Client(url) as client:
        while time.monotonic() < deadline:
            client.append("follow", {"new": True})
            if select.select([output], [], [], 0.1)[0]:
                return json.loads(output.readline())
    raise AssertionError("the follower showed nothing")


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_an_export_holds_everything(shell: Shell, form: str) -> None:
    """Every event is in the file once and in order, and no half file is left lying about."""
    name = f"export-{form}"
    shell("log", "create", name)
    file = write_events(shell.folder / f"{name}.in", 3_000)
    shell("append", name, str(file))
    target = shell.folder / f"{name}.out"
    done = shell("export", name, "--format", form, "--output", str(target), "--json")
    assert done.json["events"] == 3_000
    lines = target.read_text().splitlines()
    assert len(lines) == 3_000 + (form == "csv")
    assert '"n": 2999' in lines[-1].replace('""', '"')
    assert not target.with_name(target.name + ".part").exists()
    to_pipe = shell("export", name, "--format", form)
    assert to_pipe.out.encode() == target.read_bytes()


def test_a_failed_export_leaves_no_file(shell: Shell) -> None:
    """A file has its name only when it is whole."""
    target = shell.folder / "never.ndjson"
    assert shell("export", "nowhere", "--output", str(target)).code == 1
    assert list(shell.folder.glob("never*")) == []


def test_views_from_the_command_line(shell: Shell) -> None:
    """Deploy and wait, list, ask as JSON and as tables, refuse a wrong question, delete."""
    shell("log", "create", "viewed")
    shell("append", "viewed", "--event", EVENT)
    deployed = shell("view", "deploy", "viewed", "report", "--builtin", "compliance-report", "--json")
    assert (deployed.code, deployed.json["state"], deployed.json["applied"]) == (0, "live", 1)
    assert [view["name"] for view in shell("view", "list", "viewed", "--json").json["views"]] == ["report"]
    answer = shell("query", "viewed", "report", "actor=user_8f3a", "after=2025-01-01", "--json").json
    assert answer["actions_by_actor"][0]["actor"] == "user_8f3a"
    tables = shell("query", "viewed", "report", "actor=user_8f3a")
    assert "user_8f3a" in tables.out
    assert "report@1" in tables.err
    wrong = shell("query", "viewed", "report", "after=5")
    assert (wrong.code, "ambiguous_after" in wrong.err) == (1, True)
    (only,) = shell("view", "versions", "viewed", "report", "--json").json["versions"]
    assert (only["version"], only["state"], only["builtin"]) == (1, "active", "compliance-report")
    assert "active" in shell("view", "versions", "viewed", "report").out
    none = shell("view", "rollback", "viewed", "report")
    assert (none.code, "there is none to go back to" in none.err) == (1, True)
    assert shell("view", "rollback", "viewed", "report", "1", "--json").json["version"] == 1
    shell("append", "viewed", "--event", EVENT)
    then = shell("query", "viewed", "report", "--at", "1", "--version", "1")
    assert "report@1" in then.err
    assert "up to event 1" in then.err
    now = shell("query", "viewed", "report")
    assert "up to event 2" in now.err
    assert shell("view", "delete", "viewed", "report").code == 0
    assert shell("view", "status", "viewed", "report").code == 1


def test_what_is_no_view_is_said(shell: Shell) -> None:
    """A file that is no component is refused with the server's reason."""
    shell("log", "create", "noview")
    file = shell.folder / "bad.wasm"
    file.write_bytes(b"\0asm\x0d\0\1\0broken")
    refused = shell("view", "deploy", "noview", "v", str(file))
    assert refused.code == 1
    assert "not_a_view" in refused.err


def test_receipts_and_proofs_hold(shell: Shell) -> None:
    """What the server answered is checked with the key of the log alone."""
    shell("log", "create", "proved")
    payload = EVENT.encode()
    with Client(shell.url) as client:
        receipt = client.append("proved", payload, proof=True)
        client.append_batch("proved", [b'{"a": 1}', b'{"b": 2}'])
        key = client.log_keys("proved")["keys"][0]["verifier_key"]
        leaf = verify_receipt(receipt, payload)
        assert receipt.proof is not None
        assert verify_proof(receipt.proof, payload, key).size == 1
        size = _published(client, 3)
        assert verify_inclusion(client.inclusion("proved", 1), leaf, key).size == size
        assert client.payload("proved", 1) == payload
        assert [event.sequence for event in client.stream_events("proved", order="desc")] == [3, 2, 1]


def _published(client: Client, size: int) -> int:
    """Wait for the checkpoint, which is published within a second or so."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if int(client.checkpoint("proved").split(b"\n")[1]) == size:
                return size
        except Problem as problem:
            if problem.code.name != "not_found":
                raise
    raise AssertionError("no checkpoint was published")


def test_a_broken_pipe_is_no_failure(shell: Shell) -> None:
    """`| head` ends a command quietly."""
    shell("log", "create", "pipe")
    shell("append", "pipe", str(write_events(shell.folder / "pipe.ndjson", 5_000)))
    command = f"{sys.executable} -m indelible.cli export pipe | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        env=shell.environment,
        check=False,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[tuple[Shell, "subprocess.Popen[str]", list[str]]]:
    """A server that asks for keys, and what it said when it started."""
    shell = Shell("", tmp_path)
    command = [
        *INDELIBLE,
        "serve",
        "--data",
        str(tmp_path / "data"),
        "--port",
        "0",
        "--name",
        "audit.example.com",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=shell.environment, text=True) as server:
        said: list[str] = []
        assert server.stderr is not None
        while not any(line.startswith("listening on ") for line in said):
            line = server.stderr.readline()
            assert line, said
            said.append(line.rstrip("\n"))
        shell.environment["INDELIBLE_URL"] = said[-1].removeprefix("listening on ")
        yield shell, server, said
        if server.poll() is None:
            server.terminate()
        server.wait(timeout=30)


def test_keys_from_the_command_line(keyed: tuple[Shell, "subprocess.Popen[str]", list[str]]) -> None:
    """The root key's path is printed and never the key; it works as a key file; an auditor's key reads only.

    SIGTERM ends the server with exit code 0, and the second start is silent about the key.
    """
    shell, server, said = keyed
    root = shell.folder / "data" / "root-key"
    assert any(str(root) in line for line in said)
    assert root.read_text().strip() not in "\n".join(said)
    without = shell("log", "list")
    assert without.code == 1
    assert "--key-file" in without.err
    named = ("--key-file", str(root))
    assert shell("log", "create", "acme", *named).code == 0
    made = shell(
        "key", "create", "--preset", "auditor", "--log", "acme", "--output", "auditor.key", "--json", *named
    )
    assert "secret" not in made.json
    key_file = shell.folder / "auditor.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    auditor = ("--key-file", str(key_file))
    assert shell("events", "acme", *auditor).code == 0
    assert shell("append", "acme", "--event", EVENT, *auditor).code == 1
    assert made.json["key_id"] in [
        key["key_id"] for key in shell("key", "list", "--json", *named).json["keys"]
    ]
    assert shell("key", "revoke", made.json["key_id"], *named).code == 0
    assert shell("events", "acme", *auditor).code == 1
    space = shell("workspace", "create", "other", "--json", *named).json
    shell.environment["INDELIBLE_KEY"] = space["key"]["secret"]
    assert [log["name"] for log in shell("log", "list", "--json").json["logs"]] == ["_audit"]
    server.terminate()
    assert server.wait(timeout=30) == 0


def test_backup_restore_doctor(keyed: tuple[Shell, "subprocess.Popen[str]", list[str]]) -> None:
    """A copy made while serving is restored, verified and examined; a changed copy is refused."""
    shell, _, _ = keyed
    data = shell.folder / "data"
    named = ("--key-file", str(data / "root-key"))
    shell("log", "create", "acme", *named)
    shell("append", "acme", "--event", EVENT, *named)
    kept = shell("backup", "--data", str(data), "--to", "copy", "--include-secrets", "--json")
    assert (kept.code, kept.json["deployment"]) == (0, "audit.example.com")
    restored = shell("restore", "copy", "--data", "again", "--json")
    assert (restored.code, restored.json["read_only"]) == (0, True)
    health = shell("doctor", "--data", str(data), "--json")
    assert (health.code, health.json["state"] in {"ok", "look"}) == (0, True)
    with (shell.folder / "copy" / "indelible.db").open("r+b") as file:
        file.seek(5_000)
        file.write(b"\xff")
    assert shell("restore", "copy", "--data", "third").code == 1
    assert shell("doctor", "--data", "nowhere").code == 1


def test_a_second_server_is_refused(shell: Shell) -> None:
    """One directory, one process: the second says so in a sentence, with exit code 1."""
    second = shell("serve", "--data", str(shell.folder / "data"), "--port", "0")
    assert second.code == 1
    assert "Traceback" not in second.err


def test_a_taken_port_is_said(shell: Shell) -> None:
    """A port that is taken is one sentence, with exit code 1."""
    port = shell.url.rsplit(":", 1)[1]
    taken = shell("serve", "--data", str(shell.folder / "other"), "--port", port)
    assert taken.code == 1
    assert "cannot serve" in taken.err
    assert "Traceback" not in taken.err
