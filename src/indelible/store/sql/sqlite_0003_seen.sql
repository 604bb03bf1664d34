-- What version 2 looks like to a reader of version 3.
CREATE TEMP VIEW segment AS
    SELECT 0 AS log, 0 AS first, 0 AS last, 0 AS first_time, 0 AS last_time, '' AS key, '' AS sha256,
        0 AS size, NULL AS version WHERE 0;

CREATE TEMP VIEW trim AS SELECT 0 AS log, 0 AS size WHERE 0;
