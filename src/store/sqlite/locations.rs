//! Where tables' and views' files are: which locations are taken.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::location::Location;
use tidewater_core::overlap::{KeyIndex, LocationKey, Locations, overlapping};

use super::SqliteStore;
use super::convert::id;
use super::dropped::replaceable;
use crate::store::{LocationStore, Place, Result, StoreError, TableKind};

/// The last location of another that is not after one.
pub(super) const LAST_UP_TO: &str = "SELECT location, tabular FROM location
    WHERE organisation = ?1 AND warehouse = ?2 AND location <= ?3 AND tabular NOT IN (?4, ?5) ORDER BY location DESC LIMIT 1";
/// The first location of another between two.
pub(super) const FIRST_BETWEEN: &str = "SELECT tabular FROM location
    WHERE organisation = ?1 AND warehouse = ?2 AND location > ?3 AND location < ?6 AND tabular NOT IN (?4, ?5)
    ORDER BY location LIMIT 1";

/// How a table's other locations stand in their column: no location has a line break.
pub(super) fn others_text(others: &[Location]) -> String {
    others.iter().map(Location::as_str).collect::<Vec<_>>().join("\n")
}

/// What a table or view reserves, from the columns of its own location and the others.
pub(super) fn reserved(kind: TableKind, own: &str, others: &str) -> Result<Vec<Location>> {
    let parse = |text: &str| {
        Location::parse(text).map_err(|error| StoreError::Corrupt(format!("a location of a table: {error}")))
    };
    let own = parse(own)?;
    let others = others.lines().map(parse).collect::<Result<Vec<_>>>()?;
    let locations = match kind {
        TableKind::Table => Locations::new(own, others),
        TableKind::View => Locations::of_view(own, others.into_iter().next()),
    };
    Ok(locations.reserved().to_vec())
}

/// Writes down where a new table's files are.
pub(super) fn hold(connection: &Connection, place: Place, id: TableId, locations: &[Location]) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO location (organisation, warehouse, location, tabular) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO NOTHING",
    )?;
    for location in locations {
        statement.execute(params![
            place.organisation.0.as_bytes(),
            place.warehouse.0.as_bytes(),
            LocationKey::of(location).as_bytes(),
            id.0.as_bytes(),
        ])?;
    }
    Ok(())
}

/// The same for a table whose files were elsewhere.
pub(super) fn hold_instead(connection: &Connection, place: Place, id: TableId, locations: &[Location]) -> Result<()> {
    location_forget(connection, place.organisation, id)?;
    hold(connection, place, id, locations)
}

/// Frees the locations of a table that is gone for good, or is elsewhere now.
pub(super) fn location_forget(connection: &Connection, organisation: OrganisationId, id: TableId) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM location WHERE organisation = ?1 AND tabular = ?2")?
        .execute(params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    Ok(())
}

/// Whether no other table or view of the warehouse, live or dropped, has a location at, inside or around one of these, as
/// far as they are `claimed`: those that the table did not reach before.
pub(super) fn check_free<'a>(
    connection: &Connection,
    place: Place,
    id: TableId,
    claimed: impl IntoIterator<Item = &'a Location>,
) -> Result<()> {
    check_free_but_for(connection, place, [id, id], claimed)
}

/// The same where two may be in the way: the table itself, and one whose place it takes.
fn check_free_but_for<'a>(
    connection: &Connection,
    place: Place,
    but_for: [TableId; 2],
    claimed: impl IntoIterator<Item = &'a Location>,
) -> Result<()> {
    let mut others = Others { connection, place, but_for };
    for location in claimed {
        if let Some(other) = overlapping(&LocationKey::of(location), &mut others)? {
            let location = location.to_string();
            return Err(match is_dropped(connection, place.organisation, other)? {
                true => StoreError::LocationHeld(location),
                false => StoreError::LocationTaken(location),
            });
        }
    }
    Ok(())
}

/// The locations of a warehouse's tables and views but two, which may be one.
struct Others<'a> {
    connection: &'a Connection,
    place: Place,
    but_for: [TableId; 2],
}

impl KeyIndex for Others<'_> {
    type Entry = TableId;
    type Error = StoreError;

    fn last_up_to(&mut self, key: &[u8]) -> Result<Option<(Vec<u8>, TableId)>> {
        let (Place { organisation, warehouse }, [one, other]) = (self.place, self.but_for);
        let found = self
            .connection
            .prepare_cached(LAST_UP_TO)?
            .query_row(
                params![organisation.0.as_bytes(), warehouse.0.as_bytes(), key, one.0.as_bytes(), other.0.as_bytes()],
                |row| Ok((row.get(0)?, id(TableId, row.get(1)?))),
            )
            .optional()?;
        Ok(found)
    }

    fn first_between(&mut self, from: &[u8], to: &[u8]) -> Result<Option<TableId>> {
        let (Place { organisation, warehouse }, [one, other]) = (self.place, self.but_for);
        let found = self
            .connection
            .prepare_cached(FIRST_BETWEEN)?
            .query_row(
                params![
                    organisation.0.as_bytes(),
                    warehouse.0.as_bytes(),
                    from,
                    one.0.as_bytes(),
                    other.0.as_bytes(),
                    to
                ],
                |row| Ok(id(TableId, row.get(0)?)),
            )
            .optional()?;
        Ok(found)
    }
}

fn is_dropped(connection: &Connection, organisation: OrganisationId, id: TableId) -> Result<bool> {
    let dropped = connection
        .prepare_cached("SELECT 1 FROM dropped WHERE organisation = ?1 AND id = ?2")?
        .exists(params![organisation.0.as_bytes(), id.0.as_bytes()])?;
    Ok(dropped)
}

/// An error of the check, without any change. What would give way to the table is in nobody's way.
pub(super) fn location_check(connection: &Connection, place: Place, id: TableId, locations: &Locations) -> Result<()> {
    let gives_way = replaceable(connection, place, locations.own(), i64::MIN)?.into_iter().next();
    check_free_but_for(connection, place, [id, gives_way.unwrap_or(id)], locations.reserved())
}

pub(super) fn location_alone(
    connection: &Connection,
    place: Place,
    id: TableId,
    locations: &[Location],
) -> Result<Vec<Location>> {
    let mut others = Others { connection, place, but_for: [id, id] };
    let mut alone = Vec::with_capacity(locations.len());
    for location in locations {
        if overlapping(&LocationKey::of(location), &mut others)?.is_none() {
            alone.push(location.clone());
        }
    }
    Ok(alone)
}

#[async_trait]
impl LocationStore for SqliteStore {
    async fn location_check(&self, place: Place, id: TableId, locations: &Locations) -> Result<()> {
        self.read(|connection| location_check(connection, place, id, locations))
    }

    async fn location_alone(&self, place: Place, id: TableId, locations: &[Location]) -> Result<Vec<Location>> {
        self.read(|connection| location_alone(connection, place, id, locations))
    }
}
