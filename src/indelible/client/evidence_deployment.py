"""The second proof in an evidence file: its head in the log of heads, and who cosigned either."""

from collections.abc import Iterator, Sequence

from indelible.client.claims import Claim
from indelible.client.cosigned import check_cosignatures, checkpoint_of
from indelible.client.errors import NotProved
from indelible.client.examine_deployment import examine_deployment, listed_head
from indelible.client.trust import Trust
from indelible.notes.checkpoint import Checkpoint
from indelible.notes.statements import KeyHistory


def check_deployment(data: bytes | None, head: Checkpoint, trusted: Sequence[KeyHistory]) -> Iterator[Claim]:
    """Check that the file's own head stands in the log of heads, where the file says so.

    Without a key of that log, its signature is only told: the evidence proves its events without it.
    """
    if data is None:
        return
    try:
        listed = listed_head(data)
    except (ValueError, RecursionError) as error:
        yield Claim("refuted", f"deployment.json is malformed: {error}")
        return
    if (listed.origin, listed.size, listed.root) != (head.origin, head.size, head.root):
        yield Claim("refuted", "deployment.json lists another head than that of the file.")
        return
    for claim in examine_deployment(data, trusted):
        if claim.verdict == "unproved":
            yield Claim("stated", f"{claim.says} Give that key to have the second proof checked whole.")
        else:
            yield claim


def cosigned_somewhere(note: bytes, deployment: bytes | None, given: Trust) -> Iterator[Claim]:
    """Check that witnesses cosigned the log's own head, or the head of the log of heads that lists it."""
    if not given.witnesses:
        return
    claims = check_cosignatures(note, given.witnesses, given.quorum)
    if claims[-1].verdict != "proved" and deployment is not None:
        try:
            claims = check_cosignatures(checkpoint_of(deployment), given.witnesses, given.quorum)
        except NotProved as error:
            claims = [Claim("refuted", f"deployment.json is malformed: {error}")]
    yield from claims
