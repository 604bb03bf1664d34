"""The SDKs in Python, Rust and JavaScript: one example, and of each the same answers and snapshots.

The host runs in a child process.
"""

import base64
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.guests import build, examples
from tests.guests.drive import Child, code_folder
from tests.guests.events import FACTS, LIMITS, TIME, append, corpus, walk

from indelible.author.languages import Language

ACTORS = [
    b'{"actor":"user_8f3a","type":"a","occurred_at":"2026-01-01T00:00:00Z"}',
    b'{"actor":{"id":"user_8f3a","type":"user"},"time":"2025-12-31T23:59:59.9999999-00:30"}',
    b'{"actor":{"id":7},"eventTime":"2026-01-01t00:00:00z"}',
    b'{"actor":"","@timestamp":"2026-02-29T00:00:00Z"}',
    b'{"actor":null,"occurred_at":"nonsense","time":"2024-02-29 12:00:00.5+23:59"}',
    b'{"actor":["user_8f3a"],"occurred_at":"2026-01-01T24:00:00Z"}',
    b'{"actor":{"name":"nobody"},"occurred_at":"0001-01-01T00:00:00+00:00"}',
    b'{"actor":{"id":"__proto__"},"occurred_at":"2026-01-01T00:00:00+24:00"}',
    b'{"__proto__":{"actor":"inherited"}}',
    b'{"actor":"constructor","occurred_at":1767225600}',
    '{"actor":"ü\\n\\u0000\\"\\\\\\/ \U0001f600","occurred_at":"2026-01-01T00:00:00.000001Z"}'.encode(),
    '{"actor":"\ue000"}'.encode(),
    '{"actor":"\U00010000"}'.encode(),
    b'{"actor":"\x7f","actor":"twice"}',
    b'{"actor":"half","note":"\\ud800"}',
    b'{"actor":"half","\\udc00":1}',
    b'{"actor":"pair","note":"\\ud83d\\ude00"}',
    b'{"actor":"big","n":1e308}',
    b'{"actor":"too big","n":1e309}',
    b'{"actor":"too big","n":-1' + b"0" * 400 + b"}",
    b'{"actor":"too big","n":1' + b"0" * 250 + b"e99}",
    b'{"actor":"long","n":' + b"9" * 305 + b"}",
    b'{"actor":"tiny","n":1e-999}',
    b'{"actor":"nested","n":' + b"[" * 99 + b"]" * 99 + b"}",
    b'{"actor":"too deep","n":' + b"[" * 100 + b"]" * 100 + b"}",
    b'{"actor":"many","n":[' + b",".join([b"{}"] * 9_998) + b"]}",
    b'{"actor":"too many","n":[' + b",".join([b"{}"] * 9_999) + b"]}",
    b'{"actor":"brackets in a text","n":"' + b"[{" * 200 + b'\\"[","m":[]}',
    b'"text"',
    b"[1]",
    b"",
]
EVENTS = [*ACTORS[:-1], *corpus()[:300]] * 2
QUESTIONS: list[tuple[list[list[str]], list[list[str]]]] = [
    ([], []),
    ([["actor", "user_8f3a"]], []),
    ([["actor", "user_8f3a"], ["actor", "twice"], ["limit", "1"]], [["basis", "received"], ["tz", "UTC"]]),
    (
        [["limit", "3"]],
        [["window-from", str(TIME + 5)], ["window-to", str(TIME + 300)], ["basis", "received"]],
    ),
    ([], [["window-from", "-62135596800000000"], ["window-to", str(TIME)], ["basis", "occurred"]]),
    (
        [["actor", "pair"]],
        [["window-from", str(TIME)], ["window-text-after", "2026-01-01"], ["basis", "occurred"]],
    ),
    ([["colour", "red"]], []),
    ([["actor", ""]], []),
    ([["limit", "1"], ["limit", "2"]], []),
    ([["limit", "0"]], []),
    ([["limit", "10001"]], []),
    ([["limit", "1.5"]], []),
    ([["limit", "+5"]], []),
    ([["limit", "00000000000005"]], []),
    ([["limit", "\u0665"]], []),
    ([["limit", "99999999999999999999"]], []),
]
LANGUAGES = tuple(Language)


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """Start the process that hosts the guests."""
    with Child(code_folder(build.cache_folder())) as started:
        yield started


