"""Examining a file that claims to prove an event: what of it holds, in sentences for an auditor.

Every byte is hostile. Nothing is taken from a server: the only thing trusted is a verifier key, which has to
come from somewhere else than the file.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, NamedTuple
from uuid import UUID

import msgspec

from indelible.client.claims import Claim, Verdict, check_signature, when
from indelible.client.cosigned import check_cosignatures, checkpoint_of, parse_witnesses
from indelible.client.errors import NotProved
from indelible.client.examine_deployment import examine_deployment, is_deployment
from indelible.client.examine_range import examine_range, is_range
from indelible.client.results import Receipt
from indelible.client.verify import verify_receipt
from indelible.merkle import entry as entries
from indelible.merkle import proofs
from indelible.merkle.hashing import leaf_hash
from indelible.model.limits import DEFAULT_LIMITS
from indelible.notes.checkpoint import Checkpoint, parse_checkpoint
from indelible.notes.keys import Verifier
from indelible.notes.note import parse_note
from indelible.notes.tlogproof import HEADER, EventExtra, TlogProof, open_extra, parse_tlog_proof


class Examined(NamedTuple):
    """What a file is, and its claims one by one. Only when each is proved is the whole proved."""

    kind: Literal["proof", "receipt", "range", "deployment", "checkpoint"]
    claims: tuple[Claim, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the claims'."""
        verdicts = {claim.verdict for claim in self.claims}
        if "refuted" in verdicts:
            return "refuted"
        return "unproved" if "unproved" in verdicts else "proved"


def examine(data: bytes, payload: bytes | None, keys: Sequence[str]) -> Examined:
    """Examine a tlog-proof, a receipt, a range proof or a checkpoint, with the events where they are at hand.

    Args:
        data: the file.
        payload: the event as it was appended, byte for byte; for a range, its events as NDJSON with
            `payload_base64`. None leaves that claim unproved.
        keys: verifier keys that are trusted (`<origin>+<id>+<base64>`).

    Raises:
        NotProved: it is neither, or a key is malformed.
    """
    try:
        trusted = [Verifier.parse(key) for key in keys]
    except ValueError as error:
        raise NotProved(f"a key that was given is malformed: {error}") from None
    if data.startswith(HEADER.encode()):
        return Examined("proof", tuple(_proof(data, payload, trusted)))
    if data.lstrip()[:1] == b"{" and is_range(data):
        return Examined("range", tuple(examine_range(data, payload, trusted)))
    if data.lstrip()[:1] == b"{" and is_deployment(data):
        return Examined("deployment", tuple(examine_deployment(data, trusted)))
    if data.lstrip()[:1] == b"{":
        return Examined("receipt", tuple(_receipt(data, payload, trusted)))
    with suppress(ValueError):
        head = parse_checkpoint(parse_note(data).text)
        return Examined("checkpoint", (check_signature(data, head, trusted),))
    raise NotProved(
        f"that is neither a proof (it begins with {HEADER}) nor a receipt or a range (JSON), nor a checkpoint"
    )


# ---------------------------------------------------------------------- a proof


class _Opened(NamedTuple):
    """A proof taken apart, and not verified."""

    proof: TlogProof
    extra: EventExtra
    event: entries.Entry
    head: Checkpoint


def _open(data: bytes) -> _Opened:
    """Take a proof apart; raises ValueError."""
    proof = parse_tlog_proof(data)
    extra = open_extra(proof)
    head = parse_checkpoint(parse_note(proof.checkpoint).text)
    return _Opened(proof, extra, entries.decode_entry(extra.entry), head)


def _proof(data: bytes, payload: bytes | None, trusted: Sequence[Verifier]) -> list[Claim]:
    try:
        opened = _open(data)
    except ValueError as error:
        return [Claim("refuted", f"The proof is malformed: {error}")]
    return _opened(opened, payload, trusted)


