-- Operators: keys that manage all organisations, belong to none and reach no table.
CREATE TABLE operator (
    id           BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name         TEXT NOT NULL,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_ms   INTEGER NOT NULL,
    last_used_ms INTEGER,
    revoked_ms   INTEGER
) STRICT, WITHOUT ROWID;

-- A name is free again once its operator is revoked.
CREATE UNIQUE INDEX operator_name ON operator (name) WHERE revoked_ms IS NULL;

-- Since when an organisation is suspended; from when its rows are removed, and whether the files of its tables are too.
ALTER TABLE organisation ADD COLUMN suspended_ms INTEGER;
ALTER TABLE organisation ADD COLUMN delete_after_ms INTEGER;
ALTER TABLE organisation ADD COLUMN delete_purge INTEGER NOT NULL DEFAULT 0 CHECK (delete_purge IN (0, 1));
CREATE INDEX organisation_deleted ON organisation (delete_after_ms) WHERE delete_after_ms IS NOT NULL;

-- How many requests each key sent on a day. `key` is of a row of `api_key`.
CREATE TABLE key_usage (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    day          INTEGER NOT NULL,
    key          BLOB NOT NULL CHECK (length(key) = 16),
    requests     INTEGER NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (organisation, day, key)
) STRICT, WITHOUT ROWID;

-- An event's actor may be an operator. SQLite cannot change a CHECK, so the table is made again; its ids go on.
CREATE TABLE event_new (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation BLOB CHECK (length(organisation) = 16),
    warehouse    BLOB CHECK (length(warehouse) = 16),
    at_ms        INTEGER NOT NULL,
    actor_kind   TEXT NOT NULL CHECK (actor_kind IN ('key', 'operator', 'command-line', 'catalog')),
    actor_id     BLOB CHECK (length(actor_id) = 16),
    actor_name   TEXT,
    operation    TEXT NOT NULL,
    object_kind  TEXT NOT NULL,
    object_id    BLOB CHECK (length(object_id) = 16),
    object_name  TEXT NOT NULL,
    new_name     TEXT,
    request_id   TEXT,
    client       TEXT,
    details      TEXT NOT NULL
) STRICT;

INSERT INTO event_new
    SELECT id, organisation, warehouse, at_ms, actor_kind, actor_id, actor_name, operation, object_kind, object_id,
           object_name, new_name, request_id, client, details
    FROM event;
DELETE FROM sqlite_sequence WHERE name = 'event_new';
INSERT INTO sqlite_sequence (name, seq) SELECT 'event_new', seq FROM sqlite_sequence WHERE name = 'event';
DROP TABLE event;
ALTER TABLE event_new RENAME TO event;

CREATE INDEX event_of_organisation ON event (organisation, id);
CREATE INDEX event_of_object ON event (organisation, object_name, id);
CREATE INDEX event_of_new_name ON event (organisation, new_name, id) WHERE new_name IS NOT NULL;