@pytest.fixture(scope="module", params=LANGUAGES, ids=lambda language: language.value)
def example(request: pytest.FixtureRequest) -> Path:
    """Build the example in one language, or skip with the command that gets its tool."""
    return examples.need(request.param)


def questions(body: str = "") -> list[list[object]]:
    """Return the steps that ask everything."""
    asked = [["asked-at", "2026-01-01T00:00:00.000000Z"], *FACTS]
    return [["query", params, body, [*facts, *asked]] for params, facts in QUESTIONS]


def shown(outcome: dict[str, Any]) -> Any:
    """Return what an answer or a refusal says, without what differs by nature."""
    if "body" in outcome:
        return outcome["type"], base64.b64decode(outcome["body"]).decode()
    return {name: outcome.get(name) for name in ("error", "kind", "text", "reason", "parts", "describe")}


_SEEN: dict[str, dict[Language, Any]] = {}


def same_in_all(what: str, example: Path, found: Any) -> None:
    """Compare with what the languages before this one gave."""
    seen = _SEEN.setdefault(what, {})
    language = Language(example.stem.removeprefix("example-"))
    for other, value in seen.items():
        assert found == value, f"{language.value} and {other.value} differ"
    seen[language] = found


def test_every_language_answers_the_same(child: Child, example: Path) -> None:
    """Description, answers and refusals about events of every shape are the same bytes."""
    steps = [["trial"], ["open"], append(1, EVENTS), *questions()]
    outcomes = child.run(example, steps, facts=FACTS, limits=LIMITS)
    assert len(outcomes) == len(steps) + 1, outcomes[-1]
    described = json.loads(outcomes[1]["describe"])
    assert (described["title"], list(described["parameters"]["properties"])) == (
        "Who did what",
        ["actor", "limit"],
    )
    same_in_all("answers", example, [outcomes[1], *map(shown, outcomes[4:])])


def test_the_answer_is_right(child: Child, example: Path) -> None:
    """The counts are those that somebody would make by hand, and the cover says what they rest on."""
    steps = [["open"], append(1, ACTORS[:-1]), *questions()]
    outcomes = child.run(example, steps, facts=FACTS, limits=LIMITS)
    answer = json.loads(base64.b64decode(outcomes[3]["body"]))
    counts = {actor: count for actor, count, *_ in answer["rows"]}
    alone: set[str | None] = {
        *("__proto__", "constructor", 'ü\n\x00"\\/ \U0001f600', "\ue000", "\U00010000", "twice", "pair"),
        *("big", "long", "tiny", "nested", "many", "brackets in a text"),
    }
    assert counts == {"user_8f3a": 2, None: 6, **dict.fromkeys(alone, 1)}
    assert [row[0] for row in answer["rows"]][:3] == [None, "user_8f3a", "\u005f_proto__"]
    cover = answer["cover"]
    assert (cover["events_folded"], cover["events_matched"], cover["unreadable"]) == (30, 21, 9)
    assert (cover["first_folded"], cover["last_folded"]) == (1, 30)
    assert (cover["first_matched"], cover["last_matched"]) == (1, 28)
    claimed = json.loads(base64.b64decode(outcomes[7]["body"]))["cover"]
    assert (claimed["events_matched"], claimed["without_time"]) == (2, 15)


@pytest.mark.parametrize("seed", range(2))
def test_the_way_to_a_state_does_not_show(child: Child, example: Path, seed: int) -> None:
    """Batch sizes, snapshots, restores and questions in between: the same answer and the same snapshot."""
    straight = child.run(example, [["open"], append(1, EVENTS), ["query"], ["snapshot"]], limits=LIMITS)
    steps = walk(EVENTS, random.Random(seed), append)  # noqa: S311 - a seed names a run
    steps = [
        ["query", [["actor", "pair"]]] if len(step) > 1 and step[0] == "query" else step for step in steps
    ]
    winding = child.run(example, steps, limits=LIMITS)
    assert len(winding) == len(steps) + 1, winding[-1]
    assert shown(winding[-2]) == shown(straight[-2])
    assert winding[-1]["parts"] == straight[-1]["parts"]


