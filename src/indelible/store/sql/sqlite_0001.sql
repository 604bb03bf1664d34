-- The embedded engine, version 1.
-- A chunk's id is log << 40 | first sequence: rows of one log lie together, in order, with no second index.
-- So a store holds up to 8 million logs of up to 10^12 events each.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE workspace (
    key          INTEGER PRIMARY KEY,
    workspace_id BLOB NOT NULL UNIQUE,
    name         TEXT NOT NULL UNIQUE,
    created      INTEGER NOT NULL
);

CREATE TABLE log (
    key       INTEGER PRIMARY KEY,
    log_id    BLOB NOT NULL UNIQUE,
    workspace INTEGER NOT NULL REFERENCES workspace (key),
    name      TEXT NOT NULL,
    origin    TEXT NOT NULL,
    created   INTEGER NOT NULL,
    erasable  INTEGER NOT NULL,
    UNIQUE (workspace, name)
);

-- The commit point of each log: chunks and nodes beyond `size` do not exist.
CREATE TABLE head (
    log        INTEGER PRIMARY KEY REFERENCES log (key),
    size       INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    time_floor INTEGER NOT NULL,
    root       BLOB NOT NULL,
    frontier   BLOB NOT NULL
);

-- Leaves stand before the payload, so that reading hashes does not walk the payload's pages.
CREATE TABLE chunk (
    id      INTEGER PRIMARY KEY,
    events  INTEGER NOT NULL,
    time    INTEGER NOT NULL,
    meta    BLOB NOT NULL,
    leaves  BLOB NOT NULL,
    payload BLOB NOT NULL
);

-- Tiles of level 1 and up, 256 joined hashes a row when full.
CREATE TABLE tile (
    log    INTEGER NOT NULL,
    level  INTEGER NOT NULL,
    tile   INTEGER NOT NULL,
    hashes BLOB NOT NULL,
    PRIMARY KEY (log, level, tile)
) WITHOUT ROWID;

CREATE TABLE api_key (
    key_id      TEXT PRIMARY KEY,
    workspace   INTEGER NOT NULL REFERENCES workspace (key),
    secret_hash BLOB NOT NULL,
    label       TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    logs        TEXT,
    views       TEXT,
    not_before  INTEGER,
    expires     INTEGER,
    created     INTEGER NOT NULL,
    revoked     INTEGER,
    preset      TEXT
) WITHOUT ROWID;

CREATE INDEX api_key_of_workspace ON api_key (workspace, created);

CREATE TABLE view (
    view_id          BLOB NOT NULL,
    log              INTEGER NOT NULL REFERENCES log (key),
    name             TEXT NOT NULL,
    version          INTEGER NOT NULL,
    component_sha256 TEXT NOT NULL,
    config           TEXT NOT NULL,
    world            TEXT NOT NULL,
    builtin          TEXT,
    state            TEXT NOT NULL CHECK (state IN ('pending', 'active', 'retired')),
    created          INTEGER NOT NULL,
    author           BLOB NOT NULL,
    PRIMARY KEY (view_id, version)
) WITHOUT ROWID;

CREATE INDEX view_of_log ON view (log, name, version);

-- Idempotency keys: written first as one journal row a commit, later merged into the index in sorted runs.
CREATE TABLE key_journal (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB NOT NULL
);

CREATE TABLE key_index (
    epoch  INTEGER NOT NULL,
    digest BLOB NOT NULL,
    first  INTEGER NOT NULL,
    PRIMARY KEY (epoch, digest)
) WITHOUT ROWID;

CREATE TABLE key_count (
    epoch INTEGER PRIMARY KEY,
    keys  INTEGER NOT NULL
);