def _opened(opened: _Opened, payload: bytes | None, trusted: Sequence[Verifier]) -> list[Claim]:
    return [
        check_signature(opened.proof.checkpoint, opened.head, trusted),
        _inclusion(opened),
        _content(payload, opened.event, opened.extra.salt),
    ]


def _inclusion(opened: _Opened) -> Claim:
    proof, event, head = opened.proof, opened.event, opened.head
    says = f"event {event.sequence}, received {when(event.time)} from the key {UUID(bytes=event.writer)}"
    leaf = leaf_hash(opened.extra.entry)
    try:
        proofs.verify_inclusion(proof.leaf_index, head.size, leaf, proof.hashes, head.root)
    except ValueError as error:
        return Claim("refuted", f"It is not proved that {says}, is under that head: {error}")
    return Claim("proved", f"Under that head stands {says}.")


def _content(payload: bytes | None, event: entries.Entry, salt: bytes) -> Claim:
    if payload is None:
        return Claim("unproved", "What the event says was not checked: its bytes were not given.")
    if entries.commitment(salt, payload) != event.commitment:
        return Claim("refuted", f"The {len(payload)} bytes given are not what event {event.sequence} says.")
    return Claim(
        "proved", f"The {len(payload)} bytes given are what event {event.sequence} says, byte for byte."
    )


# ---------------------------------------------------------------------- a receipt


def _receipt(data: bytes, payload: bytes | None, trusted: Sequence[Verifier]) -> list[Claim]:
    if len(data) > DEFAULT_LIMITS.tlog_proof_bytes * 2:  # its proof, with escapes
        return [Claim("refuted", "The receipt is malformed: it is too long.")]
    try:
        receipt = msgspec.json.decode(data, type=Receipt)
    except (ValueError, RecursionError) as error:
        return [Claim("refuted", f"The receipt is malformed: {error}")]
    claims = [_own_words(receipt, payload)]
    if receipt.proof is None:
        claims.append(
            Claim(
                "unproved",
                "That the event is in the log was not checked: a receipt is the server's claim. Ask for the"
                f" proof of event {receipt.sequence} (`indelible proof`), or append with --proof.",
            )
        )
        return claims
    try:
        opened = _open(receipt.proof.encode())
    except ValueError as error:
        return [*claims, Claim("refuted", f"The receipt's proof is malformed: {error}")]
    return [*claims, _same_event(receipt, opened), *_opened(opened, payload, trusted)]


def _own_words(receipt: Receipt, payload: bytes | None) -> Claim:
    if payload is None:
        return Claim("unproved", "That the receipt is for this event was not checked: no bytes were given.")
    try:
        verify_receipt(receipt, payload)
    except NotProved as error:
        return Claim("refuted", f"{str(error)[:1].upper()}{str(error)[1:]}.")
    return Claim("proved", f"The receipt of event {receipt.sequence} is for the {len(payload)} bytes given.")


def _same_event(receipt: Receipt, opened: _Opened) -> Claim:
    if leaf_hash(opened.extra.entry).hex() != receipt.leaf_hash or opened.head.origin != receipt.origin:
        return Claim("refuted", "The receipt's proof is of another event, or of another log.")
    return Claim("proved", "The receipt and its proof speak of the same event of the same log.")


def with_cosignatures(
    examined: Examined, data: bytes, witnesses: Sequence[str], quorum: int | None
) -> Examined:
    """Add what witnesses say: `witnesses` are verifier keys that are trusted, `quorum` how many suffice.

    Raises:
        NotProved: a key is malformed, or the file has no checkpoint.
    """
    keys = parse_witnesses(witnesses)
    claims = check_cosignatures(checkpoint_of(data), keys, quorum)
    return examined._replace(claims=(*examined.claims, *claims))


def members(examined: Examined) -> dict[str, object]:
    """What was found, as JSON's members."""
    claims = [claim._asdict() for claim in examined.claims]
    return {"kind": examined.kind, "verdict": examined.verdict, "claims": claims}
