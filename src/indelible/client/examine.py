"""Examining a file that claims to prove an event: what of it holds, in sentences for an auditor.

Every byte is hostile. Nothing is taken from a server: the only thing trusted is a verifier key, which has to
come from somewhere else than the file.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO, Literal, NamedTuple

from indelible.client.claims import Claim, Verdict, check_signature
from indelible.client.cosigned import check_cosignatures, checkpoint_of
from indelible.client.errors import NotProved
from indelible.client.examine_deployment import examine_deployment, is_deployment
from indelible.client.examine_evidence import ZIP_MAGIC, Told, examine_evidence
from indelible.client.examine_proof import OpenedProof, examine_proof, open_proof
from indelible.client.examine_range import examine_range, is_range
from indelible.client.results import Receipt
from indelible.client.trust import Trust, trust
from indelible.client.verify import is_of, read_receipt, verify_receipt
from indelible.model.limits import DEFAULT_LIMITS, Limits
from indelible.notes.checkpoint import parse_checkpoint
from indelible.notes.note import parse_note
from indelible.notes.statements import KeyHistory
from indelible.notes.tlogproof import HEADER


class Examined(NamedTuple):
    """What a file is, and its claims one by one. Only when each is proved is the whole proved."""

    kind: Literal["proof", "receipt", "range", "evidence", "log", "deployment", "checkpoint"]
    claims: tuple[Claim, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of the claims', where what is only stated does not count."""
        verdicts = {claim.verdict for claim in self.claims}
        if "refuted" in verdicts:
            return "refuted"
        return "unproved" if "unproved" in verdicts else "proved"


def examine(
    data: bytes, payload: bytes | None, keys: Sequence[str], statements: Sequence[bytes] = ()
) -> Examined:
    """Examine a tlog-proof, a receipt, a range proof or a checkpoint, with the events where they are at hand.

    Args:
        data: the file.
        payload: the event as it was appended, byte for byte; for a range, its events as NDJSON with
            `payload_base64`. None leaves that claim unproved.
        keys: verifier keys that are trusted (`<origin>+<id>+<base64>`).
        statements: key statements of their logs, by which others follow them.

    Raises:
        NotProved: it is neither, a key is malformed, or a statement does not hold.
    """
    return examine_with(data, payload, trust(keys, statements))


def examine_with(data: bytes, payload: bytes | None, given: Trust) -> Examined:
    """Examine as `examine` does, with all that is trusted; witnesses add claims of their own.

    Raises:
        NotProved: as `examine`; witnesses were given, and there is no checkpoint in it.
    """
    examined = _examine(data, payload, given)
    if not given.witnesses:
        return examined
    claims = check_cosignatures(checkpoint_of(data), given.witnesses, given.quorum)
    return examined._replace(claims=(*examined.claims, *claims))


def _examine(data: bytes, payload: bytes | None, given: Trust) -> Examined:
    trusted = given.histories()
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


def examine_file(
    file: BinaryIO,
    payload: bytes | None,
    given: Trust | Sequence[str],
    limits: Limits = DEFAULT_LIMITS,
    told: Told = lambda _done, _all: None,
) -> Examined:
    """Examine what `examine` does, or an evidence file of any size; the first bytes say which it is.

    Args:
        file: seekable, at its beginning.
        payload: as `examine` takes it; an evidence file has its events with it.
        given: what is trusted (`trust`), or verifier keys alone; key statements are in an evidence file too.
        limits: `proof_file_bytes`, and for an evidence file those named `evidence_…`.
        told: is called while an evidence file is read: bytes of events read, and of how many.

    Raises:
        NotProved: it is none of these or too large for one, a key is malformed, or events were given to an
            evidence file.
        OSError: the file cannot be read.
    """
    trusted = given if isinstance(given, Trust) else trust(given)
    magic = file.read(len(ZIP_MAGIC))
    file.seek(0)
    if magic == ZIP_MAGIC:
        if payload is not None:
            raise NotProved("an evidence file has its events in it: give no others")
        return Examined("evidence", tuple(examine_evidence(file, trusted, limits, told)))
    data = file.read(limits.proof_file_bytes + 1)
    if len(data) > limits.proof_file_bytes:
        raise NotProved(f"that has more than {limits.proof_file_bytes} bytes: it is no proof and no receipt")
    return examine_with(data, payload, trusted)


def _proof(data: bytes, payload: bytes | None, trusted: Sequence[KeyHistory]) -> list[Claim]:
    try:
        opened = open_proof(data)
    except ValueError as error:
        return [Claim("refuted", f"The proof is malformed: {error}")]
    return examine_proof(opened, payload, trusted)


# ---------------------------------------------------------------------- a receipt


def _receipt(data: bytes, payload: bytes | None, trusted: Sequence[KeyHistory]) -> list[Claim]:
    try:
        receipt = read_receipt(data)
    except NotProved as error:
        return [Claim("refuted", _sentence(error))]
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
        opened = open_proof(receipt.proof.encode())
    except ValueError as error:
        return [*claims, Claim("refuted", f"The receipt's proof is malformed: {error}")]
    return [*claims, _same_event(receipt, opened), *examine_proof(opened, payload, trusted)]


def _own_words(receipt: Receipt, payload: bytes | None) -> Claim:
    if payload is None:
        return Claim("unproved", "That the receipt is for this event was not checked: no bytes were given.")
    try:
        verify_receipt(receipt, payload)
    except NotProved as error:
        return Claim("refuted", _sentence(error))
    return Claim("proved", f"The receipt of event {receipt.sequence} is for the {len(payload)} bytes given.")


def _sentence(error: NotProved) -> str:
    return f"{str(error)[:1].upper()}{str(error)[1:]}."


def _same_event(receipt: Receipt, opened: OpenedProof) -> Claim:
    if not is_of(opened, receipt):
        return Claim("refuted", "The receipt's proof is of another event, or of another log.")
    return Claim("proved", "The receipt and its proof speak of the same event of the same log.")


def members(examined: Examined) -> dict[str, object]:
    """What was found, as JSON's members."""
    claims = [claim._asdict() for claim in examined.claims]
    return {"kind": examined.kind, "verdict": examined.verdict, "claims": claims}
