"""Names of logs and views, and identifiers, as the HTTP contract has them."""

import re
import uuid

from indelible.model.errors import Problem

AUDIT_LOG = "_audit"
"""Every workspace's log of what changed in it, and of who asked."""

HEAD_LOG = "_heads"
HEAD_EVENT = "indelible.head"
"""The deployment's log of heads, and the type of its events."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z", re.ASCII)
_SYSTEM_NAME = re.compile(r"_[A-Za-z0-9._-]{1,127}\Z", re.ASCII)

RULE = "A name has 1 to 128 of A-Z a-z 0-9 . _ - and begins with a letter or a digit; it must not be a UUID."


def parse_uuid(text: str) -> uuid.UUID | None:
    """Return the UUID that `text` writes in its canonical form of 36 characters, else None."""
    if len(text) != 36:  # noqa: PLR2004 - the length of a canonical UUID
        return None
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def is_uuid_like(text: str) -> bool:
    """Say whether any common spelling of a UUID (braces, urn:, no dashes) would parse from `text`."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def check_name(name: str, what: str = "name") -> str:
    """Return `name` when a user may give it to a log or a view.

    Raises:
        Problem: `invalid_name`.
    """
    if not _NAME.match(name) or is_uuid_like(name):
        raise Problem("invalid_name", f"{what}: {RULE}", limit=128)
    return name


def is_lookup_name(name: str) -> bool:
    """Say whether `name` could name a log or view, those of the system included."""
    return bool(_NAME.match(name) or _SYSTEM_NAME.match(name))


def is_system_name(name: str) -> bool:
    """Say whether `name` belongs to the system (`_audit`): readable, writable by nobody."""
    return name.startswith("_")


def log_origin(deployment: str, log_id: uuid.UUID) -> str:
    """The origin of a log, and the name of its key (formats.md): fixed when the log is created."""
    return f"{deployment}/logs/{log_id}"


_DEPLOYMENT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z", re.ASCII)


def check_deployment_name(name: str) -> str:
    """Return `name` when a deployment may have it: lower case, digits, dots and dashes, like a host name.

    Raises:
        ValueError: it may not; the text says what is taken.
    """
    if not _DEPLOYMENT.match(name):
        raise ValueError("a deployment's name is like a host name: a-z 0-9 . - (audit.example.com)")
    return name
