-- compatible-from: 1
--
-- The catalog on PostgreSQL.
--
-- The tables and columns are those of the embedded store (migrations/sqlite), so that one can be copied to the other row by row.
-- Plain SQL alone: no triggers, no sequences, no extensions. What the embedded store counts by triggers, the statements of a change
-- count in `organisation_state`.
--
-- A released migration is never edited. A later one only adds what the version before it can ignore (docs/decisions/0060), so that
-- servers of both versions run side by side.
--
-- Every row of a tenant leads with the organisation's id, in its key and in every index that does not serve all tenants at once.
-- Foreign keys carry the organisation too, so that no row can point into another tenant's.
-- A key of an index has at most 2,700 bytes, and some names and locations are longer. Their indexes have a digest instead: the first 16
-- bytes of SHA-256 of the UTF-8 text. A statement compares the digest, which the index finds, and the whole text (docs/decisions/0062).
-- The database computes the columns with digests.
--
-- Ids are the 16 bytes of a UUID. Times are milliseconds since 1970 (UTC). Names compare by their bytes: the collation is "C".


-- Tenants, and the secrets of the catalog itself

-- `suspended_ms` tells since when it is suspended, `delete_after_ms` from when its rows are removed, and `delete_purge` whether
-- the files of its tables are too.
CREATE TABLE organisation (
    id              uuid NOT NULL PRIMARY KEY,
    name            text COLLATE "C" NOT NULL UNIQUE,
    tier            text NOT NULL,
    created_ms      bigint NOT NULL,
    suspended_ms    bigint,
    delete_after_ms bigint,
    delete_purge    boolean NOT NULL DEFAULT false 
);

CREATE INDEX organisation_deleted ON organisation (delete_after_ms) WHERE delete_after_ms IS NOT NULL;

-- One row for each organisation, written with it. A change that adds or removes tables, or claims locations, or changes access locks
-- this row first (docs/decisions/0060), so that counts are exact and two changes never claim overlapping locations.
--
-- `tables` to `grants` are counts. `generation` increases with each change of access, keys, users, warehouses or the organisation itself.
-- Each read of a request returns it, so that a server knows what in its memory is still current. `standing` is the generation of the last
-- change that was no change of access (docs/decisions/0066).
CREATE TABLE organisation_state (
    organisation    uuid NOT NULL PRIMARY KEY REFERENCES organisation (id),
    tables          bigint NOT NULL DEFAULT 0 CHECK (tables >= 0),
    principal_roles bigint NOT NULL DEFAULT 0,
    catalog_roles   bigint NOT NULL DEFAULT 0,
    assignments     bigint NOT NULL DEFAULT 0,
    grants          bigint NOT NULL DEFAULT 0,
    generation      bigint NOT NULL DEFAULT 1,
    standing        bigint NOT NULL DEFAULT 1
);

-- One row: `generation` increases with each change of operators and signing keys.
CREATE TABLE server_state (
    only_one   boolean NOT NULL PRIMARY KEY CHECK (only_one),
    generation bigint NOT NULL
);

INSERT INTO server_state (only_one, generation) VALUES (true, 1);

-- Locks that changes of all organisations share: 'roots' for the roots of warehouses, which never overlap, and 'signing-keys' for the
-- first key that signs tokens. A change locks the row until its end. The rows never change.
CREATE TABLE catalog_lock (
    name text COLLATE "C" NOT NULL PRIMARY KEY
);

INSERT INTO catalog_lock (name) VALUES ('roots'), ('signing-keys');

-- Background tasks that one server does for all: until when a server has claimed the work of one.
CREATE TABLE task_claim (
    task     text COLLATE "C" NOT NULL PRIMARY KEY,
    until_ms bigint NOT NULL
);