def test_snapshots_pass_between_languages(child: Child) -> None:
    """The parts are the same bytes, so a view goes on from what one in another language kept."""
    events = [b'{"actor":"user_%d"}' % number for number in range(2_500)] + [
        b'{"actor":"%s"}' % (b"a" * 300_000) for _ in range(5)
    ]
    batches = [append(first + 1, events[first : first + 500]) for first in range(0, len(events), 500)]
    kept: list[str] = []
    answers = set()
    for language in LANGUAGES:
        component = examples.need(language)
        steps = [["open"], *batches, ["snapshot"]]
        given = child.run(component, steps, facts=FACTS, limits=LIMITS)[-1]["parts"]
        assert len(given) > 4  # counts, an empty list, a run of 2,000, and one that is cut
        assert kept in ([], given), language
        kept = given
        steps = [["open"], ["reopen", kept], *questions()[:3]]
        restored = child.run(component, steps, facts=FACTS, limits=LIMITS)[-3:]
        answers.add(tuple(shown(outcome) for outcome in restored))
    assert len(answers) == 1


@pytest.mark.parametrize("config", ["{", "[]", "null", '"x"', "5"])
def test_a_configuration_that_is_no_object_is_refused(child: Child, example: Path, config: str) -> None:
    """Deployment is refused with a sentence; an empty configuration and `{}` are fine."""
    outcome = child.run(example, [["trial"]], config=config, limits=LIMITS)[-1]
    assert outcome.get("error") == "NotAView", outcome
    assert "the configuration must be a JSON object" in outcome["reason"]
    assert "describe" in child.run(example, [["trial"]], config=" ", limits=LIMITS)[-1]


@pytest.mark.parametrize(
    "parts",
    [
        ["nonsense"],
        [""],
        ["{}"],
        ['{"format":"indelible-view 2","folded":[0,null,null,0]}'],
        ['{"format":"indelible-view 1","folded":[0,null]}'],
        ['{"format":"indelible-view 1","folded":[0,null,null,0]}', '{"name":"rows"}'],
    ],
)
def test_another_snapshot_is_refused(child: Child, example: Path, parts: list[str]) -> None:
    """`restore` refuses what its `snapshot` did not give, and the host replays."""
    given = [base64.b64encode(part.encode()).decode() for part in parts]
    outcome = child.run(example, [["open"], ["reopen", given]], limits=LIMITS)[-1]
    assert (outcome.get("error"), outcome["text"]) == ("GuestError", "not a snapshot of this kind"), outcome


def test_a_body_is_refused(child: Child, example: Path) -> None:
    """A question that says more than the view reads is not answered as if it had not."""
    outcome = child.run(example, [["open"], ["query", [], "more"]], limits=LIMITS)[-1]
    assert outcome["kind"] == "invalid"
    same_in_all("body", example, outcome["text"])


def test_the_packed_example_is_of_the_sources_beside_it() -> None:
    """After a change: `python -m tests.guests.examples`, and commit the result."""
    expected = [examples.key_of(Language.JS), build.digest_of(examples.PACKED)]
    assert examples.KEY.read_text().split() == expected


@pytest.mark.parametrize(
    "unit", [b'""', b"[]", b"[" * 50 + b"]" * 50, b'"\\""', b'{"a":{}}', b'"\\ud800"', b"1e999"], ids=range(7)
)
def test_no_event_uses_up_its_fuel(child: Child, example: Path, unit: bytes) -> None:
    """An event of 1 MiB that is made to be slow: the view goes on.

    A batch of several such may fail; the server then folds its events one by one.
    """
    event = b'{"actor":"slow","n":[' + b",".join([unit] * ((1 << 20) // (len(unit) + 1) - 10)) + b"]}"
    assert len(event) <= 1 << 20
    limits = {"fold_batch_seconds": 120.0}
    assert "error" not in child.run(example, [["open"], append(1, [event])], limits=limits)[-1]
