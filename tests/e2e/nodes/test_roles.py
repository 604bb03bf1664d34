"""What docs/deploy.md grants the nodes is enough for all they do, and not for changing an event."""

import re
import uuid
from pathlib import Path

import httpx
import psycopg
import pytest
from tests.harness.archiving import QUICK, archived, grow
from tests.harness.operating import run
from tests.harness.postgres import cluster
from tests.harness.server import ServerEndedError, start_server

DEPLOYING = Path(__file__).parents[3] / "docs" / "deploy.md"
BATCH = b"\n".join(b'{"type":"filled","pad":"%s"}' % (b"p" * 1_500) for _ in range(9_000))
WINDOW = {"INDELIBLE_LIMIT_IDEMPOTENCY_SECONDS": "1"}
NDJSON = {"content-type": "application/x-ndjson"}


def statements(role: str) -> list[str]:
    """The SQL of the page, for roles of this test: the nodes', and the one that trims (`role` + `_trim`)."""
    blocks = re.findall(r"```sql\n(.*?)```", DEPLOYING.read_text(), re.DOTALL)
    named = [re.sub(r"\baudit_trimmer\b", f"{role}_trim", each) for each in blocks]
    return [re.sub(r"\bindelible\b", role, each) for each in named]


@pytest.fixture
def urls() -> tuple[str, str]:
    """A database as its owner sees it, and as the nodes do."""
    owner, role = cluster().create(), f"nodes_{uuid.uuid4().hex}"
    name = owner.rpartition("/")[2]
    roles, grants, trimming = statements(role)
    cluster().run(roles, name)
    refused = run("migrate", "--database", cluster().url(name, user=role))
    assert (refused.returncode, "grant it CREATE" in refused.stderr) == (1, True)
    assert run("migrate", "--database", owner).stdout.startswith("schema version ")
    cluster().run(grants, name)
    cluster().run(trimming, name)
    return owner, cluster().url(name, user=role)


def work(http: httpx.Client) -> None:
    """Everything that writes to the database, once."""
    log = f"/logs/{http.post('/logs', json={'name': 'a'}).json()['log_id']}"
    answers = [
        http.post(f"{log}/append", json={"n": 1}, headers={"idempotency-key": "k"}),
        http.post(f"{log}/append_batch", content=BATCH, headers=NDJSON),
        http.post(f"{log}/views/report", json={"builtin": "compliance-report"}),
        http.post(f"{log}/views/report", json={"builtin": "compliance-report"}),
        http.post(f"{log}/keys"),
        http.patch(log, json={"public_proofs": True}),
        http.post("/workspaces", json={"name": "other"}),
        http.post("/keys", json={"label": "l", "scopes": ["append"]}),
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 200, 201, 200, 201, 201]
    key = answers[-1].json()["key_id"]
    assert http.delete(f"/keys/{key}").status_code in {200, 204}
    assert http.get(f"{log}/views/report/query").status_code == 200
    assert http.delete(f"{log}/views/report").status_code in {200, 204}
    assert http.get(f"{log}/proof/inclusion?sequence=1").status_code == 200


def test_nodes_do_all_their_work_with_what_they_are_granted(urls: tuple[str, str], tmp_path: Path) -> None:
    """Logs, events, batches in parts, views, keys that are made, revoked and rotated, workspaces."""
    with start_server(tmp_path / "d", "--database", urls[1]) as server, server.client() as http:
        work(http)
        assert server.stop() == 0
    checked = run("fsck", "--data", tmp_path / "d", "--database", urls[1])
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE chunk SET payload = 'x'",
        "UPDATE chunk SET first = first + 1000000",
        "DELETE FROM chunk",
        "TRUNCATE chunk",
        "DELETE FROM head",
        "DELETE FROM log_key",
        "DROP TRIGGER append_only ON chunk",
        "ALTER TABLE chunk DISABLE TRIGGER ALL",
        "INSERT INTO trim SELECT key, 1000000 FROM log",
        "INSERT INTO segment SELECT key, 1, 9, 1, 1, 'events/x', 'x', 1 FROM log",
    ],
)
def test_nobody_changes_an_event_by_mistake(urls: tuple[str, str], tmp_path: Path, sql: str) -> None:
    """Not the nodes' role; of events not even the owner, who would have to take the guard away first."""
    with start_server(tmp_path / "d", "--database", urls[1]) as server, server.client() as http:
        http.post("/logs", json={"name": "a"})
        http.post("/logs/a/append", json={"n": 1})
        server.stop()
    with psycopg.connect(urls[1]) as nodes, pytest.raises(psycopg.Error) as found:
        nodes.execute(sql)
    assert found.value.sqlstate in {"42501", "23001"}
    if "chunk" in sql and not sql.startswith(("DROP", "ALTER")):
        with (
            psycopg.connect(urls[0]) as owner,
            pytest.raises(psycopg.errors.RestrictViolation, match="never changed"),
        ):
            owner.execute(sql)


