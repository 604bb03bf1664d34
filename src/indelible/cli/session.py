"""Where the server is and with which key to call it: the options that commands share."""

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from indelible.cli.exits import CommandFailed
from indelible.cli.text import clean

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Client, Pin, PinStore

_F = TypeVar("_F", bound=Callable[..., Any])

DEFAULT_URL = "http://127.0.0.1:8000"
PATIENT = (10, 120.0)
"""Tries and seconds for what runs long anyway; a person at a prompt waits less."""


@dataclass(frozen=True, slots=True)
class Session:
    """A server and a key, whether answers are wanted as JSON, and where heads are remembered."""

    url: str
    key: str | None
    certificates: str | None
    as_json: bool
    pins: Path | None = None

    def client(self, *, tries: int = 4, seconds: float = 30.0) -> "Client":
        """Return a client for this server."""
        from indelible.client import Client, Retry  # noqa: PLC0415 - slow to import

        return Client(
            self.url,
            self.key,
            retry=Retry(tries, seconds),
            certificates=self.certificates,
            pins=open_pins(self.pins, as_json=self.as_json),
        )


def read_key(key_file: str | None) -> str | None:
    """Return the key: of the file, of INDELIBLE_KEY, or of the file that INDELIBLE_KEY_FILE names.

    Raises:
        CommandFailed: the file cannot be read or holds no key.
    """
    path = key_file
    if path is None:
        key = os.environ.get("INDELIBLE_KEY", "").strip()
        if key:
            return key
        path = os.environ.get("INDELIBLE_KEY_FILE") or None
    if path is None:
        return None
    try:
        key = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"the key file {path} cannot be read: {error}") from None
    if not key or not key.isascii() or any(character.isspace() for character in key):
        raise CommandFailed(f"the key file {path} must hold one key and nothing else")
    return key


def default_pins() -> Path:
    """Where heads are remembered unless an option says otherwise: state of the user's, by the XDG rules."""
    named = os.environ.get("INDELIBLE_PINS")
    if named:
        return Path(named).expanduser()
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if Path(state).is_absolute() else Path.home() / ".local/state") / "indelible" / "pins"


def open_pins(folder: Path | None, *, as_json: bool) -> "PinStore | None":
    """Return the store of heads in a folder, which says on standard error what it sees for the first time."""
    if folder is None:
        return None
    from indelible.client import PinStore  # noqa: PLC0415 - slow to import

    def tell(pin: "Pin") -> None:
        origin, size, key = pin.head.origin, pin.head.size, pin.verifier.vkey
        if as_json:
            seen = {"notice": "first_sight", "origin": origin, "size": size, "verifier_key": key}
            print(json.dumps(seen), file=sys.stderr)
            return
        says = (
            f"first sight of {origin} with {size} events: there is nothing to compare it with. Head and "
            f"key are trusted on first use, and remembered in {folder}. Compare the key with one from its "
            f"operator, unless you gave it yourself: {key}"
        )
        print(f"indelible: {clean(says)}", file=sys.stderr)

    return PinStore(folder, tell)


def pins_options(command: _F) -> _F:
    """Add `--pins` and `--no-pins` as the argument `pins`: a folder, or None."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, pins: Path | None, no_pins: bool, **named: Any) -> Any:
        if no_pins and pins is not None:
            raise click.UsageError("--pins and --no-pins exclude each other")
        return command(*arguments, pins=None if no_pins else pins or default_pins(), **named)

    folder = click.Path(file_okay=False, path_type=Path)
    for option in (
        click.option("--no-pins", is_flag=True, help="Compare with nothing, and remember nothing."),
        click.option("--pins", type=folder, metavar="DIR", help="Where heads of logs are remembered."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]  # click's options keep the function they decorate


def with_pins(command: _F) -> _F:
    """Below `with_session`: the session's client compares each checkpoint with the last one seen."""

    @functools.wraps(command)
    def wrapped(session: Session, *arguments: Any, pins: Path | None, **named: Any) -> Any:
        return command(replace(session, pins=pins), *arguments, **named)

    return pins_options(wrapped)  # type: ignore[return-value]  # click's options keep the function they decorate


def json_option(command: _F) -> _F:
    """Add `--json` as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")(command)


def with_session(command: _F) -> _F:
    """Add the options that say which server, and hand a `Session` to the command as its first argument."""

    @functools.wraps(command)
    def wrapped(
        url: str, key_file: str | None, certificates: str | None, *arguments: Any, as_json: bool, **named: Any
    ) -> Any:
        session = Session(url, read_key(key_file), certificates, as_json)
        return command(session, *arguments, **named)

    options = (
        click.option(
            "--url", envvar="INDELIBLE_URL", default=DEFAULT_URL, show_default=True, help="The server."
        ),
        click.option("--key-file", metavar="FILE", help="A file with the API key; a root-key file works."),
        click.option(
            "--certificates", envvar="INDELIBLE_CERTIFICATES", metavar="FILE", help="Trust these for TLS."
        ),
        json_option,
    )
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]  # click's options keep the function they decorate
