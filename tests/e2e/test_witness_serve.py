"""`indelible witness serve` as a process: what it answers, what it remembers, and what it never does."""

import json
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from tests.harness.witnesses import MemoryLog, RunningWitness, WitnessEndedError, cli, start_witness

from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.checkpoint import open_checkpoint
from indelible.notes.cosignature import CosignatureVerifier, cosignature_time
from indelible.notes.note import add_signatures, parse_note


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWitness]:
    """A witness that knows the logs of these tests."""
    logs = [option for n in range(9) for option in ("--log", log(n).vkey)]
    with start_witness(tmp_path_factory.mktemp("witness") / "data", *logs) as running:
        yield running


def log(number: int, size: int = 20) -> MemoryLog:
    """A log of a test's own."""
    leaves = [b"%d" % n for n in range(size)]
    return MemoryLog(f"logs.example/logs/{number}", bytes([number + 1]) * 32).grow(*leaves)


def cosigned(witness: RunningWitness, note: bytes, answer: httpx.Response) -> int:
    """Verify an answer against a checkpoint, as a log does; the time of the cosignature."""
    assert answer.status_code == 200, answer.text
    assert answer.text.startswith("— ")
    assert answer.text.endswith("\n")
    key = CosignatureVerifier.parse(witness.vkey)
    lines = parse_note(parse_note(note).text.encode() + b"\n" + answer.content).signatures
    one = MemoryLog(parse_note(note).text.split("\n")[0], bytes([int(note.split(b"\n")[0][-1:]) + 1]) * 32)
    _, opened = open_checkpoint(add_signatures(note, lines), one.signer.verifier, [key])
    assert len(opened.verified) == 2
    return cosignature_time(lines[0])


def test_it_cosigns_what_grew_and_tells_where_it_is(witness: RunningWitness) -> None:
    """The whole course of a log: first contact, growth, the same again, a wrong guess, a fork."""
    one = log(0)
    first = cosigned(witness, one.checkpoint(5), witness.add(one.request(0, 5)))
    assert cosigned(witness, one.checkpoint(5), witness.add(one.request(5, 5))) >= first
    cosigned(witness, one.checkpoint(12), witness.add(one.request(5, 12)))
    guess = witness.add(one.request(0, 20))
    assert (guess.status_code, guess.text, guess.headers["content-type"]) == (
        409,
        "12\n",
        "text/x.tlog.size",
    )
    fork = log(0, 5).grow(*(b"other %d" % n for n in range(20)))
    assert witness.add(fork.request(12, 20)).status_code == 422
    assert witness.add(fork.request(12, 12)).status_code == 422
    assert "refused to cosign" in witness.written()
    cosigned(witness, one.checkpoint(20), witness.add(one.request(12, 20)))


def test_monitors_get_the_newest_cosigned_checkpoint(witness: RunningWitness) -> None:
    """Under the hash of the origin, with the log's signature and the witness's; 404 where there is none."""
    one = log(1)
    path = f"{witness.url}/{sha256(one.signer.name.encode()).hexdigest()}/checkpoint"
    assert httpx.get(path).status_code == 404
    answer = witness.add(one.request(0, 3))
    found = httpx.get(path)
    assert found.content == one.checkpoint(3) + answer.content
    assert httpx.get(path.replace("/checkpoint", "/checkpoints")).status_code == 404
    assert httpx.get(f"{witness.url}/{'g' * 64}/checkpoint").status_code == 404


def test_a_race_of_sizes_has_one_order(witness: RunningWitness) -> None:
    """Requests at one time never roll the witness back: no two heads are cosigned as following one."""
    one = log(2, 32)
    sizes = [(0, new) for new in range(1, 33)] + [(new - 1, new) for new in range(1, 33)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda pair: witness.add(one.request(*pair)), sizes))
    assert {answer.status_code for answer in answers} <= {200, 409}
    taken = [pair for pair, answer in zip(sizes, answers, strict=True) if answer.status_code == 200]
    assert len({old for old, _ in taken}) == len(taken)
    best = max(new for _, new in taken)
    assert witness.add(one.request(0, 32)).text == f"{best}\n"


