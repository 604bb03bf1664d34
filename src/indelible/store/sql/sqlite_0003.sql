-- Version 3: events that were trimmed are read from segments of the archive.
CREATE TABLE segment (
    log        INTEGER NOT NULL REFERENCES log (key),
    first      INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    first_time INTEGER NOT NULL,
    last_time  INTEGER NOT NULL,
    key        TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    size       INTEGER NOT NULL,
    version    TEXT,
    PRIMARY KEY (log, first)
) WITHOUT ROWID;

-- How many of a log's first events are no longer among its chunks.
CREATE TABLE trim (
    log  INTEGER PRIMARY KEY REFERENCES log (key),
    size INTEGER NOT NULL
);
