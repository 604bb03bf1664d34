"""Answers with their evidence, made by hand as the format has them, to be spoilt by a test in one thing."""

import base64
import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.harness.evidence import ACME, AUDIT, Event, Members, Story, listed, members_of, signed, time_of

from indelible.fold.compile import Compiler
from indelible.fold.host import Host
from indelible.fold.types import Batch, Question
from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.keys import Signer
from indelible.notes.note import sign_note
from indelible.views import catalogue

FILES = ("request.json", "config.json", "view.wasm", "report.json", "report.sig")
INTERFACE = "indelible:view/view@1.0.0"
REPORT = catalogue.builtin("compliance-report").component
CONFIG = "{}"
NOTHING = hashlib.sha256(b"").hexdigest()
Pairs = Sequence[tuple[str, str]]


@cache
def folder() -> Path:
    """Where code is kept that was compiled; it goes when the process ends."""
    kept = tempfile.TemporaryDirectory(prefix="answers-")
    _KEPT.append(kept)
    return Path(kept.name)


_KEPT: list[Any] = []


def folded(
    wasm: bytes, events: Iterable[Event], facts: Pairs, question: Question, config: str = CONFIG
) -> bytes:
    """What a view answers after these events, handed to it one by one."""
    compiled = Compiler(folder(), DEFAULT_LIMITS).compile(wasm)
    with Host(folder(), DEFAULT_LIMITS) as host, host.open(compiled, config, facts) as fold:
        for one in events:
            fold.append(Batch(one.sequence, (one.micros,), (one.payload,), (str(one.writer),)))
        return fold.query(question).body


def log_facts(log: Story) -> list[tuple[str, str]]:
    """What a view is told of its log."""
    return [("log-id", str(log.log_id)), ("log-name", log.name), ("origin", log.origin)]


def asked_of(
    log: Story, last: int, params: Pairs = (), window: tuple[int | None, int | None] | None = None
) -> dict[str, Any]:
    """The members of request.json of a question to a view; `window` in seconds after the start."""
    bounds = zip(("window-from", "window-to"), window or (), strict=False)
    times = [(name, str((1_700_000_000 + at) * 1_000_000)) for name, at in bounds if at is not None]
    facts = [*times, ("tz", "UTC"), ("basis", "received"), ("asked-at", time_of(50)), *log_facts(log)]
    return {
        "params": [list(pair) for pair in params],
        "facts": [list(pair) for pair in (*facts, ("at-sequence", str(last)))],
        "body": "",
    }


def request_digest(asked: dict[str, Any]) -> str:
    """What the guest received, hashed as formats.md has it."""
    if "input_base64" in asked:
        return hashlib.sha256(base64.b64decode(asked["input_base64"])).hexdigest()
    data = b""
    for pairs in (asked["params"], asked["facts"]):
        data += len(pairs).to_bytes(4, "big")
        for text in (text.encode() for pair in pairs for text in pair):
            data += len(text).to_bytes(4, "big") + text
    body = asked["body"].encode()
    return hashlib.sha256(data + len(body).to_bytes(8, "big") + body).hexdigest()


def request_bytes(asked: dict[str, Any]) -> bytes:
    """Write request.json in its one spelling."""
    return json.dumps(asked, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def question_of(asked: dict[str, Any]) -> Question:
    """The question as the host takes it."""
    pairs = ([(name, value) for name, value in asked[part]] for part in ("params", "facts"))
    params, facts = pairs
    return Question(params, asked["body"], facts)


def sha256(data: bytes) -> str:
    """A digest in hex."""
    return hashlib.sha256(data).hexdigest()


def attestation(members: Members, **changes: Any) -> str:
    """The text that is attested of the files of a report, with some lines changed; written by hand."""
    sheet = json.loads(members["manifest.json"])
    asked = json.loads(members["request.json"])
    lines = {
        "format": "indelible/report/v1",
        "origin": sheet["log"]["origin"],
        "size": sheet["head"]["size"],
        "root": base64.b64encode(bytes.fromhex(sheet["head"]["root"])).decode(),
        "fold": f"fold {sheet['first_sequence']} {sheet['last_sequence']}",
        "interface": INTERFACE,
        "view": f"view {sha256(members['view.wasm'])}",
        "config": f"config {sha256(members['config.json'])}",
        "request": f"request {request_digest(asked)}",
        "erasures": f"erasures 0 {NOTHING}",
        "result": f"result {sha256(members['report.json'])}",
        "time": time_of(60),
    }
    return "".join(f"{line}\n" for line in {**lines, **changes}.values())


def attested(
    members: Members, signer: Signer = ACME.signer, *, sheet: bool = True, **changes: Any
) -> Members:
    """The files with report.sig and the cover sheet made anew, signed by any key."""
    note = sign_note(attestation(members, **changes), [signer])
    again = {**members, "report.sig": note}
    if sheet:
        cover = json.loads(again["manifest.json"])
        cover["report"] = {
            **cover["report"],
            "view_sha256": sha256(again["view.wasm"]),
            "config_sha256": sha256(again["config.json"]),
            "result_sha256": sha256(again["report.json"]),
        }
        again["manifest.json"] = json.dumps(cover).encode()
    return signed(listed(again), signer)


def answered(
    log: Story = ACME,
    first: int = 1,
    last: int = 21,
    window: tuple[int | None, int | None] | None = None,
    *,
    wasm: bytes = REPORT,
    result: bytes | None = None,
    params: Pairs = (("actor", "x"),),
    audit: Story = AUDIT,
) -> Members:
    """The files of an answer of a view after a range, as a server makes them; `result` may be a lie."""
    whole = members_of(log, first, last, window, audit)
    asked = asked_of(log, last, params, window)
    if result is None:
        result = folded(wasm, log.events[first - 1 : last], log_facts(log), question_of(asked))
    sheet = json.loads(whole["manifest.json"])
    sheet["report"] = {
        "view": "r", "version": 1, "interface": INTERFACE, "view_sha256": "", "config_sha256": "",
        "result_sha256": "", "fold": "window" if window else "all", "content_type": "application/json",
    }  # fmt: skip
    parts = {
        "request.json": request_bytes(asked),
        "config.json": CONFIG.encode(),
        "view.wasm": wasm,
        "report.json": result,
        "report.sig": b"",
    }
    files = list({**whole, "manifest.json": json.dumps(sheet).encode()}.items())
    return attested(dict([*files[:-2], *parts.items(), *files[-2:]]), log.signer)


def without_events(members: Members) -> Members:
    """The files of an answer that was asked for without its events."""
    less = {name: content for name, content in members.items() if name not in {"events.ndjson", "proof.json"}}
    return attested(less)
