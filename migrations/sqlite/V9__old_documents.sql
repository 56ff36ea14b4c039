-- Metadata documents that left a table's log by a commit and are to be removed (`write.metadata.delete-after-commit.enabled`).
-- A row is written in the transaction of the commit.
--
-- `location` is the bytes that locations are compared by, `document` the location itself. `leased` is 1 while a server removes
-- the file; `due_ms` is when it may be removed, when it is tried again, or when the lease ends. Every lease has another number in
-- `attempts`. There is no reference to the warehouse: what belongs to no live table is forgotten, and its file stays.
CREATE TABLE old_document (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    location     BLOB NOT NULL,
    document     TEXT NOT NULL,
    tabular      BLOB NOT NULL CHECK (length(tabular) = 16),
    due_ms       INTEGER NOT NULL,
    leased       INTEGER NOT NULL DEFAULT 0 CHECK (leased IN (0, 1)),
    attempts     INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    PRIMARY KEY (organisation, location)
) STRICT, WITHOUT ROWID;

-- What is due of each organisation, and which organisations have any.
CREATE INDEX old_document_due ON old_document (organisation, due_ms);

-- All of one table's.
CREATE INDEX old_document_of_tabular ON old_document (organisation, tabular);

-- The last document that the catalog did not write for this table where its files are now: the one that was registered, or the
-- last one before the table moved. It and what came before it may be others' too, so it is never removed by a commit. NULL when
-- all documents are the table's own. Of tables from before this, it is not known what was registered.
ALTER TABLE tabular ADD COLUMN origin TEXT;
ALTER TABLE dropped ADD COLUMN origin TEXT;
UPDATE tabular SET origin = metadata_location;
UPDATE dropped SET origin = metadata_location;
