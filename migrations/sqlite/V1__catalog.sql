-- The embedded catalog.
--
-- Every row that belongs to a tenant leads with the organisation's id, in its key and in every index that is not there to
-- find the tenant in the first place. Foreign keys carry the organisation too, so that no row can point into another's.
-- Ids are the 16 bytes of a UUID, times are milliseconds since 1970 (UTC), names compare by their bytes.

CREATE TABLE organisation (
    id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name       TEXT NOT NULL UNIQUE,
    tier       TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name         TEXT NOT NULL,
    role         TEXT NOT NULL,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_ms   INTEGER NOT NULL,
    expires_ms   INTEGER,
    last_used_ms INTEGER,
    revoked_ms   INTEGER,
    PRIMARY KEY (organisation, id)
) STRICT, WITHOUT ROWID;

-- What tokens are signed with: the secrets for which the file is its owner's only.
CREATE TABLE signing_key (
    id         TEXT NOT NULL PRIMARY KEY,
    secret     BLOB NOT NULL CHECK (length(secret) = 32),
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE warehouse (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    id           BLOB NOT NULL CHECK (length(id) = 16),
    name         TEXT NOT NULL,
    root         TEXT NOT NULL,
    is_default   INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    created_ms   INTEGER NOT NULL,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, name)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX warehouse_default ON warehouse (organisation) WHERE is_default = 1;

-- `key` is the levels joined by U+001F, which no level contains: what is below a namespace is one range of keys.
-- `parent` is the key without its last level, NULL at the top.
CREATE TABLE namespace (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    key          TEXT NOT NULL,
    parent       TEXT,
    properties   TEXT NOT NULL,
    PRIMARY KEY (organisation, warehouse, key),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id),
    FOREIGN KEY (organisation, warehouse, parent)
        REFERENCES namespace (organisation, warehouse, key) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

-- A page of direct children, in order, from the index alone; and the search for children when a namespace is dropped.
CREATE INDEX namespace_child ON namespace (organisation, warehouse, parent, key);

-- Tables and views: one name space, so one table, clustered by name. Finding the pointer reads this tree and nothing else.
CREATE TABLE tabular (
    organisation      BLOB NOT NULL,
    warehouse         BLOB NOT NULL,
    namespace         TEXT NOT NULL,
    name              TEXT NOT NULL,
    id                BLOB NOT NULL CHECK (length(id) = 16),
    kind              TEXT NOT NULL CHECK (kind IN ('table', 'view')),
    metadata_location TEXT NOT NULL,
    location          TEXT NOT NULL,
    created_ms        INTEGER NOT NULL,
    updated_ms        INTEGER NOT NULL,
    PRIMARY KEY (organisation, warehouse, namespace, name),
    UNIQUE (organisation, id),
    FOREIGN KEY (organisation, warehouse, namespace)
        REFERENCES namespace (organisation, warehouse, key) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

-- A page of names of one kind, from the index alone.
CREATE INDEX tabular_listed ON tabular (organisation, warehouse, namespace, kind, name);

-- Which tables lie inside a location, and which location holds a table.
CREATE INDEX tabular_location ON tabular (organisation, warehouse, location);

-- `granted` is what the last take of the day was given, so that the statement that takes can also tell.
CREATE TABLE usage (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    day          INTEGER NOT NULL,
    taken        INTEGER NOT NULL CHECK (taken >= 0),
    granted      INTEGER NOT NULL,
    PRIMARY KEY (organisation, day)
) STRICT, WITHOUT ROWID;
