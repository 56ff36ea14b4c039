-- Which master key the catalog's secrets are sealed with: a value that is derived from the key and tells nothing of it.
CREATE TABLE master_key (
    only_one    INTEGER NOT NULL PRIMARY KEY CHECK (only_one = 1),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 16)
) STRICT;

-- How many bytes an organisation's reports have: a limit on them reads one row instead of all reports.
CREATE TABLE report_bytes (
    organisation BLOB NOT NULL PRIMARY KEY REFERENCES organisation (id),
    bytes        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO report_bytes (organisation, bytes) SELECT organisation, sum(octet_length(body)) FROM report GROUP BY organisation;

CREATE TRIGGER report_bytes_added AFTER INSERT ON report BEGIN
    INSERT INTO report_bytes (organisation, bytes) VALUES (new.organisation, octet_length(new.body))
        ON CONFLICT (organisation) DO UPDATE SET bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER report_bytes_removed AFTER DELETE ON report BEGIN
    UPDATE report_bytes SET bytes = bytes - octet_length(old.body) WHERE organisation = old.organisation;
END;
