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
    witness_policy: Path | None = None  # whose cosignatures heads need before they are served
    witness_fail_open: bool = False  # serve them without, when the witnesses are away
    objects: str | None = None  # s3://BUCKET/PREFIX or a folder; None: in the data directory
    archive: bool = False
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


def objects_from(environment: Mapping[str, str]) -> str | None:
    """`OBJECTS`: where objects are stored, None for the data directory."""
    return environment.get("OBJECTS") or None


def archive_from(environment: Mapping[str, str], objects: str | None) -> bool:
    """`INDELIBLE_ARCHIVE` (1 or 0): whether events are archived; by default where objects are in a bucket.

    Raises:
        SettingsError: it is neither.
    """
    text = environment.get("INDELIBLE_ARCHIVE")
    if text is None:
        return objects is not None and "://" in objects
    if text not in {"0", "1"}:
        raise SettingsError(f"INDELIBLE_ARCHIVE takes 1 or 0, not {text!r}")
    return text == "1"


def from_environment(data: Path, **changes: object) -> Settings:
    """Settings for a data directory out of the environment, with changes such as `port`; None is none.

    Raises:
        SettingsError: a variable has a value that cannot be used.
    """
    changes = {name: value for name, value in changes.items() if value is not None}
    objects = str(changes["objects"]) if "objects" in changes else objects_from(os.environ)
    settings = Settings(
        data,
        root_key=root_key_from(os.environ),
        database=os.environ.get("DATABASE_URL") or None,
        limits=limits_from(os.environ),
        objects=objects,
        archive=archive_from(os.environ, objects),
    )
    return replace(settings, **changes)  # type: ignore[arg-type]  # the command line checked their kinds
