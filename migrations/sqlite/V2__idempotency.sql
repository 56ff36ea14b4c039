-- What was answered to requests that came with an idempotency key, for as long as their senders may repeat them. A row is
-- written in the transaction of the change that it tells of, so that both are there or neither.
--
-- `request` is a digest of the request: the same key must not come with another. `kind` says how the answer is kept:
-- 'done' needs no more, 'document' is where a table's or view's document is, 'properties' is JSON of what became of them,
-- 'said' is the status and the body of an answer that changed nothing.
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

-- What has expired, of all organisations.
CREATE INDEX receipt_expired ON receipt (expires_ms);
