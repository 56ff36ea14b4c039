-- Tables and views that were dropped and are not gone for good yet. A drop moves the row out of `tabular`, in one
-- transaction, so that its name is free at once; its location is not, until this row goes too.
--
-- There is no reference to the namespace: that may be dropped meanwhile. `state` is 'kept' until its files begin to be
-- removed ('removing'), 'finishing' when all of them are gone but the current document, and 'blocked' when a person has to
-- look. `due_ms` is when it is to be seen to next: when it can no longer be restored, when the lease of who removes its
-- files ends, or when to try again; NULL when nobody does by himself. Every lease has another number in `attempts`.
CREATE TABLE dropped (
    organisation        BLOB NOT NULL,
    warehouse           BLOB NOT NULL,
    id                  BLOB NOT NULL CHECK (length(id) = 16),
    namespace           TEXT NOT NULL,
    name                TEXT NOT NULL,
    kind                TEXT NOT NULL CHECK (kind IN ('table', 'view')),
    metadata_location   TEXT NOT NULL,
    location            TEXT NOT NULL,
    created_ms          INTEGER NOT NULL,
    updated_ms          INTEGER NOT NULL,
    dropped_ms          INTEGER NOT NULL,
    restorable_until_ms INTEGER NOT NULL,
    purge               INTEGER NOT NULL CHECK (purge IN (0, 1)),
    state               TEXT NOT NULL CHECK (state IN ('kept', 'removing', 'finishing', 'blocked')),
    attempts            INTEGER NOT NULL CHECK (attempts >= 0),
    due_ms              INTEGER CHECK ((due_ms IS NULL) = (state = 'blocked')),
    message             TEXT,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id)
) STRICT, WITHOUT ROWID;

-- A page of a warehouse's, newest first.
CREATE INDEX dropped_listed ON dropped (organisation, warehouse, dropped_ms, id);

-- As tabular_location.
CREATE INDEX dropped_location ON dropped (organisation, warehouse, location);

-- What is to be seen to, of all organisations.
CREATE INDEX dropped_due ON dropped (due_ms) WHERE due_ms IS NOT NULL;

-- What clients reported of scans and commits, as they sent it. `table_id` is of a row of `tabular` or `dropped`: a report
-- goes when its table is gone for good.
CREATE TABLE report (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    table_id     BLOB NOT NULL CHECK (length(table_id) = 16),
    id           BLOB NOT NULL CHECK (length(id) = 16),
    kind         TEXT NOT NULL CHECK (kind IN ('scan-report', 'commit-report')),
    at_ms        INTEGER NOT NULL,
    body         TEXT NOT NULL,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation) REFERENCES organisation (id)
) STRICT;

-- Newest first, of a table, a warehouse and an organisation.
CREATE INDEX report_of_table ON report (organisation, table_id, at_ms, id);
CREATE INDEX report_of_warehouse ON report (organisation, warehouse, at_ms, id);
CREATE INDEX report_of_organisation ON report (organisation, at_ms, id);

-- What is too old, of all organisations.
CREATE INDEX report_old ON report (at_ms);
