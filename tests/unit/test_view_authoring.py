"""Scaffolds and builds: what is written, what is refused, and what is said where a tool is missing."""

import json
import sys
from pathlib import Path

import pytest
from tests.harness.wat import wasm
from tests.unit.test_author_checks import HONEST

from indelible.author import build
from indelible.author.languages import Language
from indelible.author.scaffold import scaffold
from indelible.cli.root import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("language", Language)
def test_a_scaffold_has_all_that_a_view_needs(language: Language, tmp_path: Path) -> None:
    """Source, SDK, contract, events, tests and README, with the name in place of every blank."""
    folder = scaffold("my-view", language, tmp_path)
    for name in (language.source, language.sdk, "wit/view.wit", "view.toml", "events.ndjson", "test_view.py"):
        assert (folder / name).exists(), name
    assert (folder / "wit/view.wit").read_bytes() == (ROOT / "wit/view.wit").read_bytes()
    texts = [file.read_text() for file in folder.rglob("*") if file.is_file()]
    assert not [text for text in texts if "{{name}}" in text or "{{language}}" in text or "{{sdk}}" in text]
    project = build.open_project(folder)
    assert (project.name, project.language) == ("my-view", language)
    assert not list(folder.rglob("__pycache__"))


def test_a_scaffold_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is there stays as it is, and a name that no view can have is refused."""
    monkeypatch.chdir(tmp_path)
    assert main(["view", "new", "mine"]) == 0
    (tmp_path / "mine/app.py").write_text("# mine\n")
    assert main(["view", "new", "mine"]) == 1
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "mine/app.py").read_text() == "# mine\n"
    assert main(["view", "new", "../elsewhere"]) == 1
    assert "invalid_name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("language", "says"),
    [
        (Language.PYTHON, "componentize-py is missing; get it with: pip install componentize-py"),
        (Language.JS, "node is missing; get it with: apt-get install nodejs npm"),
        (Language.RUST, "Rust for WebAssembly is missing; get it with: apt-get install rustc-web"),
    ],
)
def test_a_missing_tool_is_named_with_its_command(
    language: Language,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is installed and nothing is written; one sentence says what to type."""
    scaffold("mine", language, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing" / "python"))
    monkeypatch.setattr(build, "_DEBIAN_RUST", (tmp_path / "nothing",))
    assert main(["view", "build", str(tmp_path / "mine")]) == 1
    assert says in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_what_the_tool_said_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A view with a slip in it: the tool's own words, the last component stays, and no scratch is left."""
    pytest.importorskip("componentize_py", reason="needs componentize-py: pip install componentize-py")
    folder = scaffold("mine", Language.PYTHON, tmp_path)
    (folder / "app.py").write_text("import indelible_view\nthis is no Python\n")
    (folder / "mine.wasm").write_bytes(b"the last one")
    assert main(["view", "build", str(folder)]) == 1
    assert "SyntaxError" in capsys.readouterr().err
    assert (folder / "mine.wasm").read_bytes() == b"the last one"
    assert not list(folder.glob(".build-*"))


@pytest.mark.parametrize(
    "text", ["", 'name = "x"\nlanguage = "cobol"\n', "= no TOML", 'name = "../x"\nlanguage = "js"\n']
)
def test_a_folder_of_another_kind_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`view.toml` must be one that `view new` could have written."""
    if text:
        (tmp_path / "view.toml").write_text(text)
    assert main(["view", "build", str(tmp_path)]) == 1
    assert "view.toml" in capsys.readouterr().err


def test_a_bench_marks_what_it_did_not_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures of a view over generated events; memory that did not grow says nothing about a million."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "view.wasm").write_bytes(wasm(**HONEST))
    assert main(["view", "bench", str(tmp_path / "view.wasm"), "--generate", "2500", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["events"], found["extrapolated"], found["million_bytes"]) == (2_500, True, None)
    assert found["events_per_second"] > 0
    assert found["fuel_per_event"] > 0
    assert found["snapshot"]["parts"] == 1
    assert [asked["bytes"] for asked in found["questions"]] == [1]
