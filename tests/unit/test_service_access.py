"""Keys, scopes and workspaces: who may do what, and what nobody may find out."""

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.harness.asking import later, refusal, run
from tests.harness.services import Bench, bench

from indelible.model.instants import format_micros
from indelible.service.framing import Framing
from indelible.service.ranges import Wanted
from indelible.service.types import Builtin, Caller

Call = Callable[[Caller, str], Awaitable[Any]]


def all_calls(b: Bench) -> dict[str, Call]:
    """Every call that names a log."""
    s = b.services
    return {
        "get": s.logs.get,
        "append": lambda c, log: s.appends.append(c, log, b"x"),
        "append_batch": lambda c, log: s.appends.append_batch(c, log, b"[1]", Framing("array")),
        "page": s.events.page,
        "wait": lambda c, log: s.events.page(c, log, wait_seconds=0.01),
        "stream": s.events.stream,
        "event": lambda c, log: s.events.get(c, log, 1),
        "checkpoint": s.proofs.checkpoint,
        "tile": lambda c, log: s.proofs.tile(c, log, "tile/0/000.p/1"),
        "keys": s.proofs.keys,
        "inclusion": lambda c, log: s.proofs.inclusion(c, log, sequence=1),
        "consistency": lambda c, log: s.proofs.consistency(c, log, from_size=0),
        "range": lambda c, log: s.proofs.range(c, log, first=1, last=1),
        "evidence": lambda c, log: s.evidence.export(c, log, Wanted(), query="q"),
        "deploy": lambda c, log: s.views.deploy(c, log, "v", Builtin("compliance-report", "{}")),
        "views": s.views.list,
        "view": lambda c, log: s.views.get(c, log, "v"),
        "delete": lambda c, log: s.views.delete(c, log, "v"),
        "query": lambda c, log: s.views.query(c, log, "v", params=[], body=b"", accept=None),
    }


# ---------------------------------------------------------------------- isolation


def test_anothers_log_does_not_exist_by_id_or_name_for_any_call(tmp_path: Path) -> None:
    """The same words and facts as for a log that never was, and nothing written; also for root."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            alice, bob = await b.workspace("alice"), await b.workspace("bob")
            info = (await b.services.logs.create(alice, "secret-project")).info
            await b.services.appends.append(alice, "secret-project", b"x")
            nothing = str(uuid.uuid4())
            for name, call in all_calls(b).items():
                for other in (bob, b.root):
                    told = await refusal(call(other, nothing))
                    for reference in (str(info.log_id), "secret-project"):
                        found = await refusal(call(other, reference))
                        assert (found.code.name, found.detail, found.facts) == (
                            told.code.name,
                            told.detail,
                            told.facts,
                        ), name
                        assert found.code.name == "not_found"
            assert b.core.heads.get(info.key).size == 1

    run(work())


def test_names_and_audit_logs_are_a_workspaces_own(tmp_path: Path) -> None:
    """Two workspaces use one name without hearing of each other; each lists and reads its own alone."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            alice, bob = await b.workspace("alice"), await b.workspace("bob")
            for who, payload in ((alice, b"of alice"), (bob, b"of bob")):
                await b.services.logs.create(who, "log")
                await b.services.appends.append(who, "log", payload)
            page = await b.services.events.page(bob, "log")
            assert [event.payload for event in page.events] == [b"of bob"]
            listed, _ = await b.services.logs.list(bob, after=None, limit=10)
            assert [state.info.name for state in listed] == ["_audit", "log"]
            assert "alice" not in str(await b.audit(bob))
            assert {key.workspace for key in await b.services.keys.list(bob)} == {"bob"}

    run(work())


def test_nobody_writes_to_audit(tmp_path: Path) -> None:
    """Not its workspace's first key, not root."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            alice = await b.workspace("alice")
            for who in (alice, b.root):
                assert (
                    await refusal(b.services.appends.append(who, "_audit", b"x"))
                ).code.name == "system_log"
                batch = b.services.appends.append_batch(who, "_audit", b"[1]", Framing("array"))
                assert (await refusal(batch)).code.name == "system_log"
            assert (await refusal(b.services.logs.create(alice, "_mine"))).code.name == "invalid_name"

    run(work())


# ---------------------------------------------------------------------- scopes and restrictions

NEEDS = {
    "append": "append",
    "append_batch": "append",
    "page": "read",
    "wait": "read",
    "stream": "read",
    "event": "read",
    "checkpoint": "read",
    "tile": "read",
    "keys": "read",
    "inclusion": "read",
    "consistency": "read",
    "deploy": "deploy",
    "delete": "deploy",
    "query": "query",
}


def test_every_call_needs_its_scope(tmp_path: Path) -> None:
    """With all scopes but that one it is refused, and the refusal names the scope."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            await b.services.logs.create(b.root, "log")
            await b.services.appends.append(b.root, "log", b"x")
            for name, scope in NEEDS.items():
                others = [s for s in ("append", "read", "query", "deploy", "admin") if s != scope]
                caller = await b.key(b.root, scopes=others)
                found = await refusal(all_calls(b)[name](caller, "log"))
                assert (found.code.name, found.facts) == ("forbidden", {"scope": scope}), name

    run(work())


