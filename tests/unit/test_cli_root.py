"""The command line itself: help, exit codes, errors as one sentence, a quick start."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indelible.cli import main
from indelible.cli.exits import Exit, explain_problem
from indelible.cli.root import COMMANDS, root
from indelible.cli.story import Call, cut, elide, pretty
from indelible.model.errors import CODES, Problem


def all_commands() -> list[tuple[str, click.Command]]:
    """Give every command with its full name."""
    found = []
    context = click.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", each) for inner, each in command.commands.items()]
        else:
            found.append((name, command))
    return found


def free_url() -> str:
    """Return a URL where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(("name", "command"), all_commands())
def test_every_command_answers_as_json_and_has_help(name: str, command: click.Command) -> None:
    """`--json` and a help text are everywhere, and every option says what it does."""
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert any("--json" in option.opts for option in options), name
    assert command.help, name
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_is_true(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the list exists and shows its help."""
    assert main([name, "--help"]) == Exit.OK
    assert "Usage: indelible" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("verify", "FILE"), ("fsck", "--data", "."), ("serve", "--data", ".")])
def test_a_setting_that_cannot_be_used_is_told_in_one_sentence(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever command reads the environment, it says which variable is wrong."""
    monkeypatch.setenv("INDELIBLE_LIMIT_IDLE_SECONDS", "soon")
    assert main(arguments) == Exit.REFUSED
    assert (
        capsys.readouterr().err
        == "indelible: INDELIBLE_LIMIT_IDLE_SECONDS takes a whole number, not 'soon'\n"
    )


@pytest.mark.parametrize("code", CODES)
def test_every_refusal_has_an_exit_code(code: str) -> None:
    """What may work later, what is unknown, and what is final are told apart."""
    failure = explain_problem(Problem(code, "do this.", limit=3))
    assert failure.exit in {Exit.REFUSED, Exit.LATER, Exit.UNKNOWN}
    assert (failure.exit == Exit.UNKNOWN) == (CODES[code].effect == "unknown")
    assert code in failure.sentence
    assert failure.members["limit"] == 3


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    """No server: exit code 3, one sentence on standard error that says what to do, nothing on the output."""
    assert main(["log", "list", "--url", free_url()]) == Exit.UNREACHABLE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "indelible serve" in err
    assert main(["log", "list", "--json", "--url", free_url()]) == Exit.UNREACHABLE
    assert json.loads(capsys.readouterr().err)["code"] == "unreachable"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["append", "x"],
        ["append", "x", "--event", "{not json"],
        ["query", "x", "v", "novalue"],
        ["view", "deploy", "x", "v"],
        ["key", "create"],
        ["serve", "--data", "x", "--no-auth", "--host", "192.0.2.1"],
        ["serve", "--data", "x", "--tls-cert", "x"],
        ["events", "x", "--follow", "--order", "desc"],
    ],
)  # fmt: skip
def test_a_wrong_command_is_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A command that was typed wrong gives exit code 2, and no traceback."""
    assert main(arguments) == Exit.USAGE
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "", "two words", "new\nline"])
def test_a_key_file_is_checked(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key file that is missing or holds no key is said, without quoting what is in it."""
    file = tmp_path / "key"
    if content is not None:
        file.write_text(content)
    assert main(["log", "list", "--url", free_url(), "--key-file", str(file)]) == Exit.REFUSED
    err = capsys.readouterr().err
    assert str(file) in err
    assert "words" not in err


def test_the_start_is_quick() -> None:
    """`--help` imports neither the client nor rich nor the server."""
    program = (
        "import sys, indelible.cli\n"
        "try: indelible.cli.main(['--help'])\n"
        "finally: print([m for m in ('httpx', 'rich', 'wasmtime', 'cryptography', 'httptools', 'msgspec')"
        " if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_curl_can_be_pasted() -> None:
    """Quotes, ampersands and quotes inside a body survive a shell."""
    call = Call("POST", "/logs/x/append", [("a", "b c"), ("d", "&")], b'{"it\'s": "$HOME"}')
    command = call.curl("http://127.0.0.1:1").replace("curl", "printf '%s\\n'", 1)
    shown = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout
    assert shown.splitlines() == [
        "http://127.0.0.1:1/logs/x/append?a=b%20c&d=%26",
        "-d",
        '{"it\'s": "$HOME"}',
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)


@given(JSON)
def test_an_answer_that_is_shown_is_the_answer(value: object) -> None:
    """However it is laid out, it is the same JSON, in lines of a bounded width."""
    lines = pretty(value)
    assert json.loads("\n".join(lines)) == value


def test_long_answers_are_cut() -> None:
    """Long lists and long answers are cut, and it is said how much is missing."""
    assert elide({"rows": [1, 2, 3, 4]}, 2) == {"rows": [1, 2, "… 2 more"]}
    shown = cut([str(number) for number in range(9)], 5)
    assert shown == ["0", "1", "2", "3", "4", "… 4 more lines"]
