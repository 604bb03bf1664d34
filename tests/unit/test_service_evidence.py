"""Evidence as the use case makes it: what is in it and what is not, what it costs, and what `_audit` says."""

import io
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.harness.asking import refusal, run
from tests.harness.logs import START, Hands
from tests.harness.services import Bench, bench

from indelible.client.examine import Examined, examine_file
from indelible.model.instants import format_micros
from indelible.service.framing import Framing
from indelible.service.ranges import Wanted
from indelible.service.types import Caller

NDJSON = Framing("ndjson")


async def made(b: Bench, caller: Caller, log: str, *wanted: Any) -> bytes:
    """The evidence of a range, whole."""
    answer = await b.services.evidence.export(caller, log, Wanted(*wanted), query="q")
    return b"".join([piece async for piece in answer.pieces])


async def verified(b: Bench, caller: Caller, log: str, *wanted: Any) -> Examined:
    """What comes of examining it, with the keys of the log and of `_audit`."""
    keys = [(await b.services.proofs.keys(caller, name))[0]["verifier_key"] for name in (log, "_audit")]
    return examine_file(io.BytesIO(await made(b, caller, log, *wanted)), None, list(map(str, keys)))


def part(data: bytes, name: str) -> Any:
    """A JSON file inside."""
    return msgspec.json.decode(zipfile.ZipFile(io.BytesIO(data)).read(name))


async def filled(b: Bench, hands: Hands) -> None:
    """A log with 30 events by three keys, a second apart, in single appends and batches."""
    await b.services.logs.create(b.root, "acme")
    writers = [b.root, await b.key(b.root, label="billing", scopes=["append"])]
    writers.append(await b.key(b.root, label="shop", scopes=["append"]))
    for at in range(10):
        hands.pass_by(1)
        await b.services.appends.append(writers[at % 3], "acme", b'{"n":%d}' % at)
        await b.services.appends.append_batch(writers[at % 2], "acme", b'{"a":1}\n{"b":2}', NDJSON)
    hands.pass_by(1)


def test_every_range_is_proved_by_what_is_in_its_file(tmp_path: Path) -> None:
    """Everything, one event, none, an odd run, windows with and without events."""

    async def work() -> None:
        hands = Hands()
        async with bench(tmp_path, clock=hands.clock()) as b:
            await filled(b, hands)
            at = [format_micros(START + n * 1_000_000 + 500_000) for n in range(12)]
            for wanted in (
                (),
                (1, 1),
                (30, 30),
                (5, 4),
                (7, 23),
                (None, 9),
                (9,),
                (None, None, at[2], at[6]),
            ):
                assert (await verified(b, b.root, "acme", *wanted)).verdict == "proved", wanted
            assert (await verified(b, b.root, "acme", None, None, None, at[0])).verdict == "proved"
            assert (await verified(b, b.root, "acme", None, None, at[3], None)).verdict == "unproved"
            assert (await verified(b, b.root, "_audit")).verdict == "proved"

    run(work())


def test_nothing_of_the_neighbours_leaves(tmp_path: Path) -> None:
    """Of the events beside a window only their entries are shown: no salt, no payload."""

    async def work() -> None:
        hands = Hands()
        async with bench(tmp_path, clock=hands.clock()) as b:
            await filled(b, hands)
            low, high = (format_micros(START + n * 1_000_000 + 500_000) for n in (2, 4))
            data = await made(b, b.root, "acme", None, None, low, high)
            lines = zipfile.ZipFile(io.BytesIO(data)).read("events.ndjson").splitlines()
            sequences = [msgspec.json.decode(line)["sequence"] for line in lines]
            assert sequences == list(range(sequences[0], sequences[0] + 6))
            others = [
                await b.services.events.get(b.root, "acme", n) for n in (sequences[0] - 1, sequences[-1] + 1)
            ]
            whole = b"".join(
                zipfile.ZipFile(io.BytesIO(data)).read(name) for name in part(data, "manifest.json")["files"]
            )
            assert all(event.salt.hex().encode() not in whole for event in others)
            assert part(data, "proof.json")["before"]

    run(work())


