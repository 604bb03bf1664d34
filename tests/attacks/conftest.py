"""What the attacks share: a deployment that was served and stopped, and a copy of it for each."""

from pathlib import Path

import pytest
from tests.harness.attacking import Victim, served


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Victim:
    """Serve a deployment once for all attacks; they copy it before they change anything."""
    return served(tmp_path_factory.mktemp("victim") / "data")


@pytest.fixture
def victim(original: Victim, tmp_path: Path) -> Victim:
    """Give a copy of the deployment that the test may change."""
    return original.copy(tmp_path / "data")