def test_management_needs_admin(tmp_path: Path) -> None:
    """Making logs, keys and workspaces, and revoking, is refused without it."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            caller = await b.key(b.root, scopes=["append", "read", "query", "deploy"])
            admin = await b.key(b.root, scopes=["admin"])
            s = b.services
            for call in (
                s.logs.create(caller, "a"),
                s.keys.create(caller, scopes=["read"]),
                s.keys.list(caller),
                s.keys.revoke(caller, admin.key_id),
                s.workspaces.create(caller, "w"),
                s.workspaces.list(caller),
                s.workspaces.create(admin, "w"),
                s.workspaces.list(admin),
            ):
                assert (await refusal(call)).code.name == "forbidden"

    run(work())


def test_a_key_restricted_to_a_log_sees_no_other(tmp_path: Path) -> None:
    """Other logs of its workspace do not exist for it, `_audit` included, nor in the list."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            for name in ("a", "b"):
                await b.services.logs.create(b.root, name)
                await b.services.appends.append(b.root, name, b"x")
            caller = await b.key(b.root, scopes=["append", "read", "query", "deploy"], logs=["a"])
            await b.services.appends.append(caller, "a", b"y")
            nothing = str(uuid.uuid4())
            other = str((await b.services.logs.get(b.root, "b")).info.log_id)
            for name, call in all_calls(b).items():
                told = await refusal(call(caller, nothing))
                for reference in ("b", other, "_audit"):
                    found = await refusal(call(caller, reference))
                    assert (found.code.name, found.detail) == (told.code.name, told.detail), name
            listed, _ = await b.services.logs.list(caller, after=None, limit=10)
            assert [state.info.name for state in listed] == ["a"]

    run(work())


# ---------------------------------------------------------------------- escalation


def test_a_key_grants_no_more_than_it_holds(tmp_path: Path) -> None:
    """Scopes, logs, views and time: each way to make a stronger key is refused."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            keys = b.services.keys
            for name in ("a", "b"):
                await b.services.logs.create(b.root, name)
            admin = await b.key(b.root, scopes=["admin", "read"])
            for scopes in (["append"], ["read", "deploy"], ["query"]):
                assert (await refusal(keys.create(admin, scopes=scopes))).code.name == "forbidden"
            assert (await refusal(keys.create(admin, preset="auditor"))).code.name == "forbidden"
            by_log = await b.key(b.root, scopes=["admin", "read"], logs=["a"])
            assert (await refusal(keys.create(by_log, scopes=["read"]))).code.name == "forbidden"
            assert (await refusal(keys.create(by_log, scopes=["read"], logs=["b"]))).code.name == "not_found"
            assert (await refusal(b.services.logs.create(by_log, "c"))).code.name == "forbidden"
            assert (await refusal(keys.revoke(by_log, admin.key_id))).code.name == "forbidden"
            assert (await b.key(by_log, scopes=["read"], logs=["a"])).logs == by_log.logs
            by_view = await b.key(b.root, scopes=["admin", "query"], views=["v"])
            assert (await refusal(keys.create(by_view, scopes=["query"]))).code.name == "forbidden"
            assert (
                await refusal(keys.create(by_view, scopes=["query"], views=["w"]))
            ).code.name == "forbidden"

    run(work())


def test_a_key_that_ends_makes_none_that_outlives_it(tmp_path: Path) -> None:
    """Else an hour's admin key would be one for ever."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            keys = b.services.keys
            ends = later(3_600)
            admin = await b.key(b.root, scopes=["admin", "read"], expires=ends)
            inherited, _ = await keys.create(admin, scopes=["read"])
            assert inherited.expires is not None
            assert format_micros(inherited.expires) == ends
            shorter, _ = await keys.create(admin, scopes=["read"], expires=later(60))
            assert shorter.expires is not None
            assert shorter.expires < inherited.expires
            found = await refusal(keys.create(admin, scopes=["read"], expires=later(7_200)))
            assert found.code.name == "forbidden"

    run(work())


def test_a_workspace_named_by_its_id_is_that_one(tmp_path: Path) -> None:
    """Root makes a key for the workspace it names, never for another; others cannot name foreign ones."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            keys = b.services.keys
            alice, bob = await b.workspace("alice"), await b.workspace("bob")
            ids = {row.name: str(row.workspace_id) for row in await b.services.workspaces.list(b.root)}
            for reference in ("bob", ids["bob"]):
                made, secret = await keys.create(b.root, scopes=["read"], workspace=reference)
                assert made.workspace == "bob"
                assert b.login(secret).workspace == bob.workspace
            mine, _ = await keys.create(alice, scopes=["read"], workspace=ids["alice"])
            assert mine.workspace == "alice"
            for foreign in ("bob", ids["bob"], ids["default"], str(uuid.uuid4()), "none"):
                found = await refusal(keys.create(alice, scopes=["read"], workspace=foreign))
                assert found.code.name == "not_found"
            for unknown in (str(uuid.uuid4()), "none"):
                found = await refusal(keys.create(b.root, scopes=["read"], workspace=unknown))
                assert found.code.name == "not_found"

    run(work())
