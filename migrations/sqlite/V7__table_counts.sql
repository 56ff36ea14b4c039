-- How many tables and views an organisation has: a creation within a limit reads one row instead of counting all.
CREATE TABLE tabular_count (
    organisation BLOB NOT NULL PRIMARY KEY REFERENCES organisation (id),
    tables       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO tabular_count (organisation, tables) SELECT organisation, count(*) FROM tabular GROUP BY organisation;

CREATE TRIGGER tabular_count_added AFTER INSERT ON tabular BEGIN
    INSERT INTO tabular_count (organisation, tables) VALUES (new.organisation, 1)
        ON CONFLICT (organisation) DO UPDATE SET tables = tables + 1;
END;

CREATE TRIGGER tabular_count_removed AFTER DELETE ON tabular BEGIN
    UPDATE tabular_count SET tables = tables - 1 WHERE organisation = old.organisation;
END;
