"""The built-in view `report` through the whole server and the command line: deploying, asking, CSV."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from tests.harness import calls

from indelible.cli.root import root
from indelible.config import Settings

EVENTS: list[dict[str, Any]] = [
    {"type": "login", "actor": "amy", "outcome": "failure", "reason": "=cmd|' /C calc'!A0", "n": -5},
    {"type": "login", "actor": "+49 30", "outcome": "failure", "reason": 'say "hi",\r\nthere', "n": 1.10},
    {
        "type": "login",
        "actor": "@bob",
        "outcome": "success",
        "tags": ["a", {"b": 1}],
        "n": 9007199254740993,
    },
    {"type": "login", "actor": "-x", "outcome": "failure", "reason": "\tx", "n": "-7"},
]
SPEC = """\
title: Logins
columns:
  - sequence
  - actor
  - reason
  - {name: tags, path: tags}
  - {name: n, path: n}
where: {member: outcome, is: {param: outcome}}
parameters:
  outcome: {one_of: [failure, success]}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server without keys."""
    data = tmp_path_factory.mktemp("data")
    with calls.serving(Settings(data, port=0, no_auth=True)) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    """A client, and a log with a report of each form."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        client.post("/logs", json={"name": "l"})
        assert client.post("/logs/l/append_batch", json=EVENTS).status_code == 201
        for name, builtin, config in (
            ("logins", "report", SPEC),
            ("counts", "report", {"group_by": ["outcome"], "aggregates": [{"count": "events"}]}),
            ("changes", "compliance-report", {}),
        ):
            body = {"builtin": builtin, "config": config}
            deployed = client.post(f"/logs/l/views/{name}", json=body)
            assert deployed.status_code == 201, deployed.text
        yield client


def _ask(client: httpx.Client, view: str, query: str = "", accept: str = "text/csv") -> httpx.Response:
    return client.post(f"/logs/l/views/{view}/query?{query}", headers={"accept": accept})


def _rows(answer: httpx.Response) -> list[list[str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    return list(csv.reader(io.StringIO(answer.text, newline="")))


def test_a_wrong_specification_is_refused_with_its_place(client: httpx.Client) -> None:
    """As an object and as YAML: 422, and the path to what is wrong."""
    for config, told in (
        ({"columns": ["time", {"name": "x", "path": "a..b"}]}, "columns[1].path: a name is missing"),
        ("columns:\n  - time\n  - who\n", 'columns[1]: there is no "who" here'),
        ("columns:\n  - time\n  - who\n", "(line 3)"),
    ):
        answer = client.post("/logs/l/views/wrong", json={"builtin": "report", "config": config})
        assert told in calls.refused(answer, 422, "not_a_view")["detail"]
    assert client.get("/logs/l/views/wrong").status_code == 404


def test_objects_and_yaml_answer(client: httpx.Client) -> None:
    """`{columns, rows, cover}`, with the digest of the configuration that the deployment has."""
    counts = _ask(client, "counts", accept="application/json").json()
    assert counts["rows"] == [["failure", 3], ["success", 1]]
    logins = _ask(client, "logins", "outcome=success", accept="*/*").json()
    assert logins["rows"] == [[3, "@bob", None, ["a", {"b": 1}], 9007199254740993]]
    deployed = client.get("/logs/l/views/logins").json()
    assert logins["cover"]["view"]["config_sha256"] == deployed["config_sha256"]
    assert logins["cover"]["log"]["name"] == "l"
    same = client.post("/logs/l/views/logins", json={"builtin": "report", "config": SPEC})
    assert (same.status_code, same.json()["version"]) == (200, 1)


def test_a_table_comes_as_csv(client: httpx.Client) -> None:
    """Texts that a spreadsheet would run are guarded, numbers stand as the view wrote them, null is empty."""
    answer = _ask(client, "logins")
    assert _rows(answer) == [
        ["sequence", "actor", "reason", "tags", "n"],
        ["1", "amy", "'=cmd|' /C calc'!A0", "", "-5"],
        ["2", "'+49 30", 'say "hi",\r\nthere', "", "1.1"],
        ["3", "'@bob", "", '["a",{"b":1}]', "9007199254740993"],
        ["4", "'-x", "'\tx", "", "'-7"],
    ]
    assert answer.text.endswith("\r\n")
    assert answer.headers["indelible-sequence"] == "4"
    assert "indelible-next" not in answer.headers
    raw = _rows(_ask(client, "logins", "raw=1"))
    assert [row[1] for row in raw] == ["actor", "amy", "+49 30", "@bob", "-x"]
    assert _rows(_ask(client, "logins", "raw=0")) == _rows(answer)


def test_csv_says_that_there_is_more(client: httpx.Client) -> None:
    """A page's cursor is in a header, since the cover is not in the rows."""
    first = _ask(client, "logins", "limit=3")
    cursor = first.headers["indelible-next"]
    second = _ask(client, "logins", f"limit=3&cursor={cursor}")
    assert [len(_rows(page)) - 1 for page in (first, second)] == [3, 1]
    assert "indelible-next" not in second.headers


def test_what_is_no_table_is_not_acceptable(client: httpx.Client) -> None:
    """406 where only CSV is taken, the answer as it is where that is taken too."""
    calls.refused(_ask(client, "changes"), 406, "not_acceptable")
    fine = _ask(client, "changes", accept="text/csv, application/json;q=0.5")
    assert fine.headers["content-type"] == "application/json"
    assert "changes_by_resource" in fine.json()


def test_raw_is_strict_and_only_of_csv(client: httpx.Client) -> None:
    """A raw that is not understood is refused; without CSV it is the view's parameter, which has none."""
    calls.refused(_ask(client, "logins", "raw=yes"), 400, "invalid_parameter")
    calls.refused(_ask(client, "logins", "raw=1&raw=1"), 400, "repeated_parameter")
    calls.refused(_ask(client, "logins", "raw=1", accept="application/json"), 422, "query_refused")


def test_the_command_line_deploys_yaml_and_writes_csv(client: httpx.Client, url: str, tmp_path: Path) -> None:
    """`view deploy --config FILE.yaml`, then `query --csv`: all pages, the columns' names once."""
    file = tmp_path / "logins.yaml"
    file.write_text(SPEC + "limit: 2\n")
    shell = CliRunner(env={"INDELIBLE_URL": url})
    made = shell.invoke(
        root, ["view", "deploy", "l", "mine", "--builtin", "report", "--config", str(file), "--json"]
    )
    assert made.exit_code == 0, made.output
    table = shell.invoke(root, ["query", "l", "mine", "--csv"])
    assert [row[0] for row in csv.reader(io.StringIO(table.stdout))] == ["sequence", "1", "2", "3", "4"]
    assert "'@bob" in table.stdout
    assert "'@bob" not in shell.invoke(root, ["query", "l", "mine", "--csv", "--raw"]).stdout
    drawn = shell.invoke(root, ["query", "l", "mine", "outcome=success"])
    assert "sequence\tactor\treason\ttags\tn" in drawn.stdout
    assert (
        json.loads(shell.invoke(root, ["query", "l", "mine", "--json"]).stdout)["cover"]["truncated"] is True
    )
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("columns:\n- [")
    refused = shell.invoke(
        root, ["view", "deploy", "l", "bad", "--builtin", "report", "--config", str(wrong)]
    )
    assert refused.exit_code == 1
    assert "not YAML" in str(refused.exception)
