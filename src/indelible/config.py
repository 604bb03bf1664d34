"""The settings of one server, parsed once: from the command line, variables, and one file, in that order.

The file is TOML: a name for each setting, and a table `limits`. It need hold no secret: the root key has its
own file or variable, and the database's password stands where libpq looks for it.
"""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

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


DEFAULT = "default"


class Sourced(NamedTuple):
    """Settings, and where each that is no default was given: `settings` and limits by their names."""

    settings: Settings
    sources: Mapping[str, str]


_FILE_KINDS: Mapping[str, type] = {
    "data": Path,
    "host": str,
    "port": int,
    "name": str,
    "signer_command": str,
    "database": str,
    "tls_cert": Path,
    "tls_key": Path,
    "log_json": bool,
    "witness_policy": Path,
    "witness_fail_open": bool,
    "objects": str,
    "archive": bool,
}
"""What a file may set. Not `no_auth` and `accept_clock`, which are words of one start, and not `root_key`."""


def read_file(path: Path) -> tuple[dict[str, object], dict[str, str]]:
    """The settings of a file and its limits, each by its name; paths are as from its folder.

    Raises:
        SettingsError: it cannot be read, is not TOML, or has a name or a value that means nothing.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None
    settings: dict[str, object] = {}
    limits: dict[str, str] = {}
    for name, value in found.items():
        if name == "limits" and isinstance(value, dict):
            limits = _check_limits(path, value)
            continue
        if name not in _FILE_KINDS:
            raise SettingsError(f"{path}: there is no setting {name}{_meant(name, [*_FILE_KINDS, 'limits'])}")
        kind = _FILE_KINDS[name]
        if type(value) is not (str if kind is Path else kind):
            raise SettingsError(f"{path}: {name} takes {_TAKES[kind]}, not {value!r}")
        settings[name] = path.parent / str(value) if kind is Path else value
    return settings, limits


_TAKES = {str: "a text", Path: "a path", int: "a whole number", bool: "true or false"}


def _check_limits(path: Path, table: Mapping[str, object]) -> dict[str, str]:
    known = [each.name for each in fields(Limits)]
    for name, value in table.items():
        if name not in known:
            raise SettingsError(f"{path}: there is no limit {name}{_meant(name, known)}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingsError(f"{path}: limits.{name} takes a number, not {value!r}")
    return {name: str(value) for name, value in table.items()}


def _meant(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else "; docs/operating.md and docs/limits.md list them"


def limits_from(environment: Mapping[str, str], given: Mapping[str, str] | None = None) -> Limits:
    """The limits with what `INDELIBLE_LIMIT_<NAME>` sets: `INDELIBLE_LIMIT_EVENT_BYTES=65536`.

    `given` are those of a file, by their names; a variable comes before them.

    Raises:
        SettingsError: there is no such limit, or the value is not a number of its kind above 0.
    """
    limits = DEFAULT_LIMITS
    known = {f"{_LIMIT_PREFIX}{f.name.upper()}": f for f in fields(Limits)}
    from_file = {f"{_LIMIT_PREFIX}{name.upper()}": text for name, text in (given or {}).items()}
    for variable, text in {**from_file, **environment}.items():
        if not variable.startswith(_LIMIT_PREFIX):
            continue
        if variable not in known:
            raise SettingsError(f"{variable}: there is no such limit; docs/limits.md lists them")
        kind = type(getattr(DEFAULT_LIMITS, known[variable].name))
        called = variable if variable in environment else f"limits.{known[variable].name}"
        try:
            value = kind(text)
        except ValueError:
            raise SettingsError(f"{called} takes a {_NUMBERS[kind]}, not {text!r}") from None
        if value < 0:
            raise SettingsError(f"{called} must not be negative")
        limits = replace(limits, **{known[variable].name: value})
    return limits


_NUMBERS = {int: "whole number", float: "number"}


def is_loopback(host: str) -> bool:
    """Whether an address, or `localhost`, is of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def root_key_from(environment: Mapping[str, str]) -> str | None:
    """`INDELIBLE_ROOT_KEY`, when it is set.

    Raises:
        SettingsError: it is shorter than 32 characters.
    """
    key = environment.get("INDELIBLE_ROOT_KEY")
    if key is not None and len(key) < ROOT_KEY_CHARACTERS:
        raise SettingsError(f"INDELIBLE_ROOT_KEY needs {ROOT_KEY_CHARACTERS} characters or more")
    return key


def _switch(environment: Mapping[str, str], name: str) -> bool | None:
    text = environment.get(name) or None
    if text not in _SWITCH:
        raise SettingsError(f"{name} takes 1 or 0, not {text!r}")
    return _SWITCH[text]


_SWITCH = {None: None, "1": True, "0": False, "true": True, "false": False}


def from_environment(data: Path | None, file: Path | None = None, **changes: object) -> Settings:
    """Settings for a data directory; see `sourced`."""
    return sourced(data, file, **changes).settings


def sourced(data: Path | None, file: Path | None = None, **changes: object) -> Sourced:
    """Settings out of a file and the environment, with changes such as `port`; None is none.

    Raises:
        SettingsError: something has a value that cannot be used, or no data directory is named.
    """
    given = {name: value for name, value in {"data": data, **changes}.items() if value is not None}
    in_file, limits = ({}, {}) if file is None else read_file(file)
    variables = _variables(os.environ)
    found = {**in_file, **variables, **given}
    if "data" not in found:
        raise SettingsError("name the data directory: --data DIR, or data in the file")
    found.setdefault("archive", "://" in str(found.get("objects")))  # by default where they are in a bucket
    settings = Settings(**found, limits=limits_from(os.environ, limits))  # type: ignore[arg-type]  # checked
    settings = replace(settings, data=settings.data.expanduser().resolve())
    named = [*in_file, *(f"limits.{name}" for name in limits)]
    return Sourced(settings, _sources(dict.fromkeys(named, str(file)), variables, given))


_VARIABLES = {
    "root_key": "INDELIBLE_ROOT_KEY",
    "database": "DATABASE_URL",
    "objects": "OBJECTS",
    "archive": "INDELIBLE_ARCHIVE",
    "witness_policy": "INDELIBLE_WITNESS_POLICY",
    "witness_fail_open": "INDELIBLE_WITNESS_FAIL_OPEN",
}
"""The variables of settings; those of limits have a name each."""


def _variables(environment: Mapping[str, str]) -> dict[str, object]:
    policy = environment.get("INDELIBLE_WITNESS_POLICY")
    found: dict[str, object] = {
        "root_key": root_key_from(environment),
        "database": environment.get("DATABASE_URL") or None,
        "objects": environment.get("OBJECTS") or None,
        "witness_policy": Path(policy) if policy else None,
        "witness_fail_open": _switch(environment, "INDELIBLE_WITNESS_FAIL_OPEN"),
        "archive": _switch(environment, "INDELIBLE_ARCHIVE"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _sources(
    in_file: Mapping[str, str], variables: Mapping[str, object], given: Mapping[str, object]
) -> dict[str, str]:
    """Where each setting was given, the last word last; `in_file` has the file for each that is in it."""
    limits = {
        f"limits.{variable.removeprefix(_LIMIT_PREFIX).lower()}": variable
        for variable in os.environ
        if variable.startswith(_LIMIT_PREFIX)
    }
    named = {name: _VARIABLES[name] for name in variables}
    return {**in_file, **named, **limits, **dict.fromkeys(given, "command line")}
