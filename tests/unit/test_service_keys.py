"""Keys, what `_audit` says of them and of all else, and what holds when many ask at once."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.harness.asking import refusal, run
from tests.harness.faults import failing_disk
from tests.harness.logs import START, Hands
from tests.harness.services import bench

from indelible.model.errors import Problem
from indelible.model.instants import format_micros

# ---------------------------------------------------------------------- life of a key


def test_revocation_holds_from_the_next_request_on(tmp_path: Path) -> None:
    """By whatever cache the key was served before; and a second revocation changes nothing."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            info, secret = await b.services.keys.create(b.root, scopes=["read"])
            for _ in range(3):
                b.login(secret)
            first = await b.services.keys.revoke(b.root, info.key_id)
            with pytest.raises(Problem, match="revoked or not valid"):
                b.login(secret)
            again = await b.services.keys.revoke(b.root, info.key_id)
            assert again.revoked == first.revoked
            kinds = [event["type"] for event in await b.audit(b.root)]
            assert kinds.count("key.revoked") == 1
            bob = await b.workspace("bob")
            assert (await refusal(b.services.keys.revoke(bob, info.key_id))).code.name == "not_found"

    run(work())


def test_a_key_is_valid_in_its_time_only(tmp_path: Path) -> None:
    """Before `not_before` and from `expires` on it is unknown, by the server's own clock."""

    async def work() -> None:
        hands = Hands()
        async with bench(tmp_path, clock=hands.clock()) as b:
            times = {
                "not_before": format_micros(START + 60_000_000),
                "expires": format_micros(START + 90_000_000),
            }
            _, secret = await b.services.keys.create(b.root, scopes=["read"], **times)
            for passed, valid in ((0, False), (59.9, False), (0.1, True), (29.9, True), (0.1, False)):
                hands.pass_by(passed)
                if valid:
                    b.login(secret)
                    continue
                with pytest.raises(Problem, match="not valid now"):
                    b.login(secret)

    run(work())


def test_wrong_secrets_are_refused_in_the_same_words(tmp_path: Path) -> None:
    """Unknown, changed, cut, of another key, empty: nobody learns which."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            _, one = await b.services.keys.create(b.root, scopes=["read"])
            _, two = await b.services.keys.create(b.root, scopes=["read"])
            parts, others = one.split("_"), two.split("_")
            mixed = "_".join([*parts[:2], others[2], others[3]])
            wrong = [one[:-1], one + "0", one.upper(), mixed, "x", "ind_" * 40, "é" * 50, "ind_root_1"]
            texts = set()
            for secret in wrong:
                with pytest.raises(Problem) as caught:
                    b.login(secret)
                texts.add((caught.value.code.name, caught.value.detail))
            assert texts == {("unauthenticated", "the key is unknown, revoked or not valid now")}
            for header in (None, "", "Basic abc", one):
                with pytest.raises(Problem) as caught:
                    b.services.access.authenticate(header)
                assert caught.value.code.name == "unauthenticated"

    run(work())


def test_no_secret_is_stored(tmp_path: Path) -> None:
    """Neither whole nor its random part stands in any file of the directory."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            _, secret = await b.services.keys.create(b.root, scopes=["read"], label="x")
            _, _, first = await b.services.workspaces.create(b.root, "w")
            secrets.extend((secret, first))

    secrets: list[str] = []
    run(work())
    contents = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for text in secrets:
        middle = text.split("_")[2]
        assert not any(middle.encode() in content or bytes.fromhex(middle) in content for content in contents)


# ---------------------------------------------------------------------- _audit


