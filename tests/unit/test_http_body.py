"""Reading a body does not hold up whoever else is served."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from indelible.http.body import BodyBudget, Rules, read_body
from indelible.http.exchange import Exchange
from indelible.http.request import RequestHeaders
from indelible.model.limits import Limits

PIECE = b"0123456789abcdef" * 4_096
RULES = Rules(Limits(), BodyBudget(Limits()))


@pytest.mark.parametrize(("pieces", "elsewhere"), [(1, False), (4, False), (256, True)])
def test_a_large_body_is_put_together_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch, pieces: int, elsewhere: bool
) -> None:
    """16 MiB of memory that was never touched take tens of milliseconds; a small body is not worth it."""
    joined: list[int] = []
    take = Exchange.take

    def seen(exchange: Exchange) -> bytes:
        joined.append(threading.get_ident())
        return take(exchange)

    monkeypatch.setattr(Exchange, "take", seen)
    wire: Any = SimpleNamespace(hold=lambda *, reading: None)
    exchange = Exchange(wire, "POST", "/", RequestHeaders([]), "1.1")
    for _ in range(pieces):
        exchange.feed(PIECE)
    exchange.finish()
    length = pieces * len(PIECE)
    assert asyncio.run(read_body(exchange, length, length, 1, RULES)) == PIECE * pieces
    assert [thread != threading.get_ident() for thread in joined] == [elsewhere]
