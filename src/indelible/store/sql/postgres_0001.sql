-- PostgreSQL, version 1. The same rows as the embedded engine's, as far as the two agree.
-- Names sort by their bytes, whatever the database's locale. What is random is not tried for compression.

CREATE TABLE meta (
    name  text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);

-- Counts the changes of keys, logs and views: other processes' caches are checked by it.
CREATE TABLE registry (
    one     boolean PRIMARY KEY CHECK (one),
    version bigint NOT NULL
);
INSERT INTO registry VALUES (true, 1);

CREATE TABLE workspace (
    key          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id bytea NOT NULL UNIQUE,
    name         text COLLATE "C" NOT NULL UNIQUE,
    created      bigint NOT NULL
);

CREATE TABLE log (
    key           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log_id        bytea NOT NULL UNIQUE,
    workspace     bigint NOT NULL REFERENCES workspace (key),
    name          text COLLATE "C" NOT NULL,
    origin        text NOT NULL,
    created       bigint NOT NULL,
    erasable      boolean NOT NULL,
    public_proofs boolean NOT NULL,
    UNIQUE (workspace, name)
);

-- The commit point of each log: chunks and nodes beyond `size` do not exist. It is written by each commit,
-- so there is room on the page for the row that replaces it.
CREATE TABLE head (
    log        bigint PRIMARY KEY REFERENCES log (key),
    size       bigint NOT NULL,
    time       bigint NOT NULL,
    time_floor bigint NOT NULL,
    root       bytea NOT NULL,
    frontier   bytea NOT NULL
) WITH (fillfactor = 30);
ALTER TABLE head ALTER COLUMN frontier SET STORAGE MAIN;

CREATE TABLE chunk (
    log     bigint NOT NULL,
    first   bigint NOT NULL,
    events  integer NOT NULL,
    time    bigint NOT NULL,
    meta    bytea NOT NULL,
    leaves  bytea NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (log, first)
);
ALTER TABLE chunk ALTER COLUMN meta SET STORAGE EXTERNAL;
ALTER TABLE chunk ALTER COLUMN leaves SET STORAGE EXTERNAL;

-- What is committed stands for ever, whoever's program runs: only what a large batch that was cut short laid
-- beyond the head may go. The owner of the table alone can take this away.
CREATE FUNCTION refuse_to_change_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_LEVEL = 'ROW' THEN
        IF OLD.first > (SELECT size FROM head WHERE head.log = OLD.log) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'events are never changed or removed' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON chunk
    FOR EACH ROW EXECUTE FUNCTION refuse_to_change_events();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON chunk
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_events();

-- Tiles of level 1 and up, 256 joined hashes a row when full.
CREATE TABLE tile (
    log    bigint NOT NULL,
    level  integer NOT NULL,
    tile   bigint NOT NULL,
    hashes bytea NOT NULL,
    PRIMARY KEY (log, level, tile)
);
ALTER TABLE tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE log_key (
    log          bigint NOT NULL REFERENCES log (key),
    generation   integer NOT NULL,
    holder       text NOT NULL CHECK (holder IN ('derived', 'command')),
    verifier_key text NOT NULL,
    statement    bytea NOT NULL,
    created      bigint NOT NULL,
    PRIMARY KEY (log, generation)
);

CREATE TABLE api_key (
    key_id      text COLLATE "C" PRIMARY KEY,
    workspace   bigint NOT NULL REFERENCES workspace (key),
    secret_hash bytea NOT NULL,
    label       text NOT NULL,
    scopes      text NOT NULL,
    logs        text,
    views       text,
    not_before  bigint,
    expires     bigint,
    created     bigint NOT NULL,
    revoked     bigint,
    preset      text
);
CREATE INDEX api_key_of_workspace ON api_key (workspace, created);

CREATE TABLE view (
    view_id          bytea NOT NULL,
    log              bigint NOT NULL REFERENCES log (key),
    name             text COLLATE "C" NOT NULL,
    version          bigint NOT NULL,
    component_sha256 text NOT NULL,
    config           text NOT NULL,
    world            text NOT NULL,
    builtin          text,
    state            text NOT NULL CHECK (state IN ('pending', 'active', 'retired')),
    created          bigint NOT NULL,
    author           bytea NOT NULL,
    PRIMARY KEY (view_id, version)
);
CREATE INDEX view_of_log ON view (log, name, version);

CREATE TABLE key_journal (
    id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body bytea NOT NULL
);

CREATE TABLE key_index (
    epoch  bigint NOT NULL,
    digest bytea NOT NULL,
    first  bigint NOT NULL,
    PRIMARY KEY (epoch, digest)
);

-- Rows are added, and summed up now and then: one row an epoch would be waited for by all nodes.
CREATE TABLE key_count (
    epoch bigint NOT NULL,
    keys  bigint NOT NULL
);
