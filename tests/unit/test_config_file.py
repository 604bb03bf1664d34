"""Settings come from the command line, then variables, then one file; what means nothing is refused."""

from pathlib import Path

import pytest

from indelible.config import SettingsError, read_file, sourced

WHOLE = """
data = "state"
host = "10.0.0.1"
port = 9000
objects = "s3://acme-audit/production"
tls_cert = "/etc/tls/cert.pem"
log_json = true

[limits]
event_bytes = 65536
publish_interval_seconds = 2.5
"""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine counts."""
    for name in ("DATABASE_URL", "OBJECTS", "INDELIBLE_ROOT_KEY", "INDELIBLE_ARCHIVE"):
        monkeypatch.delenv(name, raising=False)


def written(tmp_path: Path, text: str) -> Path:
    """A file with settings."""
    file = tmp_path / "indelible.toml"
    file.write_text(text)
    return file


def test_each_setting_of_a_file_counts_and_says_whence_it_is(tmp_path: Path) -> None:
    """Paths are as from the file's folder; what follows from another setting follows here too."""
    file = written(tmp_path, WHOLE)
    settings, sources = sourced(None, file)
    assert (settings.data, settings.host, settings.port) == (tmp_path / "state", "10.0.0.1", 9_000)
    assert (settings.tls_cert, settings.log_json) == (Path("/etc/tls/cert.pem"), True)
    assert settings.archive  # the objects are in a bucket
    assert (settings.limits.event_bytes, settings.limits.publish_interval_seconds) == (65_536, 2.5)
    assert set(sources.values()) == {str(file)}
    assert {"data", "limits.event_bytes"} <= set(sources)
    assert "archive" not in sources


def test_variables_come_before_the_file_and_options_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each says where it was given."""
    monkeypatch.setenv("OBJECTS", "s3://other/prefix")
    monkeypatch.setenv("INDELIBLE_LIMIT_EVENT_BYTES", "1024")
    monkeypatch.setenv("INDELIBLE_ARCHIVE", "0")
    settings, sources = sourced(tmp_path / "given", written(tmp_path, WHOLE), port=1)
    assert (settings.data, settings.port) == (tmp_path / "given", 1)
    assert (settings.objects, settings.archive, settings.limits.event_bytes) == (
        "s3://other/prefix",
        False,
        1_024,
    )
    assert sources["data"] == sources["port"] == "command line"
    assert sources["objects"] == "OBJECTS"
    assert sources["limits.event_bytes"] == "INDELIBLE_LIMIT_EVENT_BYTES"
    assert sources["host"] == str(tmp_path / "indelible.toml")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hots = 'x'", "there is no setting hots; did you mean host?"),
        ("no_auth = true", "there is no setting no_auth"),
        ("root_key = 'x'", "there is no setting root_key"),
        ("port = '8000'", "port takes a whole number, not '8000'"),
        ("port = true", "port takes a whole number, not True"),
        ("archive = 1", "archive takes true or false, not 1"),
        ("limits = 3", "there is no setting limits"),
        ("[limits]\nevent_byte = 1", "there is no limit event_byte; did you mean event_bytes?"),
        ("[limits]\nevent_bytes = '1'", "limits.event_bytes takes a number, not '1'"),
        ("data = ", "is not TOML"),
        ("data = '\udcff'", "cannot be read"),
    ],
)
def test_what_means_nothing_is_refused_by_its_name(tmp_path: Path, text: str, found: str) -> None:
    """A slip in a file must not be silent."""
    file = tmp_path / "indelible.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SettingsError) as error:
        read_file(file)
    assert found in str(error.value)
    assert str(file) in str(error.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[limits]\nevent_bytes = 1.5", "limits.event_bytes takes a whole number, not '1.5'"),
        ("[limits]\nevent_bytes = -1", "limits.event_bytes must not be negative"),
        ("port = 1", "name the data directory"),
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path: Path, text: str, found: str) -> None:
    """Where they were given, in the file's own words."""
    given = None if "port" in text else tmp_path
    with pytest.raises(SettingsError, match=found):
        sourced(given, written(tmp_path, text))


def test_a_switch_that_is_neither_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable for a switch takes 1 or 0."""
    monkeypatch.setenv("INDELIBLE_WITNESS_FAIL_OPEN", "maybe")
    with pytest.raises(SettingsError, match="INDELIBLE_WITNESS_FAIL_OPEN takes 1 or 0, not 'maybe'"):
        sourced(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Not taken for one without settings."""
    with pytest.raises(SettingsError, match="cannot be read"):
        read_file(tmp_path / "none.toml")
