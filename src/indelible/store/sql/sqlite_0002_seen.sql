-- What version 1 looks like to a reader of version 2: names in TEMP stand before those of the file.
CREATE TEMP VIEW log AS
    SELECT key, log_id, workspace, name, origin, created, erasable, 0 AS public_proofs FROM main.log;

CREATE TEMP VIEW log_key AS
    SELECT 0 AS log, 0 AS generation, '' AS holder, '' AS verifier_key, x'' AS statement, 0 AS created WHERE 0;
