"""What a question of a stranger costs: no signature, and one look-up whether a log is there or not."""

import asyncio
import uuid
from pathlib import Path

import pytest
from tests.harness.rotating import log_of, published, put
from tests.harness.services import bench

from indelible.http.request import NOBODY
from indelible.model.errors import Problem
from indelible.notes.checkpoint import parse_checkpoint
from indelible.notes.note import parse_note


def test_a_stranger_has_nothing_signed_for_him(tmp_path: Path) -> None:
    """Beyond the published head he is refused with that head, where the log's own key has one made."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            info = await log_of(b, "one")
            log = str(info.log_id)
            await b.services.logs.set_public_proofs(b.root, log, public=True)
            await put(b, info, 5)
            await published(b, info)
            await put(b, info, 1)
            foreign = await b.workspace("other")
            for caller in (NOBODY, foreign):
                with pytest.raises(Problem, match="beyond_head") as caught:
                    await b.services.proofs.consistency(caller, log, from_size=1, to_size=6)
                assert caught.value.facts["head"] == 5
                shown = await b.services.proofs.consistency(caller, log, from_size=1)
                assert shown.to_size == 5
            note = await b.services.proofs.checkpoint(NOBODY, log)
            assert parse_checkpoint(parse_note(note).text).size == 5
            mine = await b.services.proofs.consistency(b.root, log, from_size=1, to_size=6)
            assert mine.to_size == 6

    asyncio.run(work())


def test_a_log_that_is_not_public_costs_what_none_costs(tmp_path: Path) -> None:
    """One row is read each time, whether the log is there or not; nothing of it is remembered."""

    async def work() -> None:
        async with bench(tmp_path) as b:
            private = str((await log_of(b, "one")).log_id)
            reads: list[bytes] = []
            whole = b.core.reader.log_by_id

            def counted(log_id: bytes) -> object:
                reads.append(log_id)
                return whole(log_id)

            b.core.reader.log_by_id = counted  # type: ignore[method-assign,assignment]  # to count
            for reference in (private, str(uuid.uuid4())):
                reads.clear()
                for _ in range(3):
                    assert b.services.access.public(reference) is None
                assert reads == [uuid.UUID(reference).bytes] * 3
            reads.clear()
            assert b.services.access.public("one") is None
            assert reads == []

    asyncio.run(work())
