"""One HTTP exchange, and when it is worth another try."""

import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import httpx

from indelible import __version__
from indelible.client.errors import UnexpectedAnswer, Unreachable, read_problem
from indelible.model.errors import Problem
from indelible.model.limits import DEFAULT_LIMITS

Params = Sequence[tuple[str, str]]
Result = TypeVar("Result")

_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 5.0
_REDIRECT_STATUS, _ERROR_STATUS = 300, 400


class Retry(NamedTuple):
    """How often and how long a call is tried. `Retry(tries=1)` never tries again."""

    tries: int = 6
    seconds: float = 30.0


class Reply(NamedTuple):
    """An answer that is no refusal."""

    status: int
    headers: httpx.Headers
    body: bytes


class Transport:
    """Sends requests to one server with one key.

    A call is sent again only when that cannot do anything twice: the server said so (`retryable` and no
    effect), the connection was never made, or the call is `repeatable` (it reads, or carries an idempotency
    key). The wait doubles from 0.1 s, is random below that, and is never shorter than Retry-After.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        retry: Retry,
        timeout_seconds: float,
        certificates: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"User-Agent": f"indelible/{__version__}"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self.url = url.rstrip("/")
        self._retry = retry
        self._sleep = sleep
        self._timeout_seconds = timeout_seconds
        self._http = httpx.Client(
            base_url=self.url, headers=headers, timeout=timeout_seconds, verify=_trust(certificates)
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        wait_seconds: float = 0.0,
    ) -> Reply:
        """Send a request until it is answered or refused for good.

        Args:
            method: the HTTP method; GET and HEAD are always repeatable.
            path: from the server's root, percent-encoded.
            params: query parameters in order.
            content: the body's bytes.
            headers: beside those of every request.
            repeatable: sending it twice has the effect of sending it once.
            wait_seconds: how long the server was asked to hold the answer back.

        Raises:
            Problem: the server refused.
            Unreachable: no answer came.
        """
        timeout = httpx.Timeout(self._timeout_seconds, read=self._timeout_seconds + wait_seconds)

        def once() -> Reply:
            answer = self._http.request(
                method, path, params=list(params) or None, content=content, headers=headers, timeout=timeout
            )
            return _accept(answer)

        return self.persist(once, repeatable=repeatable or method in {"GET", "HEAD"})

    def fetch(self, path: str, *, most_bytes: int) -> bytes:
        """GET a body from whoever answers, who is not trusted: bounded in bytes and in time, no redirects.

        Raises:
            Problem: the server refused.
            Unreachable: no answer came, or not all of it within `checked_answer_seconds`.
            UnexpectedAnswer: it leads elsewhere, is compressed, or is longer than `most_bytes`.
        """
        return self.persist(lambda: self._fetch(path, most_bytes), repeatable=True)

    def _fetch(self, path: str, most_bytes: int) -> bytes:
        seconds = min(self._timeout_seconds, DEFAULT_LIMITS.checked_answer_seconds)
        deadline = time.monotonic() + seconds
        headers = {"Accept-Encoding": "identity"}
        with self._http.stream("GET", path, headers=headers, timeout=seconds) as answer:
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise UnexpectedAnswer(f"{answer.url} answered in an encoding that was not asked for")
            if _REDIRECT_STATUS <= answer.status_code < _ERROR_STATUS:
                raise UnexpectedAnswer(f"{answer.url} leads to another place: name that URL, if it is right")
            refused = answer.status_code >= _ERROR_STATUS
            body = _bounded(answer, DEFAULT_LIMITS.note_bytes if refused else most_bytes, deadline)
        if refused:
            raise read_problem(answer.status_code, body, answer.headers.get("Retry-After"))
        return body

    @contextmanager
    def stream(
        self,
        path: str,
        params: Params,
        headers: Mapping[str, str],
        *,
        question: bytes | None = None,
        wait_seconds: float = 0.0,
    ) -> Iterator[Iterator[bytes]]:
        """Open a GET whose body is read in pieces, once; the caller decides how to go on after a break.

        With a `question`, which is its body, it is a POST that changes nothing.

        Raises:
            Problem: the server refused.
            Unreachable: no answer came, or the body broke off.
        """
        method = "GET" if question is None else "POST"
        timeout = httpx.Timeout(self._timeout_seconds, read=self._timeout_seconds + wait_seconds)
        try:
            with self._http.stream(
                method, path, params=list(params), headers=headers, content=question, timeout=timeout
            ) as answer:
                if answer.status_code >= _ERROR_STATUS:
                    answer.read()
                    _accept(answer)
                yield answer.iter_bytes()
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def persist(self, once: Callable[[], Result], *, repeatable: bool) -> Result:
        """Call `once` until it succeeds or trying again is useless or unsafe."""
        deadline = time.monotonic() + self._retry.seconds
        for attempt in range(1, self._retry.tries + 1):
            try:
                return once()
            except httpx.TransportError as error:
                failure: Unreachable | Problem = self._unreachable(error)
            except Unreachable as error:
                failure = error
            except Problem as error:
                failure = error
            delay = _delay(attempt, failure)
            last = attempt == self._retry.tries or time.monotonic() + delay > deadline
            if last or not _may_repeat(failure, repeatable=repeatable):
                raise failure
            self._sleep(delay)
        raise AssertionError("a retry has at least one try")

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        reason = str(error) or type(error).__name__
        return Unreachable(self.url, reason, "none" if unsent else "unknown")


def _trust(certificates: str | None) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=certificates) if certificates else True


def _accept(answer: httpx.Response) -> Reply:
    if answer.status_code >= _ERROR_STATUS:
        raise read_problem(answer.status_code, answer.content, answer.headers.get("Retry-After"))
    return Reply(answer.status_code, answer.headers, answer.content)


def _bounded(answer: httpx.Response, most_bytes: int, deadline: float) -> bytes:
    body = bytearray()
    for piece in answer.iter_raw():
        body += piece
        if len(body) > most_bytes:
            raise UnexpectedAnswer(f"{answer.url} answered more than {most_bytes} bytes")
        if time.monotonic() > deadline:  # a time-out of the library's is for one read
            raise httpx.ReadTimeout("the answer came too slowly")
    return bytes(body)


def _may_repeat(failure: Unreachable | Problem, *, repeatable: bool) -> bool:
    if isinstance(failure, Unreachable):
        return repeatable or failure.effect == "none"
    return failure.code.retryable and (repeatable or failure.code.effect == "none")


def _delay(attempt: int, failure: Unreachable | Problem) -> float:
    ceiling = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** (attempt - 1))
    asked = failure.facts.get("retry_after", 0) if isinstance(failure, Problem) else 0
    floor = float(asked) if isinstance(asked, int | float) else 0.0
    return floor + random.uniform(0, ceiling)  # noqa: S311 - spreads retries, guards nothing
