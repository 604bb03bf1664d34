"""The client: one method for each call of the HTTP contract, typed answers, safe retries."""

from pathlib import Path
from types import TracebackType
from typing import Self

from indelible.client.keys import KeyCalls
from indelible.client.logs import LogCalls
from indelible.client.pins import PinStore
from indelible.client.transport import Retry, Transport
from indelible.client.views import ViewCalls

DEFAULT_URL = "http://127.0.0.1:8000"


class Client(LogCalls, ViewCalls, KeyCalls):
    """Talks to one server with one key; use it from one thread at a time, or make one for each.

    `{log}` arguments take a log's id or its name. Every method raises `Problem` for a refusal and
    `Unreachable` where no answer came, after trying again where that is safe.

    Args:
        url: where the server answers.
        key: the secret of an API key; None for a server that runs without keys.
        retry: how long to persist.
        timeout_seconds: how long one exchange may take.
        certificates: a file of certificates to trust in place of the system's.
        pins: where the heads of logs are remembered (a folder, or a `PinStore`). Each checkpoint that a call
            brings must then continue the last one, or the call raises `HistoryChanged`. None: not compared.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: str | None = None,
        *,
        retry: Retry | None = None,
        timeout_seconds: float = 60.0,
        certificates: str | None = None,
        pins: PinStore | Path | str | None = None,
    ) -> None:
        super().__init__(
            Transport(
                url,
                key,
                retry=retry or Retry(),
                timeout_seconds=timeout_seconds,
                certificates=certificates,
            )
        )
        self.pins = pins if isinstance(pins, PinStore | None) else PinStore(Path(pins))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()