def test_audit_says_who_asked_before_the_first_byte(tmp_path: Path) -> None:
    """Also where nobody reads the file; and the cover sheet says the same."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            await b.services.logs.create(b.root, "acme")
            await b.services.appends.append(b.root, "acme", b"x")
            auditor = await b.key(b.root, label="auditor 2026", preset="auditor")
            await b.services.evidence.export(auditor, "acme", Wanted(1, 1), query="q")
            said = (await b.audit(b.root))[-1]
            assert said["type"] == "evidence.exported"
            assert said["actor"]["id"] == auditor.key_id
            assert (said["first_sequence"], said["last_sequence"], said["size"]) == (1, 1, 1)
            sheet = part(await made(b, auditor, "acme"), "manifest.json")
            assert sheet["asked_by"] == {"key_id": auditor.key_id, "label": "auditor 2026"}

    run(work())


def test_a_window_of_the_past_is_closed_before_it_is_answered(tmp_path: Path) -> None:
    """By evidence and by a range proof; a window that has not ended is not, and a copy cannot promise it."""

    async def work() -> None:
        hands = Hands()
        async with bench(tmp_path, clock=hands.clock()) as b:
            await filled(b, hands)
            info = b.services.access.log(b.root, "acme", "read")
            end = START + 10_500_000
            answer = await b.services.proofs.range(b.root, "acme", to=format_micros(end))
            assert answer.closed
            head = b.core.reader.head(info.key)
            assert head is not None
            assert head.time_floor == end
            hands.wall = START
            late = await b.services.appends.append(b.root, "acme", b"late")
            assert late.receipt.time == end
            again = await b.services.proofs.range(b.root, "acme", to=format_micros(end))
            assert again.entries[: len(answer.entries)] == answer.entries
            future = part(
                await made(b, b.root, "acme", None, None, None, "2100-01-01T00:00:00Z"), "manifest.json"
            )
            assert future["window_closed"] is False
            assert part(await made(b, b.root, "acme"), "manifest.json")["window_closed"] is None
            b.core.gate.read_only = "a copy"
            open_end = part(
                await made(b, b.root, "acme", None, None, None, "2100-01-01T00:00:00Z"), "manifest.json"
            )
            assert open_end["window_closed"] is False

    run(work())


def test_a_read_only_copy_gives_evidence_of_what_was_published(tmp_path: Path) -> None:
    """It signs no new head and writes nothing; what was published before is proved."""

    async def work() -> None:
        hands = Hands()
        async with bench(tmp_path, clock=hands.clock()) as b:
            await filled(b, hands)
            assert (await verified(b, b.root, "acme")).verdict == "proved"
            await b.services.appends.append(b.root, "acme", b"not published")
            b.core.gate.read_only = "a copy"
            size = b.core.heads.get(b.services.access.log(b.root, "_audit", "read").key).size
            sheet = part(await made(b, b.root, "acme"), "manifest.json")
            assert sheet["last_sequence"] == 30
            assert (await verified(b, b.root, "acme")).verdict == "proved"
            assert b.core.heads.get(b.services.access.log(b.root, "_audit", "read").key).size == size

    run(work())


def test_names_are_found_without_a_scan_of_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 300 other words before and behind them, only a few rows of `_audit` are read for each name."""

    async def work() -> None:
        hands = Hands(step=1_000)
        async with bench(tmp_path, clock=hands.clock()) as b:
            await _chatter(b, 300)
            await filled(b, hands)
            await _chatter(b, 300)
            audit = b.services.access.log(b.root, "_audit", "read").key
            read: Counter[int] = Counter()
            rows = type(b.core.reader).chunks

            def counted(reader: Any, log: int, *rest: Any, **named: Any) -> Any:
                found = rows(reader, log, *rest, **named)
                read[log] += len(found)
                return found

            monkeypatch.setattr(type(b.core.reader), "chunks", counted)
            assert (await verified(b, b.root, "acme")).verdict == "proved"
            assert 0 < read[audit] < 20

    run(work())


async def _chatter(b: Bench, words: int) -> None:
    for _ in range(words):
        await b.services.keys.create(b.root, scopes=["read"])


def test_names_are_found_where_the_clock_was_set_back(tmp_path: Path) -> None:
    """The word about a key is then dated later than the key itself; it is searched from there on, so far."""

    async def work() -> None:
        hands = Hands()
        async with bench(tmp_path, clock=hands.clock(), evidence_lookup_events=8) as b:
            await b.services.logs.create(b.root, "acme")
            for label in ("one", "two"):
                hands.pass_by(1)
                await b.key(b.root, label=label, scopes=["read"])
            hands.wall -= 3_600_000_000
            for label in ("three", "four", "five"):
                writer = await b.key(b.root, label=label, scopes=["append"])
                await b.services.appends.append(writer, "acme", label.encode())
            found = await verified(b, b.root, "acme")
            assert found.verdict == "unproved"
            says = [claim.says for claim in found.claims]
            assert any('"three"' in one for one in says)
            assert any("no word of _audit says whose" in one for one in says)

    run(work())


def test_a_file_of_any_size_is_made_in_bounded_memory(tmp_path: Path) -> None:
    """20 MB of lines pass through in pieces, and far less than that is held at any time."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            await b.services.logs.create(b.root, "acme")
            for at in range(6):
                body = b"\n".join(b'{"n":%d,"text":"%032x"}' % (n, n * n) for n in range(at, at + 10_000))
                await b.services.appends.append_batch(b.root, "acme", body, NDJSON)
            answer = await b.services.evidence.export(b.root, "acme", Wanted(), query="q")
            tracemalloc.start()
            size = pieces = 0
            async for piece in answer.pieces:
                size += len(piece)
                pieces += 1
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert size > 2_000_000
            assert pieces > 20
            assert peak < 12_000_000

    run(work())


def test_what_cannot_be_answered_is_refused_before_the_first_byte(tmp_path: Path) -> None:
    """A range that is none, that is beyond the head, of both kinds at once, or with a slip in a time."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            await b.services.logs.create(b.root, "acme")
            await b.services.appends.append(b.root, "acme", b"x")
            for wanted, code in (
                ((3, 1), "invalid_parameter"),
                ((9,), "beyond_head"),
                ((None, 9), "beyond_head"),
                ((1, 1, "2026-01-01T00:00:00Z"), "invalid_parameter"),
                ((None, None, "yesterday"), "invalid_parameter"),
                ((None, None, "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), "invalid_parameter"),
            ):
                told = await refusal(b.services.evidence.export(b.root, "acme", Wanted(*wanted), query="q"))
                assert told.code.name == code, wanted

    run(work())
