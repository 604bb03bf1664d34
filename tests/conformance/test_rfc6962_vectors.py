"""Published RFC 6962 proofs, good and bad, made by transparency-dev/merkle."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import NO_VECTORS

from indelible.merkle.proofs import ProofError, verify_consistency, verify_inclusion

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"


def cases(name: str) -> list[dict[str, Any]]:
    """The cases of one file, none where the files are absent."""
    path = VECTORS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def require_vectors() -> None:
    """Skip, with the reason that scripts/test prints, where the files are absent."""
    if not VECTORS.is_dir():
        pytest.skip(NO_VECTORS)


def unpack(text: str | None) -> bytes:
    """The bytes of a base64 member; absent means none."""
    return base64.b64decode(text or "", validate=True)


def holds(verify: Any, *claim: Any) -> bool:
    """Say whether a verifier accepts a claim."""
    try:
        verify(*claim)
    except ProofError:
        return False
    return True


def test_inclusion_vectors() -> None:
    """Every published inclusion proof is accepted or refused as its authors say."""
    require_vectors()
    vectors = cases("rfc6962-inclusion")
    assert len(vectors) == 98
    for case in vectors:
        proof = [unpack(item) for item in case["proof"] or ()]
        claim = (case["leafIdx"], case["treeSize"], unpack(case["leafHash"]), proof, unpack(case["root"]))
        assert holds(verify_inclusion, *claim) is not case["wantErr"], case["name"]


def test_consistency_vectors() -> None:
    """Every published consistency proof is accepted or refused as its authors say, with one difference.

    Ours checks each root's length too, so the case that compares two equal roots of 12 bytes is refused.
    The vectors refuse every proof from size 0; ours takes the empty one, but only from the root of nothing
    to a root of 32 bytes, and no vector has both.
    """
    require_vectors()
    vectors = cases("rfc6962-consistency")
    assert len(vectors) == 98
    for case in vectors:
        proof = [unpack(item) for item in case["proof"] or ()]
        roots = unpack(case["root1"]), unpack(case["root2"])
        good = not case["wantErr"] and all(len(root) == 32 for root in roots)
        assert holds(verify_consistency, case["size1"], case["size2"], *roots, proof) is good, case["name"]
