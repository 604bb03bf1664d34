-- Version 2: events that were trimmed are read from segments of the archive.

CREATE TABLE segment (
    log        bigint NOT NULL REFERENCES log (key),
    first      bigint NOT NULL,
    last       bigint NOT NULL,
    first_time bigint NOT NULL,
    last_time  bigint NOT NULL,
    key        text COLLATE "C" NOT NULL,
    sha256     text COLLATE "C" NOT NULL,
    size       bigint NOT NULL,
    version    text,
    PRIMARY KEY (log, first)
);

-- How many of a log's first events are no longer among its chunks.
CREATE TABLE trim (
    log  bigint PRIMARY KEY REFERENCES log (key),
    size bigint NOT NULL
);

-- Who trims may say in `trim` how far, and remove what that covers. All else is as before.
CREATE OR REPLACE FUNCTION refuse_to_change_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_LEVEL = 'ROW' THEN
        IF OLD.first > (SELECT size FROM head WHERE head.log = OLD.log) THEN
            RETURN OLD;
        END IF;
        IF OLD.first <= (SELECT size FROM trim WHERE trim.log = OLD.log) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'events are never changed or removed' USING ERRCODE = 'restrict_violation';
END $$;

-- Drops what an unfinished batch laid beyond its log's head, for roles that may not remove a chunk.
CREATE FUNCTION drop_beyond(of_log bigint, beyond bigint) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    DELETE FROM chunk WHERE log = of_log AND first > beyond
        AND first > (SELECT size FROM head WHERE head.log = of_log)
$$;
REVOKE ALL ON FUNCTION drop_beyond FROM PUBLIC;

-- Else who makes a temporary table named `head` would tell these functions what they look up.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION refuse_to_change_events SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION drop_beyond SET search_path = %I, pg_temp', current_schema());
END $$;
