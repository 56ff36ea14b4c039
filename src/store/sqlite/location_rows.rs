//! Rows of the locations that tables and views reserve, and the check that a location is free.

use rusqlite::{Connection, OptionalExtension, params};
use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::location::Location;
use tidewater_core::reserved_locations::{LocationKey, Locations, OverlappingKeys};

use super::convert::id;
use crate::store::{Result, StoreError, TableKind, WarehouseRef};

/// Finds a table or view with a location at, inside or around another. Ignores two tables. `?3` is a JSON array of keys in
/// hexadecimal digits, since JSON has no bytes.
pub(super) const OVERLAPPING: &str = "SELECT tabular FROM json_each(?3) AS holder CROSS JOIN location
    WHERE organisation = ?1 AND warehouse = ?2 AND location = unhex(holder.value) AND tabular NOT IN (?6, ?7)
    UNION ALL SELECT tabular FROM location
    WHERE organisation = ?1 AND warehouse = ?2 AND location > ?4 AND location < ?5 AND tabular NOT IN (?6, ?7)
    LIMIT 1";

/// Formats a table's other locations for their column, one per line. No location has a line break.
pub(super) fn others_text(others: &[Location]) -> String {
    others.iter().map(Location::as_str).collect::<Vec<_>>().join("\n")
}

/// Returns the locations that a table or view reserves, from the columns of its own location and the others.
pub(super) fn reserved(kind: TableKind, own: &str, others: &str) -> Result<Vec<Location>> {
    let parse = |text: &str| {
        Location::parse(text).map_err(|error| StoreError::Corrupt(format!("a location of a table: {error}")))
    };
    let own = parse(own)?;
    let others = others.lines().map(parse).collect::<Result<Vec<_>>>()?;
    let locations = match kind {
        TableKind::Table => Locations::new(own, others),
        TableKind::View => Locations::for_view(own, others.into_iter().next()),
    };
    Ok(locations.reserved().to_vec())
}

/// Reserves a new table's locations.
pub(super) fn reserve_locations(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    id: TableId,
    locations: &[Location],
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO location (organisation, warehouse, location, tabular) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
    )?;
    for location in locations {
        statement.execute(params![
            warehouse_ref.organisation.0.as_bytes(),
            warehouse_ref.warehouse.0.as_bytes(),
            LocationKey::from_location(location).as_bytes(),
            id.0.as_bytes(),
        ])?;
    }
    Ok(())
}

/// Reserves a table's locations in place of its former ones.
pub(super) fn replace_locations(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    id: TableId,
    locations: &[Location],
) -> Result<()> {
    location_forget(connection, warehouse_ref.organisation, id)?;
    reserve_locations(connection, warehouse_ref, id, locations)
}

/// Frees a table's locations.
pub(super) fn location_forget(connection: &Connection, organisation: OrganisationId, id: TableId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM location WHERE organisation = ?1 AND tabular = ?2")?
        .execute(params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    Ok(())
}

/// Fails if a `claimed` location overlaps one of another table or view of the warehouse, live or dropped. Claimed are the
/// locations that the table did not have before.
pub(super) fn check_free<'a>(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    id: TableId,
    claimed: impl IntoIterator<Item = &'a Location>,
) -> Result<()> {
    check_free_but_for(connection, warehouse_ref, [id, id], claimed)
}

/// Checks the same as [`check_free`], but ignores two tables: the table itself, and the dropped table that it replaces.
pub(super) fn check_free_but_for<'a>(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    but_for: [TableId; 2],
    claimed: impl IntoIterator<Item = &'a Location>,
) -> Result<()> {
    for location in claimed {
        if let Some(other) = find_overlapping(connection, warehouse_ref, but_for, location)? {
            let location = location.to_string();
            return Err(match is_dropped(connection, warehouse_ref.organisation, other)? {
                true => StoreError::LocationHeld(location),
                false => StoreError::LocationTaken(location),
            });
        }
    }
    Ok(())
}

/// Finds a table or view with a location that overlaps `location`. Ignores the tables `but_for`, which may be the same.
pub(super) fn find_overlapping(
    connection: &Connection,
    warehouse_ref: WarehouseRef,
    but_for: [TableId; 2],
    location: &Location,
) -> Result<Option<TableId>> {
    let OverlappingKeys { around, below: (from, to) } = LocationKey::from_location(location).overlapping();
    let [one, other] = but_for;
    let found = connection
        .prepare_cached(OVERLAPPING)?
        .query_row(
            params![
                warehouse_ref.organisation.0.as_bytes(),
                warehouse_ref.warehouse.0.as_bytes(),
                hex_array(&around),
                from,
                to,
                one.0.as_bytes(),
                other.0.as_bytes(),
            ],
            |row| Ok(id(TableId, row.get(0)?)),
        )
        .optional()?;
    Ok(found)
}

/// Writes byte strings as a JSON array of hexadecimal digits.
fn hex_array(keys: &[Vec<u8>]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)]));
    let quoted = keys.iter().map(|key| format!("\"{}\"", key.iter().flat_map(digits).collect::<String>()));
    format!("[{}]", quoted.collect::<Vec<_>>().join(","))
}

fn is_dropped(connection: &Connection, organisation: OrganisationId, id: TableId) -> Result<bool> {
    let dropped = connection
        .prepare_cached("SELECT 1 FROM dropped WHERE organisation = ?1 AND id = ?2")?
        .exists(params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    Ok(dropped)
}
