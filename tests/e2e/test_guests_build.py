"""The helper that builds the guests: what it says when a tool is missing, and that what it ships is fresh."""

import hashlib
import lzma
from pathlib import Path

import pytest
from tests.guests import build


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with nothing on its path, nothing in its cache, and no wish to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(build.ALL, raising=False)
    monkeypatch.setattr(build, "DEBIAN_CARGO", tmp_path / "cargo")


def test_the_packed_guest_is_of_the_source_beside_it() -> None:
    """After a change: `scripts/build-guests --install --pack-js tally-js`, and commit the result."""
    assert build.JS_FIXTURE_KEY.read_text().split() == [build.js_key(), build.digest_of(build.JS_FIXTURE)]


def test_javascript_needs_no_node(bare: None) -> None:
    """Without componentize-js the packed component is taken, as it was packed."""
    content = build.build("tally-js").read_bytes()
    assert (
        hashlib.sha256(content).digest()
        == hashlib.sha256(lzma.decompress(build.JS_FIXTURE.read_bytes())).digest()
    )


def test_a_packed_guest_of_another_source_is_not_run(
    bare: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A component that was packed from another tally.js is missing, not wrong."""
    other = tmp_path / "key"
    other.write_text("0 0\n")
    monkeypatch.setattr(build, "JS_FIXTURE_KEY", other)
    with pytest.raises(
        build.ToolMissing, match=r"^needs componentize-js: scripts/build-guests --install tally-js$"
    ):
        build.build("tally-js")


def test_a_missing_tool_is_a_skip_that_says_how_to_get_it(bare: None) -> None:
    """The reason has the form `needs X: command`, which `scripts/test` lists at its end."""
    with pytest.raises(pytest.skip.Exception, match=r"^needs Rust for WebAssembly: apt-get install "):
        build.need("tally-rust")


def test_a_missing_tool_fails_a_run_of_everything(bare: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `INDELIBLE_TEST_ALL=1` there is no gap."""
    monkeypatch.setenv(build.ALL, "1")
    with pytest.raises(pytest.fail.Exception, match=r"needs Rust for WebAssembly"):
        build.need("tally-rust")


def test_a_second_build_is_the_first_one() -> None:
    """What was built from the same sources with the same tools is not built again."""
    first = build.need("tally-c")
    stamp = first.stat().st_mtime_ns
    assert build.need("tally-c") == first
    assert first.stat().st_mtime_ns == stamp


def test_what_a_tool_says_is_in_the_failure(tmp_path: Path) -> None:
    """A build that fails is no skip, and shows the tool's own words."""
    source = tmp_path / "broken.c"
    source.write_text("int broken(void) { return undeclared; }\n")
    with pytest.raises(build.BuildFailed, match="undeclared"):
        build.compile_c([source], build.VIEW_WIT, "audit-view", tmp_path, tmp_path / "out.wasm")