def test_audit_tells_what_happened_from_the_first_moment(tmp_path: Path) -> None:
    """Workspace, logs, signing keys, keys and what they may do, exports, an auditor's reads, refusals."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            alice = await b.workspace("alice")
            info = (await b.services.logs.create(alice, "log")).info
            await b.services.appends.append(alice, "log", b"x")
            auditor = await b.key(alice, label="Mx Example", preset="auditor", logs=["log"])
            await b.services.events.page(auditor, "log")
            async for _ in await b.services.events.stream(alice, "log"):
                pass
            await refusal(b.services.appends.append(auditor, "log", b"no"))
            await asyncio.gather(*b.server._tasks)
            await b.services.keys.revoke(alice, auditor.key_id)
            told = await b.audit(alice)
            kinds = [event["type"] for event in told]
            assert kinds == [
                "workspace.created",
                "log.created",
                "signing_key.declared",
                "key.created",
                "log.created",
                "signing_key.declared",
                "key.created",
                "events.read",
                "events.exported",
                "request.refused",
                "key.revoked",
            ]
            created = told[4]
            assert created["resource"] == {"type": "log", "id": str(info.log_id), "name": "log"}
            assert created["origin"] == info.origin == f"x.example/logs/{info.log_id}"
            assert created["actor"]["id"] == alice.key_id
            assert told[5]["verifier_key"].startswith(info.origin + "+")
            key = told[6]
            assert key["resource"] == {"type": "key", "id": auditor.key_id, "name": "Mx Example"}
            assert (key["scopes"], key["logs"], key["preset"]) == (
                ["read", "query"] if key["scopes"][0] == "read" else ["query", "read"],
                [str(info.log_id)],
                "auditor",
            )
            assert told[9]["code"] == "forbidden"
            assert told[0]["actor"]["id"] == "00000000-0000-0000-0000-000000000001"

    run(work())


def test_nothing_changes_without_its_audit_event(tmp_path: Path) -> None:
    """When the commit fails, neither the log, the key, the workspace nor a word of them is there."""

    async def work() -> None:
        with failing_disk() as disk:
            async with bench(tmp_path) as b:
                before = await b.audit(b.root)
                counts = b.core.reader.counts(b.root.workspace)
                disk.fail("write", "-wal", apsw.SQLITE_FULL)
                for call in (
                    b.services.logs.create(b.root, "a"),
                    b.services.keys.create(b.root, scopes=["read"]),
                    b.services.workspaces.create(b.root, "w"),
                ):
                    assert (await refusal(call)).code.name == "disk_full"
                disk.heal()
                assert await b.audit(b.root) == before
                assert b.core.reader.counts(b.root.workspace) == counts
                assert len(b.core.reader.workspaces()) == 1
                await b.services.logs.create(b.root, "a")
                assert len(await b.audit(b.root)) == len(before) + 2

    run(work())


def test_a_key_costs_the_look_up_of_its_own_workspace_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root names another workspace by name or id; no call on keys reads all, on the loop that all share."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            s = b.services
            alice = await b.workspace("alice")
            (workspace_id,) = (w.workspace_id for w in await s.workspaces.list(b.root) if w.name == "alice")

            def all_of_them(_reader: object) -> list[Any]:
                raise AssertionError("all workspaces were read")

            monkeypatch.setattr(type(b.core.reader), "workspaces", all_of_them)
            for name in ("alice", str(workspace_id)):
                made, _ = await s.keys.create(b.root, scopes=["read"], workspace=name)
                assert made.workspace == "alice"
                own, _ = await s.keys.create(alice, scopes=["read"], workspace=name)
                assert own.workspace == "alice"
            for name in ("default", str(uuid.uuid4()), "", "alice\0", "é" * 36):
                assert (await refusal(s.keys.create(alice, scopes=["read"], workspace=name))).code.name == (
                    "not_found"
                )
            assert {key.workspace for key in await s.keys.list(alice)} == {"alice"}
            assert (await s.keys.revoke(b.root, made.key_id)).workspace == "alice"

    run(work())


# ---------------------------------------------------------------------- limits and races


def test_one_name_asked_for_at_once_is_made_once(tmp_path: Path) -> None:
    """The others hear whose it is: 409 with the log's id, also within one commit."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            calls = [b.services.logs.create(b.root, "log") for _ in range(8)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            made = [result for result in results if not isinstance(result, BaseException)]
            assert len(made) == 1
            for result in results:
                if isinstance(result, Problem):
                    assert result.code.name == "name_taken"
                    assert result.facts == {"log_id": str(made[0].info.log_id)}

    run(work())


def test_counts_hold_however_many_ask_at_once(tmp_path: Path) -> None:
    """A limit of logs and keys is not passed by asking in one commit."""

    async def work() -> None:
        async with bench(tmp_path, logs_per_workspace=4, keys_per_workspace=3, workspaces=3) as b:
            s = b.services
            logs = [s.logs.create(b.root, f"log{i}") for i in range(10)]
            keys = [s.keys.create(b.root, scopes=["read"]) for _ in range(10)]
            spaces = [s.workspaces.create(b.root, f"w{i}") for i in range(10)]
            results: list[Any] = await asyncio.gather(*logs, *keys, *spaces, return_exceptions=True)
            bad = [r.code.name for r in results if isinstance(r, Problem)]
            assert set(bad) == {"limit_reached"}
            assert b.core.reader.counts(b.root.workspace) == (4, 3)
            assert len(b.core.reader.workspaces()) == 3

    run(work())


def test_a_workspace_is_made_without_a_look_at_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading ten thousand of them would hold up the appends of all; a taken name is refused all the same."""

    def read_all(_reader: object) -> list[object]:
        raise AssertionError("all workspaces were read")

    async def work() -> None:
        async with bench(tmp_path) as b:
            monkeypatch.setattr(type(b.core.reader), "workspaces", read_all)
            await b.workspace("one")
            with pytest.raises(Problem, match="name_taken"):
                await b.workspace("one")
            await b.workspace("two")

    run(work())


def test_a_long_poll_never_sleeps_past_an_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event that is committed while the empty page is read is answered at once, not after the wait."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            await b.services.logs.create(b.root, "log")
            real = b.services.events._read
            loop = asyncio.get_running_loop()

            def slow(*args: Any) -> Any:
                page = real(*args)
                if not page.events:
                    append = b.services.appends.append(b.root, "log", b"x")
                    asyncio.run_coroutine_threadsafe(append, loop).result(20)
                return page

            monkeypatch.setattr(b.services.events, "_read", slow)
            page = await asyncio.wait_for(b.services.events.page(b.root, "log", wait_seconds=50), 10)
            assert [event.payload for event in page.events] == [b"x"]

    run(work())


def test_a_restored_copy_is_read_and_neither_written_nor_signed(tmp_path: Path) -> None:
    """Reading and exporting go on; appends, changes and new checkpoints do not."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            s = b.services
            await s.logs.create(b.root, "log")
            await s.appends.append(b.root, "log", b"x")
            published = await s.proofs.checkpoint(b.root, "log")
            await s.appends.append(b.root, "log", b"y")
            await s.logs.create(b.root, "unpublished")
        (tmp_path / "restored").touch()
        async with bench(tmp_path) as b:
            s = b.services
            before = await b.audit(b.root)
            for call in (
                s.appends.append(b.root, "log", b"z"),
                s.logs.create(b.root, "new"),
                s.keys.create(b.root, scopes=["read"]),
                s.workspaces.create(b.root, "w"),
                s.proofs.checkpoint(b.root, "unpublished"),
                s.proofs.inclusion(b.root, "log", sequence=2),
            ):
                assert (await refusal(call)).code.name == "read_only"
            assert await s.proofs.checkpoint(b.root, "log") == published
            events = [event async for page in await s.events.stream(b.root, "log") for event in page]
            assert [event.payload for event in events] == [b"x", b"y"]
            assert await b.audit(b.root) == before

    run(work())