-- Principals. A new key has a new principal; a rotated key keeps it. `name` is for people, and not unique.
--
-- A user of an identity provider is a principal with an issuer and a subject, the provider's URL and the user's id there. Only
-- users have the columns from `issuer` on. `role` is the user's built-in role. `issued_ms` is the time of the token from which
-- its name, email address, role and groups are: an older token changes nothing.
--
-- `generation` is the organisation's generation at the last change of the principal's access.
CREATE TABLE principal (
    organisation uuid NOT NULL REFERENCES organisation (id),
    id           uuid NOT NULL,
    name         text COLLATE "C" NOT NULL,
    created_ms   bigint NOT NULL,
    issuer       text COLLATE "C",
    subject      text COLLATE "C" CHECK ((subject IS NULL) = (issuer IS NULL)),
    email        text COLLATE "C",
    role         text CHECK ((role IS NULL) = (issuer IS NULL)),
    no_delete    boolean NOT NULL DEFAULT false,
    last_seen_ms bigint,
    disabled_ms  bigint,
    issued_ms    bigint CHECK ((issued_ms IS NULL) = (issuer IS NULL)),
    generation   bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (organisation, id)
);

-- The principals whose access changed since a server looked.
CREATE INDEX principal_changed ON principal (organisation, generation);

CREATE UNIQUE INDEX principal_user ON principal (organisation, issuer, subject) WHERE issuer IS NOT NULL;

-- `digest` is the SHA-256 of the key's text: the key itself is kept nowhere. A sign-in finds it without its organisation.
-- `no_delete`: credentials that are vended to the key's holder remove no files. `successor` is the key that a rotation gave in its
-- place. `acts_for_users`: its holder is an engine that may act for users.
CREATE TABLE api_key (
    organisation uuid NOT NULL REFERENCES organisation (id),
    id           uuid NOT NULL,
    name         text COLLATE "C" NOT NULL,
    role         text NOT NULL,
    digest       bytea NOT NULL CHECK (length(digest) = 32),
    created_ms   bigint NOT NULL,
    expires_ms   bigint,
    last_used_ms bigint,
    revoked_ms   bigint,
    no_delete    boolean NOT NULL DEFAULT false,
    successor    uuid,
    principal    uuid NOT NULL,
    acts_for_users boolean NOT NULL DEFAULT false,
    PRIMARY KEY (organisation, id)
);

-- A sign-in finds a key without its organisation. Ids and digests are random, so the indexes need not be unique, which they could not be
-- on an engine that shards by organisation.
CREATE INDEX api_key_id ON api_key (id);
CREATE INDEX api_key_digest ON api_key (digest);

-- Operators: keys that manage all organisations, belong to none and reach no table.
CREATE TABLE operator (
    id           uuid NOT NULL PRIMARY KEY,
    name         text COLLATE "C" NOT NULL,
    digest       bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    created_ms   bigint NOT NULL,
    last_used_ms bigint,
    revoked_ms   bigint
);

-- A name is free again once its operator is revoked.
CREATE UNIQUE INDEX operator_name ON operator (name) WHERE revoked_ms IS NULL;

-- The secrets that sign tokens. Because of them, only the owner of the database's file can read it.
CREATE TABLE signing_key (
    id         text COLLATE "C" NOT NULL PRIMARY KEY,
    secret     bytea NOT NULL CHECK (length(secret) = 32),
    created_ms bigint NOT NULL
);

-- Which master key seals the catalog's secrets: a value that is derived from the key and does not reveal it.
CREATE TABLE master_key (
    only_one    boolean NOT NULL PRIMARY KEY CHECK (only_one),
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 16)
);

-- How far a copy from another database is, a row for each table. There are rows only while a copy is unfinished, and no server opens the
-- catalog then. `after` and `written` are the key of the last copied row, in the source and here.
CREATE TABLE copy_state (
    name    text COLLATE "C" NOT NULL PRIMARY KEY,
    source  text NOT NULL,
    total   bigint NOT NULL,
    digest  bytea NOT NULL CHECK (length(digest) = 32),
    copied  bigint NOT NULL,
    after   bytea,
    written bytea
);


-- Warehouses, namespaces, tables and views

