-- A database of a development version, schema 11: what its migrations made, and a table. Generated.
PRAGMA foreign_keys = off;
PRAGMA journal_mode = wal;
BEGIN TRANSACTION;
CREATE TABLE api_key (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name         TEXT NOT NULL,
    role         TEXT NOT NULL,
    digest       BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_ms   INTEGER NOT NULL,
    expires_ms   INTEGER,
    last_used_ms INTEGER,
    revoked_ms   INTEGER, no_delete INTEGER NOT NULL DEFAULT 0 CHECK (no_delete IN (0, 1)),
    PRIMARY KEY (organisation, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE "dropped" (
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
    others              TEXT NOT NULL DEFAULT '', origin TEXT,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation BLOB CHECK (length(organisation) = 16),
    warehouse    BLOB CHECK (length(warehouse) = 16),
    at_ms        INTEGER NOT NULL,
    actor_kind   TEXT NOT NULL CHECK (actor_kind IN ('key', 'command-line', 'catalog')),
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
CREATE TABLE location (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    location     BLOB NOT NULL,
    tabular      BLOB NOT NULL CHECK (length(tabular) = 16),
    PRIMARY KEY (organisation, warehouse, location, tabular),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE location_unread (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    tabular      BLOB NOT NULL CHECK (length(tabular) = 16),
    unreadable   INTEGER NOT NULL DEFAULT 0 CHECK (unreadable IN (0, 1)),
    PRIMARY KEY (organisation, tabular)
) STRICT, WITHOUT ROWID;
CREATE TABLE master_key (
    only_one    INTEGER NOT NULL PRIMARY KEY CHECK (only_one = 1),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 16)
) STRICT;
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
INSERT INTO "namespace" VALUES(X'01010101010101010101010101010101',X'02020202020202020202020202020202','sales',NULL,'{}');
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
CREATE TABLE organisation (
    id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    name       TEXT NOT NULL UNIQUE,
    tier       TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "organisation" VALUES(X'01010101010101010101010101010101','acme','free',0);
CREATE TABLE receipt (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    key          BLOB NOT NULL CHECK (length(key) = 16),
    request      BLOB NOT NULL CHECK (length(request) = 32),
    kind         TEXT NOT NULL CHECK (kind IN ('done', 'document', 'properties', 'said')),
    status       INTEGER CHECK ((status IS NOT NULL) = (kind = 'said')),
    text         TEXT CHECK ((text IS NULL) = (kind = 'done')),
    expires_ms   INTEGER NOT NULL,
    PRIMARY KEY (organisation, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE refinery_schema_history (version INTEGER PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255));
INSERT INTO "refinery_schema_history" VALUES(1,'catalog','2026-11-20T00:00:00Z','0');
INSERT INTO "refinery_schema_history" VALUES(2,'idempotency','2026-11-20T00:00:00Z','0');
INSERT INTO "refinery_schema_history" VALUES(3,'dropped_and_reports','2026-11-20T00:00:00Z','0');
INSERT INTO "refinery_schema_history" VALUES(4,'warehouse_storage','2026-11-20T00:00:00Z','0');
INSERT INTO "refinery_schema_history" VALUES(5,'locations','2026-11-20T00:00:00Z','0');
INSERT INTO "refinery_schema_history" VALUES(6,'replaced','2026-11-20T00:00:00Z','0');
INSERT INTO "refinery_schema_history" VALUES(7,'table_counts','2026-11-20T00:00:00Z','0');
INSERT INTO "refinery_schema_history" VALUES(8,'master_key_and_report_bytes','2026-11-20T00:00:00Z','0');
INSERT INTO "refinery_schema_history" VALUES(9,'old_documents','2026-11-20T00:00:00Z','0');
INSERT INTO "refinery_schema_history" VALUES(10,'warehouse_options','2026-11-20T00:00:00Z','0');
INSERT INTO "refinery_schema_history" VALUES(11,'events','2026-11-20T00:00:00Z','0');
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
CREATE TABLE report_bytes (
    organisation BLOB NOT NULL PRIMARY KEY REFERENCES organisation (id),
    bytes        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE signing_key (
    id         TEXT NOT NULL PRIMARY KEY,
    secret     BLOB NOT NULL CHECK (length(secret) = 32),
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
    updated_ms        INTEGER NOT NULL, others TEXT NOT NULL DEFAULT '', origin TEXT,
    PRIMARY KEY (organisation, warehouse, namespace, name),
    UNIQUE (organisation, id),
    FOREIGN KEY (organisation, warehouse, namespace)
        REFERENCES namespace (organisation, warehouse, key) ON UPDATE CASCADE
) STRICT, WITHOUT ROWID;
INSERT INTO "tabular" VALUES(X'01010101010101010101010101010101',X'02020202020202020202020202020202','sales','orders',X'03030303030303030303030303030303','table','file:///lake/sales/orders/metadata/0.json','file:///lake/sales/orders',0,0,'',NULL);
CREATE TABLE tabular_count (
    organisation BLOB NOT NULL PRIMARY KEY REFERENCES organisation (id),
    tables       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "tabular_count" VALUES(X'01010101010101010101010101010101',1);
CREATE TABLE usage (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    day          INTEGER NOT NULL,
    taken        INTEGER NOT NULL CHECK (taken >= 0),
    granted      INTEGER NOT NULL,
    PRIMARY KEY (organisation, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE warehouse (
    organisation BLOB NOT NULL REFERENCES organisation (id),
    id           BLOB NOT NULL CHECK (length(id) = 16),
    name         TEXT NOT NULL,
    root         TEXT NOT NULL,
    is_default   INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    created_ms   INTEGER NOT NULL, profile TEXT NOT NULL DEFAULT '{"type":"file"}', sealed_credentials BLOB, purge TEXT NOT NULL DEFAULT 'after-retention' CHECK (purge IN ('after-retention', 'at-once')), no_delete INTEGER NOT NULL DEFAULT 0 CHECK (no_delete IN (0, 1)),
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "warehouse" VALUES(X'01010101010101010101010101010101',X'02020202020202020202020202020202','lake','file:///lake',1,0,'{"type":"file"}',NULL,'after-retention',0);
CREATE UNIQUE INDEX warehouse_default ON warehouse (organisation) WHERE is_default = 1;
CREATE INDEX namespace_child ON namespace (organisation, warehouse, parent, key);
CREATE INDEX tabular_listed ON tabular (organisation, warehouse, namespace, kind, name);
CREATE INDEX receipt_expired ON receipt (expires_ms);
CREATE INDEX report_of_table ON report (organisation, table_id, at_ms, id);
CREATE INDEX report_of_warehouse ON report (organisation, warehouse, at_ms, id);
CREATE INDEX report_of_organisation ON report (organisation, at_ms, id);
CREATE INDEX report_old ON report (at_ms);
CREATE INDEX location_of_tabular ON location (organisation, tabular);
CREATE INDEX location_unread_of_warehouse ON location_unread (organisation, warehouse, unreadable, tabular);
CREATE INDEX dropped_listed ON dropped (organisation, warehouse, dropped_ms, id);
CREATE INDEX dropped_due ON dropped (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX dropped_location ON dropped (organisation, warehouse, location);
CREATE TRIGGER tabular_count_added AFTER INSERT ON tabular BEGIN
    INSERT INTO tabular_count (organisation, tables) VALUES (new.organisation, 1)
        ON CONFLICT (organisation) DO UPDATE SET tables = tables + 1;
END;
CREATE TRIGGER tabular_count_removed AFTER DELETE ON tabular BEGIN
    UPDATE tabular_count SET tables = tables - 1 WHERE organisation = old.organisation;
END;
CREATE TRIGGER report_bytes_added AFTER INSERT ON report BEGIN
    INSERT INTO report_bytes (organisation, bytes) VALUES (new.organisation, octet_length(new.body))
        ON CONFLICT (organisation) DO UPDATE SET bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER report_bytes_removed AFTER DELETE ON report BEGIN
    UPDATE report_bytes SET bytes = bytes - octet_length(old.body) WHERE organisation = old.organisation;
END;
CREATE INDEX old_document_due ON old_document (organisation, due_ms);
CREATE INDEX old_document_of_tabular ON old_document (organisation, tabular);
CREATE INDEX event_of_organisation ON event (organisation, id);
CREATE INDEX event_of_object ON event (organisation, object_name, id);
CREATE INDEX event_of_new_name ON event (organisation, new_name, id) WHERE new_name IS NOT NULL;
COMMIT;
