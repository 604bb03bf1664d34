"""A TCP proxy in front of PostgreSQL that loses what a test wants lost."""

import socket
import threading
from contextlib import suppress
from typing import Literal, Self

Loss = Literal["none", "request", "answer"]
"""Of a COMMIT: nothing; COMMIT itself; only what the server answers to it."""

_PIECE = 1 << 16


class Proxy:
    """Forwards connections to a port on loopback. As a context manager it is closed at the end."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.taken = 0  # connections, so far
        self.loss: Loss = "none"
        self._of = b""
        self.lost = threading.Event()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        _end(
            self._listener
        )  # shut down first: a thread that waits for the next connection would still take it
        self.cut()

    def lose(self, loss: Loss, of: bytes = b"") -> None:
        """Lose this of the next COMMIT after `of` went by, and the connection with it."""
        self.lost.clear()
        self._of = of
        self.loss = loss

    def lead_to(self, port: int) -> None:
        """Forward what is opened from now on to another port."""
        self._to = ("127.0.0.1", port)

    def cut(self) -> None:
        """End all connections."""
        for each in list(self._open):
            _end(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.taken += 1
            try:
                server = socket.create_connection(self._to)
            except OSError:
                client.close()
                continue
            self._open |= {client, server}
            dropping = threading.Event()
            for work in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._forward, args=(*work, dropping), daemon=True).start()

    def _forward(
        self, source: socket.socket, target: socket.socket, to_server: bool, dropping: threading.Event
    ) -> None:
        went_by = b""
        try:
            while data := source.recv(_PIECE):
                if to_server and self.loss != "none":
                    went_by += data
                if self._of in went_by and to_server and self.loss != "none" and b"COMMIT\0" in data:
                    loss, self.loss = self.loss, "none"
                    if loss == "request":
                        break
                    dropping.set()
                if not to_server and dropping.is_set():
                    break
                target.sendall(data)
        except OSError:
            pass
        finally:
            if dropping.is_set() or to_server:
                self.lost.set()
            for each in (source, target):
                _end(each)
                self._open.discard(each)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
