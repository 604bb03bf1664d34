"""The schema in PostgreSQL: numbered files, applied under a lock, that older programs can go on beside.

`postgres_<n>.sql` makes version n of version n - 1 and only adds: tables, and columns with a default. So
nodes of the version before run on while the first new node migrates. A file that cannot keep to that raises
`OLDEST_COMPATIBLE`, the oldest version whose programs may still start.
"""

from importlib.resources import files

import psycopg

from indelible.store.base import StoreRefused
from indelible.store.postgres_session import AnyConnection

SCHEMA_VERSION = 2
OLDEST_COMPATIBLE = 1
_LOCK = 0x696E6465  # "inde": of migrations, among the advisory locks of the database
_VERSIONS = (
    "CREATE TABLE schema_version"
    " (version integer PRIMARY KEY, oldest integer NOT NULL, applied timestamptz NOT NULL DEFAULT now())"
)


def migrate(connection: AnyConnection) -> None:
    """Bring a database to this program's version, or leave a later one as it is where this program may run.

    Raises:
        StoreRefused: a later program wrote it that this one cannot run beside; or it may not be changed.
    """
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            _migrate(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreRefused(
            f"the database's role may not make tables: {error.diag.message_primary}; grant it CREATE"
        ) from None


def _migrate(connection: AnyConnection) -> None:
    found = connection.execute("SELECT to_regclass('schema_version')").fetchone()
    if found is None or found[0] is None:  # a role that may not make tables can serve what is there
        connection.execute(_VERSIONS)
    row = connection.execute("SELECT max(version), max(oldest) FROM schema_version").fetchone()
    version, oldest = (row[0] or 0, row[1] or 0) if row else (0, 0)
    if oldest > SCHEMA_VERSION:
        raise StoreRefused(
            f"the database has schema version {version}; this program knows {SCHEMA_VERSION}: run a later one"
        )
    for number in range(version + 1, SCHEMA_VERSION + 1):
        text = files("indelible.store").joinpath("sql", f"postgres_{number:04}.sql").read_bytes()
        connection.execute(text)
        connection.execute("INSERT INTO schema_version VALUES (%s, %s)", (number, OLDEST_COMPATIBLE))
