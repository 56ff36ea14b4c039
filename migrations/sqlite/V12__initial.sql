-- The embedded catalog: the first schema that a released version has. Versions 1 to 11 were those of development versions, whose
-- databases are refused (docs/decisions/0033).
--
-- Every row of a tenant leads with the organisation's id, in its key and in every index that does not serve all tenants at once.
-- Foreign keys carry the organisation too, so that no row can point into another tenant's.
-- Ids are the 16 bytes of a UUID. Times are milliseconds since 1970 (UTC). Names compare by their bytes.


-- Tenants, and the secrets of the catalog itself

-- `suspended_ms` tells since when it is suspended, `delete_after_ms` from when its rows are removed, and `delete_purge` whether
-- the files of its tables are too.
CREATE TABLE organisation (
    id              BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name            TEXT NOT NULL UNIQUE,
    tier            TEXT NOT NULL,
    created_ms      INTEGER NOT NULL,
    suspended_ms    INTEGER,
    delete_after_ms INTEGER,
    delete_purge    INTEGER NOT NULL DEFAULT 0 CHECK (delete_purge IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX organisation_deleted ON organisation (delete_after_ms) WHERE delete_after_ms IS NOT NULL;

-- Principals. A new key has a new principal; a rotated key keeps it. `name` is for people, and not unique.
--
-- A user of an identity provider is a principal with an issuer and a subject, the provider's URL and the user's id there. Only
-- users have the columns from `issuer` on. `role` is the user's built-in role. `issued_ms` is the time of the token from which
-- its name, email address, role and groups are: an older token changes nothing.
CREATE TABLE principal (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    id           BLOB NOT NULL CHECK (length(id) = 16),
    name         TEXT NOT NULL,
    created_ms   INTEGER NOT NULL,
    issuer       TEXT,
    subject      TEXT CHECK ((subject IS NULL) = (issuer IS NULL)),
    email        TEXT,
    role         TEXT CHECK ((role IS NULL) = (issuer IS NULL)),
    no_delete    INTEGER NOT NULL DEFAULT 0 CHECK (no_delete IN (0, 1)),
    last_seen_ms INTEGER,
    disabled_ms  INTEGER,
    issued_ms    INTEGER CHECK ((issued_ms IS NULL) = (issuer IS NULL)),
    PRIMARY KEY (organisation, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX principal_user ON principal (organisation, issuer, subject) WHERE issuer IS NOT NULL;

-- `digest` is the SHA-256 of the key's text: the key itself is kept nowhere. A sign-in finds it without its organisation.
-- `no_delete`: credentials that are vended to the key's holder remove no files. `successor` is the key that a rotation gave in its
-- place. `acts_for_users`: its holder is an engine that may act for users.
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
    no_delete    INTEGER NOT NULL DEFAULT 0 CHECK (no_delete IN (0, 1)),
    successor    BLOB CHECK (length(successor) = 16),
    principal    BLOB NOT NULL CHECK (length(principal) = 16),
    acts_for_users INTEGER NOT NULL DEFAULT 0 CHECK (acts_for_users IN (0, 1)),
    PRIMARY KEY (organisation, id)
) STRICT, WITHOUT ROWID;

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

-- The secrets that sign tokens. Because of them, only the owner of the database's file can read it.
CREATE TABLE signing_key (
    id         TEXT NOT NULL PRIMARY KEY,
    secret     BLOB NOT NULL CHECK (length(secret) = 32),
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which master key seals the catalog's secrets: a value that is derived from the key and does not reveal it.
CREATE TABLE master_key (
    only_one    INTEGER NOT NULL PRIMARY KEY CHECK (only_one = 1),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 16)
) STRICT;

-- How far a copy from another database is, a row for each table. There are rows only while a copy is unfinished, and no server opens the
-- catalog then. `after` and `written` are the key of the last copied row, in the source and here.
CREATE TABLE copy_state (
    name    TEXT NOT NULL PRIMARY KEY,
    source  TEXT NOT NULL,
    total   INTEGER NOT NULL,
    digest  BLOB NOT NULL CHECK (length(digest) = 32),
    copied  INTEGER NOT NULL,
    after   BLOB,
    written BLOB
) STRICT, WITHOUT ROWID;


-- Warehouses, namespaces, tables and views

-- `profile` is the JSON of the storage's settings. `sealed_credentials` are sealed with a master key that is not in this
-- database. `purge` is when the files of a table go that is dropped with a purge. `scan_planning` is who plans the scans of its
-- tables, for clients that take it from the catalog.
CREATE TABLE warehouse (
    organisation       BLOB NOT NULL REFERENCES organisation (id),
    id                 BLOB NOT NULL CHECK (length(id) = 16),
    name               TEXT NOT NULL,
    root               TEXT NOT NULL,
    is_default         INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    created_ms         INTEGER NOT NULL,
    profile            TEXT NOT NULL DEFAULT '{"type":"file"}',
    sealed_credentials BLOB,
    purge              TEXT NOT NULL DEFAULT 'after-retention' CHECK (purge IN ('after-retention', 'at-once')),
    no_delete          INTEGER NOT NULL DEFAULT 0 CHECK (no_delete IN (0, 1)),
    scan_planning      TEXT NOT NULL DEFAULT 'unset' CHECK (scan_planning IN ('unset', 'client', 'server')),
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, name)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX warehouse_default ON warehouse (organisation) WHERE is_default = 1;

-- `key` is the levels joined by U+001F, which no level contains: all that is below a namespace is one range of keys.
-- `parent` is the key without its last level, NULL at the top. `owner` is the principal that created it. `labels` is the JSON of its
-- labels; NULL without any.
CREATE TABLE namespace (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    key          TEXT NOT NULL,
    parent       TEXT,
    properties   TEXT NOT NULL,
    owner        BLOB CHECK (length(owner) = 16),
    labels       TEXT,
    PRIMARY KEY (organisation, warehouse, key),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id),
    FOREIGN KEY (organisation, warehouse, parent)
        REFERENCES namespace (organisation, warehouse, key) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

-- A page of direct children, in order, from the index alone; and the search for children when a namespace is dropped.
CREATE INDEX namespace_child ON namespace (organisation, warehouse, parent, key);

-- The namespaces of an owner.
CREATE INDEX namespace_owned ON namespace (organisation, owner, warehouse, key) WHERE owner IS NOT NULL;

-- The namespaces with labels: servers have all of an organisation in memory.
CREATE INDEX namespace_labelled ON namespace (organisation) WHERE labels IS NOT NULL;

-- Tables and views share their names, so they share one table, clustered by name: a load reads this tree and nothing else.
--
-- `others` are the locations that properties name, one a line: one comparison tells that a commit changes none of them.
-- `origin` is the last document that the catalog did not write for this table where its files are now: the one that was
-- registered, or the last one before the table moved. It and those before it may be another table's too, so no commit removes
-- them. NULL when the catalog wrote all documents for this table.
-- `owner` is the principal that created it. `labels` is the JSON of its labels and those of its columns; NULL without any.
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
    others            TEXT NOT NULL DEFAULT '',
    origin            TEXT,
    owner             BLOB CHECK (length(owner) = 16),
    labels            TEXT,
    PRIMARY KEY (organisation, warehouse, namespace, name),
    UNIQUE (organisation, id),
    FOREIGN KEY (organisation, warehouse, namespace)
        REFERENCES namespace (organisation, warehouse, key) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

-- A page of names of one kind, from the index alone.
CREATE INDEX tabular_listed ON tabular (organisation, warehouse, namespace, kind, name);

-- A page of the tables or views of an owner, and the namespaces that contain any.
CREATE INDEX tabular_owned ON tabular (organisation, owner, warehouse, namespace, kind, name) WHERE owner IS NOT NULL;

-- The tables and views with labels: a search for a label reads no others.
CREATE INDEX tabular_labelled ON tabular (organisation, warehouse, id) WHERE labels IS NOT NULL;

-- The names of all tables and views of a warehouse, for a search by a part of a name. The order by id tells no name.
CREATE INDEX tabular_searched ON tabular (organisation, warehouse, id);

-- How many tables and views an organisation has: a creation within a limit reads one row instead of counting all.
CREATE TABLE tabular_count (
    organisation BLOB NOT NULL PRIMARY KEY REFERENCES organisation (id),
    tables       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tabular_count_added AFTER INSERT ON tabular BEGIN
    INSERT INTO tabular_count (organisation, tables) VALUES (new.organisation, 1)
        ON CONFLICT (organisation) DO UPDATE SET tables = tables + 1;
END;

CREATE TRIGGER tabular_count_removed AFTER DELETE ON tabular BEGIN
    UPDATE tabular_count SET tables = tables - 1 WHERE organisation = old.organisation;
END;

-- Every location that a live table or view, or a dropped table, reserves: a table's own and those that its properties name, and
-- the folder of a view's documents. Credentials for a table reach all below its locations, so no location of another may
-- be at, inside or around any of them.
--
-- `location` is the bytes that locations are compared by (percent-encoding undone): all that is inside one is one range.
-- Rows are written with the row in `tabular`, stay when a table's row moves to `dropped`, and go when it is gone for good.
CREATE TABLE location (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    location     BLOB NOT NULL,
    tabular      BLOB NOT NULL CHECK (length(tabular) = 16),
    PRIMARY KEY (organisation, warehouse, location, tabular),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id)
) STRICT, WITHOUT ROWID;

-- All locations of one table.
CREATE INDEX location_of_tabular ON location (organisation, tabular);


-- Dropped tables, and documents that left a table's log

-- Tables and views that were dropped and are not gone for good. A drop moves the row out of `tabular` in one transaction, so
-- that its name is free at once. A table's locations are free when this row goes.
--
-- There is no reference to the namespace: that may be dropped meanwhile. `state` is 'kept' until the removal of its files
-- begins ('removing'), 'finishing' when only the current document is left, 'blocked' when a person has to look, and 'replaced'
-- when another has taken its location: then it cannot be restored, its files stay, and the row is kept until its time is over,
-- to say so. `due_ms` is when background work looks at it next: when it can no longer be restored, when a lease ends, or when
-- to try again; NULL when only a person can go on. Every lease has another number in `attempts`. A removal of files that is
-- to stop has `purge` 0 while its state is still 'removing' or 'finishing'. `others`, `origin`, `owner` and `labels` are as in
-- `tabular`.
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
    state               TEXT NOT NULL CHECK (state IN ('kept', 'removing', 'finishing', 'blocked', 'replaced')),
    attempts            INTEGER NOT NULL CHECK (attempts >= 0),
    due_ms              INTEGER CHECK ((due_ms IS NULL) = (state = 'blocked')),
    message             TEXT,
    others              TEXT NOT NULL DEFAULT '',
    origin              TEXT,
    owner               BLOB CHECK (length(owner) = 16),
    labels              TEXT,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id)
) STRICT, WITHOUT ROWID;

-- A page of a warehouse's, newest first.
CREATE INDEX dropped_listed ON dropped (organisation, warehouse, dropped_ms, id);

-- What is due, of all organisations.
CREATE INDEX dropped_due ON dropped (due_ms) WHERE due_ms IS NOT NULL;

-- The dropped table whose location a new one takes.
CREATE INDEX dropped_location ON dropped (organisation, warehouse, location);

-- Metadata documents that left a table's log by a commit and are to be removed
-- (`write.metadata.delete-after-commit.enabled`). A row is written in the transaction of the commit.
--
-- `location` is the bytes that locations are compared by, `document` the location itself. `leased` is 1 while a server removes
-- the file. `due_ms` is when it may be removed, when it is tried again, or when the lease ends. Every lease has another number
-- in `attempts`. There is no reference to the warehouse: rows of no live table are forgotten, and their files stay.
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

-- All old documents of one table.
CREATE INDEX old_document_of_tabular ON old_document (organisation, tabular);


-- Access: principals have principal roles, those have catalog roles, and those have grants

CREATE TABLE principal_role (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    id           BLOB NOT NULL CHECK (length(id) = 16),
    name         TEXT NOT NULL,
    created_ms   INTEGER NOT NULL,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE catalog_role (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    id           BLOB NOT NULL CHECK (length(id) = 16),
    name         TEXT NOT NULL,
    created_ms   INTEGER NOT NULL,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, warehouse, name),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- `source` is 'assigned' by an administrator, or 'group' for the groups of a user's newest token. A principal can have a role
-- from both.
CREATE TABLE principal_role_member (
    organisation BLOB NOT NULL,
    principal    BLOB NOT NULL,
    role         BLOB NOT NULL,
    source       TEXT NOT NULL DEFAULT 'assigned' CHECK (source IN ('assigned', 'group')),
    PRIMARY KEY (organisation, principal, role, source),
    FOREIGN KEY (organisation, principal) REFERENCES principal (organisation, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation, role) REFERENCES principal_role (organisation, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX principal_role_member_of ON principal_role_member (organisation, role, principal);

CREATE TABLE catalog_role_member (
    organisation   BLOB NOT NULL,
    principal_role BLOB NOT NULL,
    role           BLOB NOT NULL,
    PRIMARY KEY (organisation, principal_role, role),
    FOREIGN KEY (organisation, principal_role) REFERENCES principal_role (organisation, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation, role) REFERENCES catalog_role (organisation, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX catalog_role_member_of ON catalog_role_member (organisation, role, principal_role);

-- `securable` is empty for the warehouse, the key of a namespace, or the id of a table or view. The grants on a namespace are removed
-- with it, by the foreign key. Those on a table stay while it is dropped, and are removed when it can no longer be restored.
CREATE TABLE access_grant (
    organisation BLOB NOT NULL,
    role         BLOB NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('catalog', 'namespace', 'table', 'view')),
    securable    BLOB NOT NULL,
    privilege    TEXT NOT NULL,
    warehouse    BLOB NOT NULL,
    namespace    TEXT CHECK ((namespace IS NOT NULL) = (kind = 'namespace')),
    PRIMARY KEY (organisation, role, kind, securable, privilege),
    FOREIGN KEY (organisation, role) REFERENCES catalog_role (organisation, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation, warehouse, namespace)
        REFERENCES namespace (organisation, warehouse, key) ON DELETE CASCADE ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX access_grant_on_namespace ON access_grant (organisation, warehouse, namespace) WHERE namespace IS NOT NULL;

-- All grants on one table or view.
CREATE INDEX access_grant_on ON access_grant (organisation, securable);

-- What a principal role may not read of a table: a filter of rows and masks of columns, by field id. `restriction` is JSON. The row stays
-- while the table is dropped.
CREATE TABLE read_restriction (
    organisation   BLOB NOT NULL,
    tabular        BLOB NOT NULL,
    principal_role BLOB NOT NULL,
    warehouse      BLOB NOT NULL,
    restriction    TEXT NOT NULL,
    updated_ms     INTEGER NOT NULL,
    PRIMARY KEY (organisation, tabular, principal_role),
    FOREIGN KEY (organisation, principal_role) REFERENCES principal_role (organisation, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX read_restriction_of ON read_restriction (organisation, principal_role);

-- The principals that are trusted to apply the restrictions that they get.
CREATE TABLE trusted_engine (
    organisation BLOB NOT NULL,
    principal    BLOB NOT NULL,
    PRIMARY KEY (organisation, principal),
    FOREIGN KEY (organisation, principal) REFERENCES principal (organisation, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- How many roles, assignments and grants an organisation has: a limit on them reads one row.
CREATE TABLE access_count (
    organisation    BLOB NOT NULL PRIMARY KEY REFERENCES organisation (id),
    principal_roles INTEGER NOT NULL DEFAULT 0,
    catalog_roles   INTEGER NOT NULL DEFAULT 0,
    assignments     INTEGER NOT NULL DEFAULT 0,
    grants          INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TRIGGER principal_role_added AFTER INSERT ON principal_role BEGIN
    INSERT INTO access_count (organisation, principal_roles) VALUES (new.organisation, 1)
        ON CONFLICT (organisation) DO UPDATE SET principal_roles = principal_roles + 1;
END;

CREATE TRIGGER principal_role_removed AFTER DELETE ON principal_role BEGIN
    UPDATE access_count SET principal_roles = principal_roles - 1 WHERE organisation = old.organisation;
END;

CREATE TRIGGER catalog_role_added AFTER INSERT ON catalog_role BEGIN
    INSERT INTO access_count (organisation, catalog_roles) VALUES (new.organisation, 1)
        ON CONFLICT (organisation) DO UPDATE SET catalog_roles = catalog_roles + 1;
END;

CREATE TRIGGER catalog_role_removed AFTER DELETE ON catalog_role BEGIN
    UPDATE access_count SET catalog_roles = catalog_roles - 1 WHERE organisation = old.organisation;
END;

CREATE TRIGGER principal_role_member_added AFTER INSERT ON principal_role_member BEGIN
    INSERT INTO access_count (organisation, assignments) VALUES (new.organisation, 1)
        ON CONFLICT (organisation) DO UPDATE SET assignments = assignments + 1;
END;

CREATE TRIGGER principal_role_member_removed AFTER DELETE ON principal_role_member BEGIN
    UPDATE access_count SET assignments = assignments - 1 WHERE organisation = old.organisation;
END;

CREATE TRIGGER catalog_role_member_added AFTER INSERT ON catalog_role_member BEGIN
    INSERT INTO access_count (organisation, assignments) VALUES (new.organisation, 1)
        ON CONFLICT (organisation) DO UPDATE SET assignments = assignments + 1;
END;

CREATE TRIGGER catalog_role_member_removed AFTER DELETE ON catalog_role_member BEGIN
    UPDATE access_count SET assignments = assignments - 1 WHERE organisation = old.organisation;
END;

CREATE TRIGGER access_grant_added AFTER INSERT ON access_grant BEGIN
    INSERT INTO access_count (organisation, grants) VALUES (new.organisation, 1)
        ON CONFLICT (organisation) DO UPDATE SET grants = grants + 1;
END;

CREATE TRIGGER access_grant_removed AFTER DELETE ON access_grant BEGIN
    UPDATE access_count SET grants = grants - 1 WHERE organisation = old.organisation;
END;

-- Properties and versions of warehouses, principals and roles, as Polaris' management API shows them. One that was never changed
-- has no row: its version is 1. `properties` is a JSON object of strings.
CREATE TABLE entity (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    id           BLOB NOT NULL CHECK (length(id) = 16),
    properties   TEXT NOT NULL,
    version      INTEGER NOT NULL CHECK (version > 1),
    updated_ms   INTEGER NOT NULL,
    PRIMARY KEY (organisation, id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entity_of_warehouse AFTER DELETE ON warehouse BEGIN
    DELETE FROM entity WHERE organisation = old.organisation AND id = old.id;
END;

CREATE TRIGGER entity_of_principal AFTER DELETE ON principal BEGIN
    DELETE FROM entity WHERE organisation = old.organisation AND id = old.id;
END;

CREATE TRIGGER entity_of_principal_role AFTER DELETE ON principal_role BEGIN
    DELETE FROM entity WHERE organisation = old.organisation AND id = old.id;
END;

CREATE TRIGGER entity_of_catalog_role AFTER DELETE ON catalog_role BEGIN
    DELETE FROM entity WHERE organisation = old.organisation AND id = old.id;
END;


-- Requests: their answers, their budget, what they reported and what they changed

-- Answers to requests with an idempotency key, for as long as clients may repeat them. A row is written in the transaction
-- of the change that it is about, so that both are there or neither.
--
-- `request` is a digest of the request: the same key must not come with another. `kind` says how the answer is kept:
-- 'done' needs no more, 'document' has the location of a table's or view's document and its id, 'properties' has JSON of the
-- properties that were changed, 'said' has the status and the body of an answer that changed nothing. `principal` sent the request:
-- the keys of one principal say nothing about those of another.
CREATE TABLE receipt (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    principal    BLOB NOT NULL CHECK (length(principal) = 16),
    key          BLOB NOT NULL CHECK (length(key) = 16),
    request      BLOB NOT NULL CHECK (length(request) = 32),
    kind         TEXT NOT NULL CHECK (kind IN ('done', 'document', 'properties', 'said')),
    status       INTEGER CHECK ((status IS NOT NULL) = (kind = 'said')),
    text         TEXT CHECK ((text IS NULL) = (kind = 'done')),
    expires_ms   INTEGER NOT NULL,
    PRIMARY KEY (organisation, principal, key)
) STRICT, WITHOUT ROWID;

-- Expired receipts, of all organisations.
CREATE INDEX receipt_expired ON receipt (expires_ms);

-- `granted` is what the last take of the day was given, so that the statement that takes also returns it.
CREATE TABLE usage (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    day          INTEGER NOT NULL,
    taken        INTEGER NOT NULL CHECK (taken >= 0),
    granted      INTEGER NOT NULL,
    PRIMARY KEY (organisation, day)
) STRICT, WITHOUT ROWID;

-- How many requests each key and user sent on a day. `key` is of a row of `api_key`, or of a user's row of `principal`.
CREATE TABLE key_usage (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    day          INTEGER NOT NULL,
    key          BLOB NOT NULL CHECK (length(key) = 16),
    requests     INTEGER NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (organisation, day, key)
) STRICT, WITHOUT ROWID;

-- Reports of scans and commits, as clients sent them. `table_id` is of a row of `tabular` or `dropped`: a report goes when its
-- table is gone for good.
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

-- Old reports, of all organisations.
CREATE INDEX report_old ON report (at_ms);

-- How many bytes an organisation's reports have: a limit on them reads one row instead of all reports.
CREATE TABLE report_bytes (
    organisation BLOB NOT NULL PRIMARY KEY REFERENCES organisation (id),
    bytes        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER report_bytes_added AFTER INSERT ON report BEGIN
    INSERT INTO report_bytes (organisation, bytes) VALUES (new.organisation, octet_length(new.body))
        ON CONFLICT (organisation) DO UPDATE SET bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER report_bytes_removed AFTER DELETE ON report BEGIN
    UPDATE report_bytes SET bytes = bytes - octet_length(old.body) WHERE organisation = old.organisation;
END;

-- Policies of maintenance. `object` is the id of the warehouse or table, or a hash of the namespace's name and warehouse. `policy` is a
-- JSON object.
CREATE TABLE maintenance_policy (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    object       BLOB NOT NULL CHECK (length(object) = 16),
    kind         TEXT NOT NULL CHECK (kind IN ('warehouse', 'namespace', 'table')),
    namespace    TEXT,
    policy       TEXT NOT NULL,
    updated_ms   INTEGER NOT NULL,
    PRIMARY KEY (organisation, object),
    FOREIGN KEY (organisation) REFERENCES organisation (id)
) STRICT;

-- The maintenance of a table: who holds it until when, as a number that each claim raises, and what the next holder has to know (a JSON
-- object).
CREATE TABLE maintenance_state (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    table_id     BLOB NOT NULL CHECK (length(table_id) = 16),
    until_ms     INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    state        TEXT NOT NULL,
    PRIMARY KEY (organisation, table_id),
    FOREIGN KEY (organisation) REFERENCES organisation (id)
) STRICT;

-- Runs of maintenance. `details` is a JSON object. A queued run is its server's until `held_until_ms`.
CREATE TABLE maintenance_run (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    table_id     BLOB NOT NULL CHECK (length(table_id) = 16),
    id           BLOB NOT NULL CHECK (length(id) = 16),
    operation    TEXT NOT NULL,
    dry_run      INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
    started_ms   INTEGER NOT NULL,
    ended_ms     INTEGER,
    outcome      TEXT NOT NULL CHECK (outcome IN ('queued', 'running', 'succeeded', 'failed', 'stopped', 'abandoned')),
    details      TEXT NOT NULL,
    held_until_ms INTEGER,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation) REFERENCES organisation (id)
) STRICT;

-- Newest first, of a table and a warehouse.
CREATE INDEX maintenance_run_of_table ON maintenance_run (organisation, table_id, started_ms, id);
CREATE INDEX maintenance_run_of_warehouse ON maintenance_run (organisation, warehouse, started_ms, id);

-- Old runs, of all organisations.
CREATE INDEX maintenance_run_old ON maintenance_run (started_ms);

-- Runs that have not ended, of all organisations.
CREATE INDEX maintenance_run_open ON maintenance_run (id) WHERE ended_ms IS NULL;

-- Changes: by whom and when. A row is written in the transaction of its change.
--
-- `organisation` is NULL where the server itself is concerned. `object_name` has the levels of its namespace before it, joined
-- by dots; `new_name` is what a rename or a restore gave it. `engine_id` and `engine_name` are of the key of the engine that acted
-- for the actor. `details` is a JSON object. Ids ascend and are never used again.
CREATE TABLE event (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation BLOB CHECK (length(organisation) = 16),
    warehouse    BLOB CHECK (length(warehouse) = 16),
    at_ms        INTEGER NOT NULL,
    actor_kind   TEXT NOT NULL CHECK (actor_kind IN ('key', 'user', 'operator', 'command-line', 'catalog')),
    actor_id     BLOB CHECK (length(actor_id) = 16),
    actor_name   TEXT,
    engine_id    BLOB CHECK (length(engine_id) = 16),
    engine_name  TEXT CHECK ((engine_name IS NULL) = (engine_id IS NULL)),
    operation    TEXT NOT NULL,
    object_kind  TEXT NOT NULL,
    object_id    BLOB CHECK (length(object_id) = 16),
    object_name  TEXT NOT NULL,
    new_name     TEXT,
    request_id   TEXT,
    client       TEXT,
    agent        TEXT,
    role         TEXT,
    details      TEXT NOT NULL
) STRICT;

-- A page of an organisation's, newest first.
CREATE INDEX event_of_organisation ON event (organisation, id);

-- A page about one object, newest first.
CREATE INDEX event_of_object ON event (organisation, object_name, id);
CREATE INDEX event_of_new_name ON event (organisation, new_name, id) WHERE new_name IS NOT NULL;

-- The highest position of the feed that was removed, for each organisation; zeros for the server. An event's position is its id.
CREATE TABLE feed_removed (
    organisation BLOB NOT NULL PRIMARY KEY CHECK (length(organisation) = 16),
    position     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Readers of the feed, and their progress. Zeros for readers of all organisations. `holder` is the server that reads until `held_until_ms`.
CREATE TABLE feed_consumer (
    organisation  BLOB NOT NULL CHECK (length(organisation) = 16),
    name          TEXT NOT NULL,
    position      INTEGER NOT NULL,
    since_id      INTEGER NOT NULL,
    gaps          INTEGER NOT NULL CHECK (gaps >= 0),
    holder        BLOB CHECK (length(holder) = 16),
    held_until_ms INTEGER NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0,
    retry_ms      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (organisation, name)
) STRICT, WITHOUT ROWID;

-- Receivers of events over HTTP. Zeros for those of the operators. `filter` is a JSON object. Secrets are sealed with the master key.
CREATE TABLE subscription (
    organisation      BLOB NOT NULL CHECK (length(organisation) = 16),
    id                BLOB NOT NULL CHECK (length(id) = 16),
    name              TEXT NOT NULL,
    url               TEXT NOT NULL,
    filter            TEXT NOT NULL,
    sealed_secret     BLOB NOT NULL,
    previous_secret   BLOB,
    previous_until_ms INTEGER CHECK ((previous_until_ms IS NULL) = (previous_secret IS NULL)),
    created_ms        INTEGER NOT NULL,
    disabled_ms       INTEGER,
    delivered_ms      INTEGER,
    failing_since_ms  INTEGER,
    last_error        TEXT,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, name)
) STRICT;

-- Events that a receiver did not accept, in the form for receivers. Rows with `replay` are sent again.
CREATE TABLE dead_letter (
    organisation BLOB NOT NULL,
    subscription BLOB NOT NULL,
    event        TEXT NOT NULL,
    body         TEXT NOT NULL,
    reason       TEXT NOT NULL,
    at_ms        INTEGER NOT NULL,
    replay       INTEGER NOT NULL CHECK (replay IN (0, 1)),
    PRIMARY KEY (organisation, subscription, event),
    FOREIGN KEY (organisation, subscription) REFERENCES subscription (organisation, id)
) STRICT;

CREATE INDEX dead_letter_old ON dead_letter (at_ms);
CREATE INDEX dead_letter_replay ON dead_letter (subscription) WHERE replay = 1;
CREATE INDEX dead_letter_of_subscription ON dead_letter (organisation, subscription, at_ms, event);

-- Refused requests, sign-ins and granted access. Changes are events.
--
-- `organisation` is 16 zero bytes for an unknown actor. `entry` is a JSON object. Ids ascend and are never used again.
CREATE TABLE audit (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation BLOB NOT NULL CHECK (length(organisation) = 16),
    at_ms        INTEGER NOT NULL,
    entry        TEXT NOT NULL
) STRICT;

-- A page of an organisation's, newest first.
CREATE INDEX audit_of_organisation ON audit (organisation, id);

-- How far the export to a sink is: the ids of the last event and of the last audit record.
CREATE TABLE audit_position (
    sink   TEXT NOT NULL PRIMARY KEY,
    event  INTEGER NOT NULL,
    record INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
