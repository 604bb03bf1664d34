"""What the tests of backups share: a deployment that was served, a copy to change, a backup."""

import json
import shutil
from pathlib import Path

import pytest
from tests.harness.operating import (
    NDJSON,
    Original,
    appended,
    created,
    published_size,
    quiet,
    serving,
)

from indelible.operate.backup import back_up


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """Serve a deployment once for all tests; they copy it before they change anything."""
    data = tmp_path_factory.mktemp("original") / "data"
    with serving(data) as (_, http):
        small, large = created(http, "small"), created(http, "large")
        for number in range(40):
            appended(http, small, number)
        for part in range(3):
            lines = "\n".join(json.dumps({"n": part * 100 + n}) for n in range(100))
            answer = http.post(f"{large}/append_batch", content=lines, headers=NDJSON)
            assert answer.status_code == 201, answer.text
        view = http.post(f"{small}/views/report", json={"builtin": "compliance-report"})
        assert view.status_code == 201, view.text
        assert published_size(http, small) == 40
        assert published_size(http, large) == 300
    return Original(data, small, large)


@pytest.fixture
def data(original: Original, tmp_path: Path) -> Path:
    """Give a copy of the original that the test may change."""
    return Path(shutil.copytree(original.data, tmp_path / "data"))


@pytest.fixture
def backup(data: Path, tmp_path: Path) -> Path:
    """Give a backup without secrets."""
    back_up(data, tmp_path / "backup", include_secrets=False, progress=quiet)
    return tmp_path / "backup"
