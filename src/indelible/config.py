"""The settings of one server, parsed once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from indelible.model.limits import DEFAULT_LIMITS, Limits

ROOT_KEY_CHARACTERS = 32
_LIMIT_PREFIX = "INDELIBLE_LIMIT_"


class SettingsError(ValueError):
    """A setting has a value that cannot be used; the text says which and what it takes."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve. `root_key` None means: the file in the data directory, made at first start."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8000
    name: str | None = None
    no_auth: bool = False
    accept_clock: bool = False  # the operator's word for this start's clock, however far ahead it is
    root_key: str | None = field(default=None, repr=False)
    signer_command: str | None = None  # holds the keys of new logs and rotations; None: they derive
    database: str | None = field(default=None, repr=False)  # of PostgreSQL; None: SQLite in `data`
    tls_cert: Path | None = None
    tls_key: Path | None = None
    log_json: bool = False
    limits: Limits = DEFAULT_LIMITS


def limits_from(environment: Mapping[str, str]) -> Limits:
    """The limits with what `INDELIBLE_LIMIT_<NAME>` sets: `INDELIBLE_LIMIT_EVENT_BYTES=65536`.

    Raises:
        SettingsError: there is no such limit, or the value is not a number of its kind above 0.
    """
    limits = DEFAULT_LIMITS
    known = {f"{_LIMIT_PREFIX}{f.name.upper()}": f for f in fields(Limits)}
    for variable, text in environment.items():
        if not variable.startswith(_LIMIT_PREFIX):
            continue
        if variable not in known:
            raise SettingsError(f"{variable}: there is no such limit; docs/limits.md lists them")
        kind = type(getattr(DEFAULT_LIMITS, known[variable].name))
        try:
            value = kind(text)
        except ValueError:
            raise SettingsError(f"{variable} takes a number, not {text!r}") from None
        if value < 0:
            raise SettingsError(f"{variable} must not be negative")
        limits = replace(limits, **{known[variable].name: value})
    return limits


def root_key_from(environment: Mapping[str, str]) -> str | None:
    """`INDELIBLE_ROOT_KEY`, when it is set.

    Raises:
        SettingsError: it is shorter than 32 characters.
    """
    key = environment.get("INDELIBLE_ROOT_KEY")
    if key is not None and len(key) < ROOT_KEY_CHARACTERS:
        raise SettingsError(f"INDELIBLE_ROOT_KEY needs {ROOT_KEY_CHARACTERS} characters or more")
    return key


def from_environment(data: Path, **changes: object) -> Settings:
    """Settings for a data directory out of the environment, with changes such as `port`."""
    settings = Settings(
        data,
        root_key=root_key_from(os.environ),
        database=os.environ.get("DATABASE_URL") or None,
        limits=limits_from(os.environ),
    )
    return replace(settings, **changes)  # type: ignore[arg-type]  # the command line checked their kinds
