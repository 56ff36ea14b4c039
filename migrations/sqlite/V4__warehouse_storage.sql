-- How a warehouse's storage is reached: `profile` is the JSON of its settings, `sealed_credentials` what the catalog signs in
-- with, sealed with a master key that is not in this database. Warehouses from before this are on the local disk.
ALTER TABLE warehouse ADD COLUMN profile TEXT NOT NULL DEFAULT '{"type":"file"}';
ALTER TABLE warehouse ADD COLUMN sealed_credentials BLOB;
