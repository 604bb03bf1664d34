"""What the tests against programs of others share."""

from pathlib import Path

import pytest
from tests.harness.golang import build


@pytest.fixture(scope="session")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built once; skips where Go or its tlog package is missing."""
    return build("tlog", tmp_path_factory.mktemp("go"))
