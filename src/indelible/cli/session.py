"""Where the server is and with which key to call it: the options that commands share."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from indelible.cli.exits import CommandFailed

if TYPE_CHECKING:  # the client is slow to import
    from indelible.client import Client

_F = TypeVar("_F", bound=Callable[..., Any])

DEFAULT_URL = "http://127.0.0.1:8000"
PATIENT = (10, 120.0)
"""Tries and seconds for what runs long anyway; a person at a prompt waits less."""


@dataclass(frozen=True, slots=True)
class Session:
    """A server and a key, and whether answers are wanted as JSON."""

    url: str
    key: str | None
    certificates: str | None
    as_json: bool

    def client(self, *, tries: int = 4, seconds: float = 30.0) -> "Client":
        """Return a client for this server."""
        from indelible.client import Client, Retry  # noqa: PLC0415 - slow to import

        return Client(self.url, self.key, retry=Retry(tries, seconds), certificates=self.certificates)


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
