-- What was changed, by whom and when. A row is written in the transaction of its change.
--
-- `organisation` is NULL where the server itself is concerned. `object_name` has the levels of its namespace before it, joined
-- by dots; `new_name` is what a rename or a restore gave it. `details` is a JSON object. Ids ascend and are never used again.
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

-- A page of an organisation's, newest first.
CREATE INDEX event_of_organisation ON event (organisation, id);

-- A page about one object, newest first.
CREATE INDEX event_of_object ON event (organisation, object_name, id);
CREATE INDEX event_of_new_name ON event (organisation, new_name, id) WHERE new_name IS NOT NULL;
