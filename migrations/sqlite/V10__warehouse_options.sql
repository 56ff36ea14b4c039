-- When the files of a table go that is dropped with a purge, and whether clients are given the right to remove files.
ALTER TABLE warehouse ADD COLUMN purge TEXT NOT NULL DEFAULT 'after-retention' CHECK (purge IN ('after-retention', 'at-once'));
ALTER TABLE warehouse ADD COLUMN no_delete INTEGER NOT NULL DEFAULT 0 CHECK (no_delete IN (0, 1));
ALTER TABLE api_key ADD COLUMN no_delete INTEGER NOT NULL DEFAULT 0 CHECK (no_delete IN (0, 1));