def test_a_node_that_lacks_a_grant_says_so(tmp_path: Path) -> None:
    """At its start, in words; it does not serve half of what it promises."""
    owner, role = cluster().create(), f"nodes_{uuid.uuid4().hex}"
    name = owner.rpartition("/")[2]
    cluster().run(statements(role)[0], name)
    assert run("migrate", "--database", owner).returncode == 0
    with pytest.raises(ServerEndedError, match="permission denied"):
        start_server(tmp_path / "d", "--database", cluster().url(name, user=role))
    cluster().run(statements(role)[1], name)
    cluster().run(f"REVOKE EXECUTE ON FUNCTION drop_beyond FROM {role}", name)
    with pytest.raises(ServerEndedError, match="may not call drop_beyond"):
        start_server(tmp_path / "d", "--database", cluster().url(name, user=role))


def test_the_role_that_trims_can_do_that_and_no_more(urls: tuple[str, str], tmp_path: Path) -> None:
    """While a node serves; what is not archived or is young stays, whatever the role says."""
    data, options = tmp_path / "d", ("--archive", "--database", urls[1])
    trimming = urls[1].replace("@", "_trim@", 1)
    with start_server(data, *options, env={**QUICK, **WINDOW}) as server, server.client() as http:
        log = f"/logs/{http.post('/logs', json={'name': 'a'}).json()['log_id']}"
        grow(http, log, 600)
        grow(http, log, 2)
        archived(http)
        before = http.get(f"{log}/events?limit=1000").content
        for _ in range(2):
            done = run("trim", "--data", data, "--database", trimming, "--older-than", "1s", env=WINDOW)
            assert done.returncode == 0, done.stderr
        with psycopg.connect(trimming) as session:
            assert session.execute("SELECT size FROM trim WHERE size > 500").fetchall() == [(600,)]
        assert http.get(f"{log}/events?limit=1000").content == before
        grow(http, log, 3)
        assert server.stop() == 0
    for sql in ("DELETE FROM chunk", "UPDATE chunk SET payload = 'x'", "UPDATE head SET size = 0"):
        with psycopg.connect(trimming) as session, pytest.raises(psycopg.Error) as found:
            session.execute(sql)
        assert found.value.sqlstate in {"42501", "23001"}


@pytest.mark.parametrize("user", ["", "_trim"])
def test_a_temporary_table_does_not_deceive_the_guard(
    urls: tuple[str, str], tmp_path: Path, user: str
) -> None:
    """A role that makes tables of the names that the trigger looks into removes nothing all the same."""
    with start_server(tmp_path / "d", "--database", urls[1]) as server, server.client() as http:
        http.post("/logs", json={"name": "a"})
        http.post("/logs/a/append", json={"n": 1})
        server.stop()
    with psycopg.connect(urls[0], autocommit=True) as owner:
        owner.execute(f"GRANT DELETE ON chunk TO {urls[1].split('//')[1].split('@')[0]}")
    with psycopg.connect(urls[1].replace("@", f"{user}@", 1), autocommit=True) as session:
        session.execute("CREATE TEMP TABLE head AS SELECT log, 0::bigint AS size FROM public.head")
        session.execute("CREATE TEMP TABLE trim AS SELECT log, 1000::bigint AS size FROM public.head")
        with pytest.raises(psycopg.errors.RestrictViolation, match="never changed"):
            session.execute("DELETE FROM public.chunk")
        if not user:
            session.execute("SELECT public.drop_beyond(key, 0) FROM public.log")
        assert session.execute("SELECT count(*) > 1 FROM public.chunk").fetchone() == (True,)