def test_what_is_no_such_call_is_refused(witness: RunningWitness) -> None:
    """Other paths and methods, bodies over the limit, unknown logs, and no JSON anywhere."""
    url = f"{witness.url}/add-checkpoint"
    assert httpx.get(url).status_code == 405
    assert httpx.post(witness.url).status_code == 404
    assert httpx.post(url, content=b"x" * (DEFAULT_LIMITS.witness_request_bytes + 1)).status_code == 413
    assert httpx.post(url, content=b"old 0\n").status_code == 400
    assert witness.add(log(10).request(0)).status_code == 404
    assert httpx.post(url, content=b"", headers={"content-encoding": "gzip"}).status_code == 415


def test_it_tells_how_it_is(witness: RunningWitness) -> None:
    """`/healthz`, and metrics for this machine alone."""
    assert httpx.get(f"{witness.url}/healthz").text == "ok\n"
    witness.add(log(3).request(0, 1))
    metrics = httpx.get(f"{witness.url}/metrics").text
    assert 'indelible_witness_answers_total{status="200"}' in metrics
    forwarded = httpx.get(f"{witness.url}/metrics", headers={"x-forwarded-for": "192.0.2.1"})
    assert forwarded.status_code == 404


def test_logs_are_added_while_it_runs(witness: RunningWitness, tmp_path: Path) -> None:
    """`witness add-log` over the directory of a running witness; adding twice adds once."""
    with start_witness(tmp_path / "w", name="w.example") as running:
        assert running.add(log(4).request(0)).status_code == 404
        for _ in range(2):
            added = cli("witness", "add-log", "--data", str(tmp_path / "w"), log(4).vkey, "--json")
            assert json.loads(added) == {"logs": 1}
        assert running.add(log(4).request(0)).status_code == 200
        shown = json.loads(cli("witness", "show", "--data", str(tmp_path / "w"), "--json"))
        assert [(each["log"], each["cosigned_size"]) for each in shown["logs"]] == [(log(4).vkey, 20)]
        assert shown["verifier_key"] == running.vkey
        assert running.stop() == 0


def test_it_never_goes_back_after_a_restart(tmp_path: Path) -> None:
    """What was cosigned is what it goes on from; a smaller head is a conflict, for ever."""
    one, data = log(5), tmp_path / "w"
    with start_witness(data, "--log", one.vkey) as running:
        assert running.add(one.request(0, 9)).status_code == 200
        running.kill()
    with start_witness(data, "--log", one.vkey) as again:
        assert again.vkey == running.vkey
        assert again.add(one.request(0, 4)).text == "9\n"
        assert again.add(one.request(4, 4)).text == "9\n"
        cosigned(again, one.checkpoint(10), again.add(one.request(9, 10)))


def test_its_secret_is_its_own(tmp_path: Path) -> None:
    """The key's file is for its owner alone, nothing prints it, and its name never changes."""
    data = tmp_path / "w"
    with start_witness(data, name="w.example") as running:
        key = data / "witness-key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert key.read_text().strip() not in running.written() + cli("witness", "show", "--data", str(data))
    with pytest.raises(WitnessEndedError, match="a name never changes"):
        start_witness(data, name="x.example")
    os.chmod(key, 0o644)  # noqa: PTH101 - what an operator does by mistake
    with pytest.raises(WitnessEndedError, match="can be read by others"):
        start_witness(data, name="w.example")


def test_one_directory_has_one_witness(tmp_path: Path) -> None:
    """Two over one directory could cosign two histories."""
    with start_witness(tmp_path / "w"), pytest.raises(WitnessEndedError, match="another witness runs"):
        start_witness(tmp_path / "w")


def test_a_key_without_its_memory_is_refused(tmp_path: Path) -> None:
    """Without what was cosigned, or with what somebody wrote there, nothing is cosigned."""
    one, data = log(6), tmp_path / "w"
    with start_witness(data, "--log", one.vkey) as running:
        running.add(one.request(0, 9))
        (record,) = (data / "state" / "cosigned").glob("*/checkpoint")
        running.kill()
    record.write_bytes(one.checkpoint(3))
    with start_witness(data, "--log", one.vkey) as running:
        assert running.add(one.request(3, 9)).status_code == 500
        assert running.add(one.request(0, 9)).status_code == 500
    (data / "state").rename(tmp_path / "elsewhere")
    with pytest.raises(WitnessEndedError, match="is missing"):
        start_witness(data, "--log", one.vkey)