-- `profile` is the JSON of the storage's settings. `sealed_credentials` are sealed with a master key that is not in this
-- database. `purge` is when the files of a table go that is dropped with a purge. `scan_planning` is who plans the scans of its
-- tables, for clients that take it from the catalog.
CREATE TABLE warehouse (
    organisation       uuid NOT NULL REFERENCES organisation (id),
    id                 uuid NOT NULL,
    name               text COLLATE "C" NOT NULL,
    root               text COLLATE "C" NOT NULL,
    is_default         boolean NOT NULL,
    created_ms         bigint NOT NULL,
    profile            text NOT NULL DEFAULT '{"type":"file"}',
    sealed_credentials bytea,
    purge              text NOT NULL DEFAULT 'after-retention' CHECK (purge IN ('after-retention', 'at-once')),
    no_delete          boolean NOT NULL DEFAULT false,
    scan_planning      text NOT NULL DEFAULT 'unset' CHECK (scan_planning IN ('unset', 'client', 'server')),
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, name)
);

CREATE UNIQUE INDEX warehouse_default ON warehouse (organisation) WHERE is_default;

-- `key` is the levels joined by U+001F, which no level contains: all that is below a namespace is one range of keys.
-- `parent` is the key without its last level, NULL at the top. `owner` is the principal that created it. `labels` is the JSON of its
-- labels; NULL without any. `name` is the last level: the children of one parent are in the order of their names.
CREATE TABLE namespace (
    organisation  uuid NOT NULL,
    warehouse     uuid NOT NULL,
    key           text COLLATE "C" NOT NULL,
    parent        text COLLATE "C",
    properties    text NOT NULL,
    owner         uuid,
    labels        text,
    digest        bytea GENERATED ALWAYS AS (substring(sha256(decode(replace(key, '\', '\\'), 'escape')) FROM 1 FOR 16)) STORED,
    parent_digest bytea GENERATED ALWAYS AS (substring(sha256(decode(replace(parent, '\', '\\'), 'escape')) FROM 1 FOR 16)) STORED,
    name          text COLLATE "C" GENERATED ALWAYS AS (substr(key, coalesce(length(parent) + 2, 1))) STORED,
    PRIMARY KEY (organisation, warehouse, digest),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id),
    FOREIGN KEY (organisation, warehouse, parent_digest) REFERENCES namespace (organisation, warehouse, digest)
);

-- A page of direct children, in order, from the index alone; and the search for children when a namespace is dropped.
CREATE INDEX namespace_child ON namespace (organisation, warehouse, parent_digest, name) WHERE parent_digest IS NOT NULL;

-- The same at the top: a scan of an index is not in the order of names behind a column that is NULL.
CREATE INDEX namespace_top ON namespace (organisation, warehouse, name) WHERE parent_digest IS NULL;

-- The namespaces of an owner.
CREATE INDEX namespace_owned ON namespace (organisation, owner, warehouse, digest) WHERE owner IS NOT NULL;

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
    organisation      uuid NOT NULL,
    warehouse         uuid NOT NULL,
    namespace         text COLLATE "C" NOT NULL,
    name              text COLLATE "C" NOT NULL,
    id                uuid NOT NULL,
    kind              text NOT NULL CHECK (kind IN ('table', 'view')),
    metadata_location text COLLATE "C" NOT NULL,
    location          text COLLATE "C" NOT NULL,
    created_ms        bigint NOT NULL,
    updated_ms        bigint NOT NULL,
    others            text NOT NULL DEFAULT '',
    origin            text,
    owner             uuid,
    labels            text,
    namespace_digest  bytea GENERATED ALWAYS AS (substring(sha256(decode(replace(namespace, '\', '\\'), 'escape')) FROM 1 FOR 16)) STORED,
    PRIMARY KEY (organisation, warehouse, namespace_digest, name),
    UNIQUE (organisation, id),
    FOREIGN KEY (organisation, warehouse, namespace_digest) REFERENCES namespace (organisation, warehouse, digest)
);

-- A page of names of one kind, from the index alone.
CREATE INDEX tabular_listed ON tabular (organisation, warehouse, namespace_digest, kind, name);

-- A page of the tables or views of an owner, and the namespaces that contain any.
CREATE INDEX tabular_owned ON tabular (organisation, owner, warehouse, namespace_digest, kind, name)
    WHERE owner IS NOT NULL;

-- The tables and views with labels: a search for a label reads no others.
CREATE INDEX tabular_labelled ON tabular (organisation, warehouse, id) WHERE labels IS NOT NULL;

-- The names of all tables and views of a warehouse, for a search by a part of a name. The order by id tells no name.
CREATE INDEX tabular_searched ON tabular (organisation, warehouse, id);

-- Every location that a live table or view, or a dropped table, reserves: a table's own and those that its properties name, and
-- the folder of a view's documents. Credentials for a table reach all below its locations, so no location of another may
-- be at, inside or around any of them.
--
-- `location` is the bytes that locations are compared by (percent-encoding undone): all that is inside one is one range.
-- Rows are written with the row in `tabular`, stay when a table's row moves to `dropped`, and go when it is gone for good.
CREATE TABLE location (
    organisation uuid NOT NULL,
    warehouse    uuid NOT NULL,
    location     bytea NOT NULL,
    tabular      uuid NOT NULL,
    digest       bytea GENERATED ALWAYS AS (substring(sha256(location) FROM 1 FOR 16)) STORED,
    PRIMARY KEY (organisation, tabular, digest),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id)
);

-- The locations at, inside and around another. Longer ones are found by their first bytes, and then compared as a whole.
CREATE INDEX location_start ON location (organisation, warehouse, substring(location FROM 1 FOR 1024));


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
    organisation        uuid NOT NULL,
    warehouse           uuid NOT NULL,
    id                  uuid NOT NULL,
    namespace           text COLLATE "C" NOT NULL,
    name                text COLLATE "C" NOT NULL,
    kind                text NOT NULL CHECK (kind IN ('table', 'view')),
    metadata_location   text COLLATE "C" NOT NULL,
    location            text COLLATE "C" NOT NULL,
    created_ms          bigint NOT NULL,
    updated_ms          bigint NOT NULL,
    dropped_ms          bigint NOT NULL,
    restorable_until_ms bigint NOT NULL,
    purge               boolean NOT NULL,
    state               text NOT NULL CHECK (state IN ('kept', 'removing', 'finishing', 'blocked', 'replaced')),
    attempts            bigint NOT NULL CHECK (attempts >= 0),
    due_ms              bigint CHECK ((due_ms IS NULL) = (state = 'blocked')),
    message             text,
    others              text NOT NULL DEFAULT '',
    origin              text,
    owner               uuid,
    labels              text,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id)
);

-- A page of a warehouse's, newest first.
CREATE INDEX dropped_listed ON dropped (organisation, warehouse, dropped_ms, id);

-- What is due, of all organisations.
CREATE INDEX dropped_due ON dropped (due_ms) WHERE due_ms IS NOT NULL;

-- The dropped table whose location a new one takes.
CREATE INDEX dropped_location ON dropped (organisation, warehouse, left(location, 600));

-- Metadata documents that left a table's log by a commit and are to be removed
-- (`write.metadata.delete-after-commit.enabled`). A row is written in the transaction of the commit.
--
-- `location` is the bytes that locations are compared by, `document` the location itself. `leased` is 1 while a server removes
-- the file. `due_ms` is when it may be removed, when it is tried again, or when the lease ends. Every lease has another number
-- in `attempts`. There is no reference to the warehouse: rows of no live table are forgotten, and their files stay.
CREATE TABLE old_document (
    organisation uuid NOT NULL,
    warehouse    uuid NOT NULL,
    location     bytea NOT NULL,
    document     text COLLATE "C" NOT NULL,
    tabular      uuid NOT NULL,
    due_ms       bigint NOT NULL,
    leased       boolean NOT NULL DEFAULT false,
    attempts     bigint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    digest       bytea GENERATED ALWAYS AS (substring(sha256(location) FROM 1 FOR 16)) STORED,
    PRIMARY KEY (organisation, digest)
);

-- What is due of each organisation, and which organisations have any.
CREATE INDEX old_document_due ON old_document (organisation, due_ms);

-- All old documents of one table.
CREATE INDEX old_document_of_tabular ON old_document (organisation, tabular);


-- Access: principals have principal roles, those have catalog roles, and those have grants

CREATE TABLE principal_role (
    organisation uuid NOT NULL REFERENCES organisation (id),
    id           uuid NOT NULL,
    name         text COLLATE "C" NOT NULL,
    created_ms   bigint NOT NULL,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, name)
);

CREATE TABLE catalog_role (
    organisation uuid NOT NULL,
    warehouse    uuid NOT NULL,
    id           uuid NOT NULL,
    name         text COLLATE "C" NOT NULL,
    created_ms   bigint NOT NULL,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, warehouse, name),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id) ON DELETE CASCADE
);

-- `source` is 'assigned' by an administrator, or 'group' for the groups of a user's newest token. A principal can have a role
-- from both.
CREATE TABLE principal_role_member (
    organisation uuid NOT NULL,
    principal    uuid NOT NULL,
    role         uuid NOT NULL,
    source       text NOT NULL DEFAULT 'assigned' CHECK (source IN ('assigned', 'group')),
    PRIMARY KEY (organisation, principal, role, source),
    FOREIGN KEY (organisation, principal) REFERENCES principal (organisation, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation, role) REFERENCES principal_role (organisation, id) ON DELETE CASCADE
);

CREATE INDEX principal_role_member_of ON principal_role_member (organisation, role, principal);

CREATE TABLE catalog_role_member (
    organisation   uuid NOT NULL,
    principal_role uuid NOT NULL,
    role           uuid NOT NULL,
    PRIMARY KEY (organisation, principal_role, role),
    FOREIGN KEY (organisation, principal_role) REFERENCES principal_role (organisation, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation, role) REFERENCES catalog_role (organisation, id) ON DELETE CASCADE
);

CREATE INDEX catalog_role_member_of ON catalog_role_member (organisation, role, principal_role);

-- `securable` is empty for the warehouse, the key of a namespace, or the id of a table or view. The grants on a namespace are removed
-- with it, by the foreign key. Those on a table stay while it is dropped, and are removed when it can no longer be restored.
CREATE TABLE access_grant (
    organisation uuid NOT NULL,
    role         uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('catalog', 'namespace', 'table', 'view')),
    securable    bytea NOT NULL,
    privilege    text NOT NULL,
    warehouse    uuid NOT NULL,
    namespace    text COLLATE "C" CHECK ((namespace IS NOT NULL) = (kind = 'namespace')),
    securable_digest bytea GENERATED ALWAYS AS (substring(sha256(securable) FROM 1 FOR 16)) STORED,
    namespace_digest bytea GENERATED ALWAYS AS (substring(sha256(decode(replace(namespace, '\', '\\'), 'escape')) FROM 1 FOR 16)) STORED,
    PRIMARY KEY (organisation, role, kind, securable_digest, privilege),
    FOREIGN KEY (organisation, role) REFERENCES catalog_role (organisation, id) ON DELETE CASCADE,
    FOREIGN KEY (organisation, warehouse, namespace_digest)
        REFERENCES namespace (organisation, warehouse, digest) ON DELETE CASCADE
);

CREATE INDEX access_grant_on_namespace ON access_grant (organisation, warehouse, namespace_digest)
    WHERE namespace_digest IS NOT NULL;

-- All grants on one table or view, whose ids are never longer than a key can be.
CREATE INDEX access_grant_on ON access_grant (organisation, substring(securable FROM 1 FOR 16));

-- What a principal role may not read of a table: a filter of rows and masks of columns, by field id. `restriction` is JSON. The row stays
-- while the table is dropped.
CREATE TABLE read_restriction (
    organisation   uuid NOT NULL,
    tabular        uuid NOT NULL,
    principal_role uuid NOT NULL,
    warehouse      uuid NOT NULL,
    restriction    text NOT NULL,
    updated_ms     bigint NOT NULL,
    PRIMARY KEY (organisation, tabular, principal_role),
    FOREIGN KEY (organisation, principal_role) REFERENCES principal_role (organisation, id) ON DELETE CASCADE
);

CREATE INDEX read_restriction_of ON read_restriction (organisation, principal_role);

-- The principals that are trusted to apply the restrictions that they get.
CREATE TABLE trusted_engine (
    organisation uuid NOT NULL,
    principal    uuid NOT NULL,
    PRIMARY KEY (organisation, principal),
    FOREIGN KEY (organisation, principal) REFERENCES principal (organisation, id) ON DELETE CASCADE
);

-- Properties and versions of warehouses, principals and roles, as Polaris' management API shows them. One that was never changed
-- has no row: its version is 1. `properties` is a JSON object of strings.
CREATE TABLE entity (
    organisation uuid NOT NULL REFERENCES organisation (id),
    id           uuid NOT NULL,
    properties   text NOT NULL,
    version      bigint NOT NULL CHECK (version > 1),
    updated_ms   bigint NOT NULL,
    PRIMARY KEY (organisation, id)
);


-- Requests: their answers, their budget, what they reported and what they changed

-- Answers to requests with an idempotency key, for as long as clients may repeat them. A row is written in the transaction
-- of the change that it is about, so that both are there or neither.
--
-- `request` is a digest of the request: the same key must not come with another. `kind` says how the answer is kept:
-- 'done' needs no more, 'document' has the location of a table's or view's document and its id, 'properties' has JSON of the
-- properties that were changed, 'said' has the status and the body of an answer that changed nothing. `principal` sent the request:
-- the keys of one principal say nothing about those of another.
CREATE TABLE receipt (
    organisation uuid NOT NULL REFERENCES organisation (id),
    principal    uuid NOT NULL,
    key          uuid NOT NULL,
    request      bytea NOT NULL CHECK (length(request) = 32),
    kind         text NOT NULL CHECK (kind IN ('done', 'document', 'properties', 'said')),
    status       bigint CHECK ((status IS NOT NULL) = (kind = 'said')),
    text         text CHECK ((text IS NULL) = (kind = 'done')),
    expires_ms   bigint NOT NULL,
    PRIMARY KEY (organisation, principal, key)
);

-- Expired receipts, of all organisations.
CREATE INDEX receipt_expired ON receipt (expires_ms);

-- `granted` is what the last take of the day was given, so that the statement that takes also returns it.
CREATE TABLE usage (
    organisation uuid NOT NULL REFERENCES organisation (id),
    day          bigint NOT NULL,
    taken        bigint NOT NULL CHECK (taken >= 0),
    granted      bigint NOT NULL,
    PRIMARY KEY (organisation, day)
);

-- How many requests each key and user sent on a day. `key` is of a row of `api_key`, or of a user's row of `principal`.
CREATE TABLE key_usage (
    organisation uuid NOT NULL REFERENCES organisation (id),
    day          bigint NOT NULL,
    key          uuid NOT NULL,
    requests     bigint NOT NULL CHECK (requests >= 0),
    PRIMARY KEY (organisation, day, key)
);

-- Reports of scans and commits, as clients sent them. `table_id` is of a row of `tabular` or `dropped`: a report goes when its
-- table is gone for good.
CREATE TABLE report (
    organisation uuid NOT NULL,
    warehouse    uuid NOT NULL,
    table_id     uuid NOT NULL,
    id           uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('scan-report', 'commit-report')),
    at_ms        bigint NOT NULL,
    body         text NOT NULL,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation) REFERENCES organisation (id)
);

-- Newest first, of a table, a warehouse and an organisation.
CREATE INDEX report_of_table ON report (organisation, table_id, at_ms, id);
CREATE INDEX report_of_warehouse ON report (organisation, warehouse, at_ms, id);
CREATE INDEX report_of_organisation ON report (organisation, at_ms, id);

-- Old reports, of all organisations.
CREATE INDEX report_old ON report (at_ms);

-- How many bytes an organisation's reports have: a limit on them reads one row instead of all reports.
CREATE TABLE report_bytes (
    organisation uuid NOT NULL PRIMARY KEY REFERENCES organisation (id),
    bytes        bigint NOT NULL
);

-- Policies of maintenance. `object` is the id of the warehouse or table, or a hash of the namespace's name and warehouse. `policy` is a
-- JSON object.
CREATE TABLE maintenance_policy (
    organisation uuid NOT NULL,
    warehouse    uuid NOT NULL,
    object       uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('warehouse', 'namespace', 'table')),
    namespace    text,
    policy       text NOT NULL,
    updated_ms   bigint NOT NULL,
    PRIMARY KEY (organisation, object),
    FOREIGN KEY (organisation) REFERENCES organisation (id)
);

-- The maintenance of a table: who holds it until when, as a number that each claim raises, and what the next holder has to know (a JSON
-- object).
CREATE TABLE maintenance_state (
    organisation uuid NOT NULL,
    warehouse    uuid NOT NULL,
    table_id     uuid NOT NULL,
    until_ms     bigint NOT NULL,
    attempts     bigint NOT NULL,
    state        text NOT NULL,
    PRIMARY KEY (organisation, table_id),
    FOREIGN KEY (organisation) REFERENCES organisation (id)
);

-- Runs of maintenance. `details` is a JSON object. A queued run is its server's until `held_until_ms`.
CREATE TABLE maintenance_run (
    organisation uuid NOT NULL,
    warehouse    uuid NOT NULL,
    table_id     uuid NOT NULL,
    id           uuid NOT NULL,
    operation    text NOT NULL,
    dry_run      boolean NOT NULL,
    started_ms   bigint NOT NULL,
    ended_ms     bigint,
    outcome      text NOT NULL CHECK (outcome IN ('queued', 'running', 'succeeded', 'failed', 'stopped', 'abandoned')),
    details      text NOT NULL,
    held_until_ms bigint,
    PRIMARY KEY (organisation, id),
    FOREIGN KEY (organisation) REFERENCES organisation (id)
);

-- Newest first, of a table and a warehouse.
CREATE INDEX maintenance_run_of_table ON maintenance_run (organisation, table_id, started_ms, id);
CREATE INDEX maintenance_run_of_warehouse ON maintenance_run (organisation, warehouse, started_ms, id);

-- Old runs, of all organisations.
CREATE INDEX maintenance_run_old ON maintenance_run (started_ms);

-- Runs that have not ended, of all organisations.
CREATE INDEX maintenance_run_open ON maintenance_run (id) WHERE ended_ms IS NULL;

-- Changes: by whom and when. A row is written in the transaction of its change.
--
-- `organisation` is the nil UUID where the server itself is concerned. `object_name` has the levels of its namespace before it, joined
-- by dots; `new_name` is what a rename or a restore gave it. `engine_id` and `engine_name` are of the key of the engine that acted
-- for the actor. `details` is a JSON object.
--
-- `id` is the database's clock in microseconds since 1970, times 4, plus a number from 0 to 3. It is read after the change has locked its
-- object, so the events of one object ascend. No sequence is needed. Until the year 2041 an id
-- is below 2^53, which readers of JSON with 64-bit floats read exactly.
--
-- `position` is the event's place in the feed. A background task gives it to committed events: ids become visible in another order.
CREATE TABLE event (
    organisation uuid NOT NULL,
    id           bigint NOT NULL,
    warehouse    uuid,
    at_ms        bigint NOT NULL,
    actor_kind   text NOT NULL CHECK (actor_kind IN ('key', 'user', 'operator', 'command-line', 'catalog')),
    actor_id     uuid,
    actor_name   text,
    engine_id    uuid,
    engine_name  text CHECK ((engine_name IS NULL) = (engine_id IS NULL)),
    operation    text NOT NULL,
    object_kind  text NOT NULL,
    object_id    uuid,
    object_name  text NOT NULL,
    new_name     text,
    request_id   text,
    client       text,
    agent        text,
    role         text,
    details      text NOT NULL,
    position     bigint,
    PRIMARY KEY (organisation, id)
);

-- A page of the events of all organisations, newest first, and the oldest ones.
CREATE INDEX event_newest ON event (id);

-- A page about one object, newest first. Names may be longer than a key of an index, so their hash is the key.
CREATE INDEX event_of_object ON event (organisation, md5(object_name), id);
CREATE INDEX event_of_new_name ON event (organisation, md5(new_name), id) WHERE new_name IS NOT NULL;

-- Events without a position, and the feed of an organisation and of all.
CREATE INDEX event_unplaced ON event (id, organisation) WHERE position IS NULL;
CREATE INDEX event_feed ON event (organisation, position) WHERE position IS NOT NULL;
CREATE INDEX event_feed_of_all ON event (position) WHERE position IS NOT NULL;

-- One row: the highest position of the feed, and that of the audit records. Those who give positions lock it.
CREATE TABLE feed_state (
    only_one      boolean NOT NULL PRIMARY KEY CHECK (only_one),
    latest        bigint NOT NULL,
    latest_record bigint NOT NULL
);

INSERT INTO feed_state (only_one, latest, latest_record) VALUES (true, 0, 0);

-- The highest position of the feed that was removed, for each organisation; the nil UUID for the server.
CREATE TABLE feed_removed (
    organisation uuid NOT NULL PRIMARY KEY,
    position     bigint NOT NULL
);

-- Readers of the feed, and their progress. The nil UUID for readers of all organisations. `holder` is the server that reads until
-- `held_until_ms`.
CREATE TABLE feed_consumer (
    organisation  uuid NOT NULL,
    name          text COLLATE "C" NOT NULL,
    position      bigint NOT NULL,
    since_id      bigint NOT NULL,
    gaps          bigint NOT NULL CHECK (gaps >= 0),
    holder        uuid,
    held_until_ms bigint NOT NULL,
    attempts      bigint NOT NULL DEFAULT 0,
    retry_ms      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (organisation, name)
);

-- Receivers of events over HTTP. The nil UUID for those of the operators. `filter` is a JSON object. Secrets are sealed with the master key.
CREATE TABLE subscription (
    organisation      uuid NOT NULL,
    id                uuid NOT NULL,
    name              text COLLATE "C" NOT NULL,
    url               text NOT NULL,
    filter            text NOT NULL,
    sealed_secret     bytea NOT NULL,
    previous_secret   bytea,
    previous_until_ms bigint CHECK ((previous_until_ms IS NULL) = (previous_secret IS NULL)),
    created_ms        bigint NOT NULL,
    disabled_ms       bigint,
    delivered_ms      bigint,
    failing_since_ms  bigint,
    last_error        text,
    PRIMARY KEY (organisation, id),
    UNIQUE (organisation, name)
);

-- Events that a receiver did not accept, in the form for receivers. Rows with `replay` are sent again.
CREATE TABLE dead_letter (
    organisation uuid NOT NULL,
    subscription uuid NOT NULL,
    event        text COLLATE "C" NOT NULL,
    body         text NOT NULL,
    reason       text NOT NULL,
    at_ms        bigint NOT NULL,
    replay       boolean NOT NULL,
    PRIMARY KEY (organisation, subscription, event),
    FOREIGN KEY (organisation, subscription) REFERENCES subscription (organisation, id)
);

CREATE INDEX dead_letter_old ON dead_letter (at_ms);
CREATE INDEX dead_letter_replay ON dead_letter (subscription) WHERE replay;
CREATE INDEX dead_letter_of_subscription ON dead_letter (organisation, subscription, at_ms, event);

-- Refused requests, sign-ins and granted access. Changes are events.
--
-- `organisation` is the nil UUID for an unknown actor. `entry` is a JSON object. `id` is formed as that of an event. `position` is the
-- record's place in exports. The export gives it to committed records: ids become visible in another order.
CREATE TABLE audit (
    organisation uuid NOT NULL,
    id           bigint NOT NULL,
    at_ms        bigint NOT NULL,
    entry        text NOT NULL,
    position     bigint,
    PRIMARY KEY (organisation, id)
);

-- A page of the records of all organisations, and the oldest ones.
CREATE INDEX audit_newest ON audit (id);

-- Records without a position, and those with one.
CREATE INDEX audit_unplaced ON audit (id, organisation) WHERE position IS NULL;
CREATE INDEX audit_placed ON audit (position) WHERE position IS NOT NULL;

-- How far the export to a sink is: the positions of the last event and of the last audit record.
CREATE TABLE audit_position (
    sink   text NOT NULL PRIMARY KEY,
    event  bigint NOT NULL,
    record bigint NOT NULL
);
