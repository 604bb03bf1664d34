"""The embedded engine's schema: numbered files, each applied in one transaction with its number.

`sqlite_<n>.sql` makes version n of version n - 1. `sqlite_<n>_seen.sql` makes version n - 1 look like
version n to a connection that may not write, so that a backup can be taken before a server is upgraded.
"""

from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import apsw

from indelible.store.base import StoreRefused

SCHEMA_VERSION = 3


def migrate(connection: apsw.Connection, path: Path) -> None:
    """Bring a database to this program's version; each step is there in whole or not at all.

    Raises:
        StoreRefused: a later program wrote it.
    """
    version = int(connection.pragma("user_version") or 0)
    if version > SCHEMA_VERSION:
        raise StoreRefused(f"{path} has schema version {version}; this program knows {SCHEMA_VERSION}")
    for number in range(version + 1, SCHEMA_VERSION + 1):
        with connection:
            connection.execute(_text(f"sqlite_{number:04}.sql"))
            connection.pragma("user_version", number)


def see_as_current(connection: apsw.Connection) -> None:
    """Let a read-only connection see an older schema as this program's; the file is not changed.

    A file that is no database is left to the first statement to tell of.
    """
    with suppress(apsw.Error):
        version = int(connection.pragma("user_version") or SCHEMA_VERSION)
        for number in range(version + 1, SCHEMA_VERSION + 1):
            connection.execute(_text(f"sqlite_{number:04}_seen.sql"))


def _text(name: str) -> str:
    return files("indelible.store").joinpath("sql", name).read_text()
