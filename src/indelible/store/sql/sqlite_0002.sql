-- Version 2: logs whose proofs need no key, and signing keys that follow each other.
ALTER TABLE log ADD COLUMN public_proofs INTEGER NOT NULL DEFAULT 0;

-- A log without rows here has one key, derived: it was made under version 1 and never had another.
CREATE TABLE log_key (
    log          INTEGER NOT NULL REFERENCES log (key),
    generation   INTEGER NOT NULL,
    holder       TEXT NOT NULL CHECK (holder IN ('derived', 'command')),
    verifier_key TEXT NOT NULL,
    statement    BLOB NOT NULL,
    created      INTEGER NOT NULL,
    PRIMARY KEY (log, generation)
) WITHOUT ROWID;
