"""`indelible config check`: what a server would be started with, and what would keep it from starting."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.harness.operating import run
from tests.harness.postgres import cluster
from tests.harness.server import ServerEndedError, start_server
from tests.harness.tls import make_certificate


def checked(tmp_path: Path, text: str, *options: str | Path) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """The exit code, the settings, and the checks by name."""
    file = tmp_path / "indelible.toml"
    file.write_text(text)
    done = run("config", "check", "--config", file, "--json", *options)
    told = json.loads(done.stdout)
    return done.returncode, told["settings"], {each["name"]: each for each in told["checks"]}


def test_a_file_that_serves_is_fine_and_serves(tmp_path: Path) -> None:
    """What it says is what the server does, on the very file."""
    make_certificate(tmp_path)
    tls = 'tls_cert = "cert.pem"\ntls_key = "key.pem"\n'
    text = f'data = "state"\nport = 0\n{tls}[limits]\nevent_bytes = 100\n'
    code, settings, checks = checked(tmp_path, text)
    assert (code, checks["data"]["state"], checks["tls"]["state"]) == (0, "ok", "ok")
    assert settings["limits.event_bytes"] == {"value": 100, "from": str(tmp_path / "indelible.toml")}
    assert settings["host"] == {"value": "127.0.0.1", "from": "default"}
    assert not (tmp_path / "state").exists()
    file = tmp_path / "indelible.toml"
    file.write_text(text.replace(tls, ""))
    with start_server(tmp_path / "state", "--config", str(file)) as server, server.client() as http:
        http.post("/logs", json={"name": "a"})
        assert http.post("/logs/a/append", json={"pad": "x" * 100}).json()["code"] == "too_large"
        server.stop()


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ('tls_cert = "none.pem"\ntls_key = "none.pem"', "tls", "No such file"),
        ('tls_cert = "cert.pem"', "tls", "go together"),
        ('tls_cert = "key.pem"\ntls_key = "key.pem"', "tls", "no certificate with its key"),
        ('witness_policy = "none"', "witness policy", "cannot be used"),
        ('objects = "ftp://x/y"', "objects", "not in ftp://x/y"),
        ('database = "postgres://127.0.0.1:1/none"', "database", "cannot be reached"),
        ('database = "no url"', "database", "cannot be read"),
    ],
)
def test_what_would_not_start_is_bad(tmp_path: Path, text: str, name: str, says: str) -> None:
    """Each with what is wrong; and a server that is started so ends with a sentence too."""
    make_certificate(tmp_path)
    code, _, checks = checked(tmp_path, f'data = "state"\n{text}\n')
    assert (code, checks[name]["state"]) == (1, "bad")
    assert says in checks[name]["says"]
    with pytest.raises(ServerEndedError) as ended:
        start_server(tmp_path / "state", "--config", str(tmp_path / "indelible.toml"))
    assert "Traceback" not in str(ended.value)


def test_a_password_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the database's nor the root key: what is printed ends in tickets."""
    monkeypatch.setenv("DATABASE_URL", cluster().url(user="postgres:geheim"))
    monkeypatch.setenv("INDELIBLE_ROOT_KEY", "r" * 40)
    done = run("config", "check", "--data", tmp_path / "d")
    assert done.returncode == 0, done.stdout
    assert "geheim" not in done.stdout + done.stderr
    assert "rrrr" not in done.stdout
    assert "DATABASE_URL" in done.stdout
    assert "no synchronous standby" in done.stdout
    assert "nodes on other machines would not find them" in done.stdout


def test_a_directory_of_the_other_engine_is_bad(tmp_path: Path) -> None:
    """As the server says at its start, and before it."""
    with start_server(tmp_path / "state") as server:
        server.stop()
    code, _, checks = checked(tmp_path, f'data = "state"\ndatabase = "{cluster().url()}"\n')
    assert (code, checks["data"]["state"]) == (1, "bad")
    assert "SQLite" in checks["data"]["says"]
    code, _, checks = checked(tmp_path, "", "--data", tmp_path / "state")
    assert (code, checks["data"]["says"]) == (0, f"{tmp_path / 'state'}, served before")


def test_a_slip_is_one_sentence(tmp_path: Path) -> None:
    """And the same for `serve`."""
    (tmp_path / "indelible.toml").write_text('data = "state"\nprot = 1\n')
    for command in (("config", "check"), ("serve",)):
        done = run(*command, "--config", tmp_path / "indelible.toml")
        assert done.returncode == 1
        assert "there is no setting prot; did you mean port?" in done.stderr
        assert "Traceback" not in done.stderr
