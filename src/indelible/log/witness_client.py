"""Asking one witness once (C2SP tlog-witness), and judging what it answers before anything is made of it."""

import ssl
from typing import NamedTuple

import httpx

from indelible.model.limits import Limits
from indelible.notes.addcheckpoint import PATH
from indelible.notes.cosignature import CosignatureVerifier, cosignature_time
from indelible.notes.note import NoteSignature, parse_note
from indelible.notes.strict import NoteError, decode_decimal

OK, CONFLICT, UNPROCESSABLE = 200, 409, 422


class Reply(NamedTuple):
    """What a witness answered."""

    status: int
    body: bytes


class Cosigned(NamedTuple):
    """It cosigned; the signature is verified, and its time is near ours."""

    signature: NoteSignature


class Elsewhere(NamedTuple):
    """It cosigned a head of this size last, not the one that the proof began at."""

    size: int


class Contradicted(NamedTuple):
    """It has seen another history of this log; `size` is how long where it is longer than asked."""

    found: str
    size: int = 0


class Unanswered(NamedTuple):
    """It gave nothing that can be used; it may be asked again."""

    why: str


Outcome = Cosigned | Elsewhere | Contradicted | Unanswered


class WitnessClient:
    """HTTP to witnesses: TLS is verified, redirects are not followed, an answer's size and time are bounded.

    Opened on the event loop that uses it.
    """

    def __init__(self, limits: Limits) -> None:
        self._most_bytes = limits.witness_answer_bytes
        self._http = httpx.AsyncClient(
            timeout=limits.witness_seconds,
            limits=httpx.Limits(max_connections=limits.witness_requests),
            headers={"user-agent": "indelible", "accept-encoding": "identity"},
            verify=ssl.create_default_context(),
        )

    async def close(self) -> None:
        """End all connections."""
        await self._http.aclose()

    async def add_checkpoint(self, url: str, body: bytes) -> Reply | Unanswered:
        """Send a request to the submission prefix `url`; the caller bounds the time of the whole."""
        try:
            async with self._http.stream("POST", url.rstrip("/") + PATH, content=body) as answer:
                received = b""
                async for piece in answer.aiter_raw():  # not inflated: few bytes can be made many
                    received += piece
                    if len(received) > self._most_bytes:
                        return Unanswered(f"its answer has more than {self._most_bytes} bytes")
                return Reply(answer.status_code, received)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Unanswered(f"{type(error).__name__}: {error}")


class Question(NamedTuple):
    """What was asked: the checkpoint's text, its size, and the size at which the proof began."""

    text: str
    size: int
    old_size: int


def judge_reply(
    reply: Reply, question: Question, verifier: CosignatureVerifier, now: int, skew: int
) -> Outcome:
    """Say what an answer means. Pure.

    Args:
        reply: the answer.
        question: what was asked.
        verifier: the witness's key.
        now: seconds since 1970.
        skew: how far a new cosignature's time may be from `now`, seconds.
    """
    if reply.status == OK:
        return _cosigned(reply.body, question.text, verifier, now, skew)
    if reply.status == CONFLICT:
        return _conflict(reply.body, question)
    if reply.status == UNPROCESSABLE:
        return Contradicted(
            f"it does not take this log's proof that {question.size} events continue"
            f" the {question.old_size} that it cosigned last"
        )
    return Unanswered(f"it answered {reply.status}")


def _conflict(body: bytes, question: Question) -> Outcome:
    try:
        size = decode_decimal(body.decode("ascii").removesuffix("\n"), "The size of a conflict")
    except ValueError as error:
        return Unanswered(f"its conflict names no size: {error}")
    if size > question.size:
        return Contradicted(f"it cosigned a head of {size} events, and this log never had one", size)
    if size != question.old_size:
        return Elsewhere(size)
    if size == question.size:  # as tlog-witness 1.0 answers two roots of one size
        return Contradicted(f"it cosigned another head of {size} events")
    return Unanswered("its conflict names the size that it was asked from")


def _cosigned(body: bytes, text: str, verifier: CosignatureVerifier, now: int, skew: int) -> Outcome:
    try:
        lines = parse_note(f"{text}\n".encode() + body).signatures
    except NoteError as error:
        return Unanswered(f"its signature lines are malformed: {error}")
    own = [line for line in lines if (line.name, line.key_id) == (verifier.name, verifier.key_id)]
    if not own:
        return Unanswered("it cosigned with none of the keys that the policy names")
    if not all(verifier.verify(text, line.signature) for line in own):
        return Unanswered("its cosignature does not verify")
    time = cosignature_time(own[0])
    if abs(time - now) > skew:
        return Unanswered(f"its cosignature is dated {time}, {abs(time - now)} seconds from this clock")
    return Cosigned(own[0])
