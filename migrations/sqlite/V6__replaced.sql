-- A dropped table or view whose place another has taken is 'replaced': it cannot be restored, its files stay, and its row is
-- kept until its time is over, to say so. A removal of files that is to stop has `purge` 0 while its state is still
-- 'removing' or 'finishing'.
--
-- SQLite cannot change a CHECK, so the table is made again.
CREATE TABLE dropped_new (
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
    state               TEXT NOT NULL CHECK (state IN ('kept', 'removing', 'finishing', 'blocked', 'replaced')),
    attempts            INTEGER NOT NULL CHECK (attempts >= 0),
    due_ms              INTEGER CHECK ((due_ms IS NULL) = (state = 'blocked')),
    message             TEXT,
    others              TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id)
) STRICT, WITHOUT ROWID;

INSERT INTO dropped_new
    SELECT organisation, warehouse, id, namespace, name, kind, metadata_location, location, created_ms, updated_ms,
           dropped_ms, restorable_until_ms, purge, state, attempts, due_ms, message, others
    FROM dropped;
DROP TABLE dropped;
ALTER TABLE dropped_new RENAME TO dropped;

CREATE INDEX dropped_listed ON dropped (organisation, warehouse, dropped_ms, id);
CREATE INDEX dropped_due ON dropped (due_ms) WHERE due_ms IS NOT NULL;

-- Whose place a new table or view takes.
CREATE INDEX dropped_location ON dropped (organisation, warehouse, location);

-- A view has no data files: it reserves the folder of its documents, and none once it is dropped. One whose documents are
-- elsewhere reserves its own location too until its next commit.
DELETE FROM location WHERE (organisation, tabular) IN (SELECT organisation, id FROM dropped WHERE kind = 'view');
DELETE FROM location_unread WHERE (organisation, tabular) IN (SELECT organisation, id FROM dropped WHERE kind = 'view');
UPDATE location SET location = location || CAST('/metadata' AS BLOB)
    WHERE (organisation, tabular) IN (SELECT organisation, id FROM tabular WHERE kind = 'view' AND others = '');
