-- Every location that a table or view has, live or dropped: its own, and those that its properties name. What is vended for
-- one reaches all below its locations, so that no location of another may be at, inside or around any of them.
--
-- `location` is the bytes that locations are compared by (percent-encoding undone), so that what is inside one is one
-- range, and what is around it is found from its neighbour. Rows are written with the row in `tabular`, stay when that moves to
-- `dropped`, and go when it is gone for good.
CREATE TABLE location (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    location     BLOB NOT NULL,
    tabular      BLOB NOT NULL CHECK (length(tabular) = 16),
    PRIMARY KEY (organisation, warehouse, location, tabular),
    FOREIGN KEY (organisation, warehouse) REFERENCES warehouse (organisation, id)
) STRICT, WITHOUT ROWID;

-- All of one table's.
CREATE INDEX location_of_tabular ON location (organisation, tabular);

-- The locations that properties name, one a line: a commit that changes none of them is told by one comparison.
ALTER TABLE tabular ADD COLUMN others TEXT NOT NULL DEFAULT '';
ALTER TABLE dropped ADD COLUMN others TEXT NOT NULL DEFAULT '';

-- Tables and views from before this, whose documents have not been read for such locations yet. While a warehouse has one, no
-- table of it is given a location. `unreadable` is 1 where the document could not be read: nothing is vended for it, so it is
-- in nobody's way, but its files may be where others' are.
CREATE TABLE location_unread (
    organisation BLOB NOT NULL,
    warehouse    BLOB NOT NULL,
    tabular      BLOB NOT NULL CHECK (length(tabular) = 16),
    unreadable   INTEGER NOT NULL DEFAULT 0 CHECK (unreadable IN (0, 1)),
    PRIMARY KEY (organisation, tabular)
) STRICT, WITHOUT ROWID;

CREATE INDEX location_unread_of_warehouse ON location_unread (organisation, warehouse, unreadable, tabular);

INSERT INTO location (organisation, warehouse, location, tabular)
    SELECT organisation, warehouse, CAST(location AS BLOB), id FROM tabular
    UNION SELECT organisation, warehouse, CAST(location AS BLOB), id FROM dropped;

INSERT INTO location_unread (organisation, warehouse, tabular)
    SELECT organisation, warehouse, id FROM tabular
    UNION SELECT organisation, warehouse, id FROM dropped;

-- The new table answers what they did.
DROP INDEX tabular_location;
DROP INDEX dropped_location;
