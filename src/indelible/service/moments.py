"""Which event a moment of the past stands for, so that the same question has the same answer tomorrow."""

import asyncio

from indelible.log.core import Core
from indelible.model.errors import Problem
from indelible.model.instants import format_micros
from indelible.model.types import LogInfo
from indelible.views.window import Asked


async def sequence_at(core: Core, info: LogInfo, asked: Asked) -> int | None:
    """The event that a question means by `at`, 0 for the state before the first; None where it has no `at`.

    A time stands for the last event received before it. The log is told to date nothing before it any more.

    Raises:
        Problem: `beyond_head`, `invalid_parameter` for what is still to come, `clock_unsure`, `saturated`.
    """
    if asked.at_sequence is not None:
        head = core.heads.fresh(info.key).size
        if asked.at_sequence > head:
            raise Problem("beyond_head", f"the log has {head} events", head=head)
        return asked.at_sequence
    if asked.at_before is None:
        return None
    await _close(core, info, asked.at_before)
    head = core.heads.fresh(info.key).size
    first_after = core.events.first_at_or_after
    return await asyncio.to_thread(first_after, info.key, head, asked.at_before) - 1


async def _close(core: Core, info: LogInfo, before: int) -> None:
    """Let no event be dated before a moment that has passed."""
    head = await asyncio.to_thread(core.reader.head, info.key)
    if head is not None and max(head.time, head.time_floor) >= before:
        return
    if core.gate.read_only is None:
        passed = await core.lanes.raise_floor(info.key, before)
    else:  # nothing is appended here
        passed = before <= core.clock.wall_micros()
    if not passed:
        raise Problem(
            "invalid_parameter",
            f"at is in the future: what is received before {format_micros(before)} is not known yet. "
            "Leave at out for the state of now.",
            parameter="at",
        )
