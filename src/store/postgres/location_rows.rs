//! Rows of the locations that tables and views reserve, and the check that a location is free.
//!
//! Every change of these rows, and every check that decides about a change, holds the organisation's lock (docs/decisions/0062).

use tidewater_core::ids::{OrganisationId, TableId};
use tidewater_core::location::Location;
use tidewater_core::reserved_locations::{LocationKey, Locations};
use uuid::Uuid;

use super::connection::Transaction;
use super::convert::{Failure, get};
use super::params::params;
use crate::store::{Result, StoreError, TableKind, WarehouseRef};

type Outcome<T> = std::result::Result<T, Failure>;

/// Finds the claimed locations that overlap a location of another table or view, and tells whether that one is dropped.
///
/// `$3` are the keys at or around the claimed locations, and `$4` for each of them the number of its claimed location. `$5` and `$6`
/// are the bounds of the keys below each claimed location. Ignores the tables `$7`.
pub(super) const OVERLAPPING: &str = "WITH overlapping AS (
        SELECT around.number, holder.tabular
        FROM unnest($3::bytea[], $4::bigint[]) AS around (key, number)
        CROSS JOIN LATERAL
            (SELECT tabular FROM location WHERE organisation = $1 AND warehouse = $2
                    AND substring(location FROM 1 FOR 1024) = substring(around.key FROM 1 FOR 1024) AND location = around.key
                    AND tabular <> ALL ($7::uuid[]) LIMIT 1) AS holder
        UNION ALL
        SELECT below.number, inner_one.tabular
        FROM unnest($5::bytea[], $6::bytea[]) WITH ORDINALITY AS below (first, last, number)
        CROSS JOIN LATERAL
            (SELECT tabular FROM location WHERE organisation = $1 AND warehouse = $2
                    AND substring(location FROM 1 FOR 1024) >= substring(below.first FROM 1 FOR 1024)
                    AND substring(location FROM 1 FOR 1024) <= substring(below.last FROM 1 FOR 1024)
                    AND location > below.first AND location < below.last
                    AND tabular <> ALL ($7::uuid[]) LIMIT 1) AS inner_one)
    SELECT number, EXISTS (SELECT 1 FROM dropped WHERE organisation = $1 AND id = overlapping.tabular)
    FROM overlapping ORDER BY number";

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

/// Reserves locations of a table.
pub(super) async fn reserve_locations(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    id: TableId,
    locations: &[Location],
) -> Outcome<()> {
    transaction
        .query(
            "INSERT INTO location (organisation, warehouse, location, tabular)
             SELECT $1, $2, reserved.key, $3 FROM unnest($4::bytea[]) AS reserved (key)
             ON CONFLICT DO NOTHING",
            params![warehouse_ref.organisation.0, warehouse_ref.warehouse.0, id.0, keys(locations)],
        )
        .await?;
    Ok(())
}

/// Reserves a table's locations in place of its former ones.
pub(super) async fn replace_locations(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    id: TableId,
    locations: &[Location],
) -> Outcome<()> {
    location_forget(transaction, warehouse_ref.organisation, &[id.0]).await?;
    reserve_locations(transaction, warehouse_ref, id, locations).await
}

/// Frees all locations of these tables.
pub(super) async fn location_forget(
    transaction: &Transaction,
    organisation: OrganisationId,
    ids: &[Uuid],
) -> Outcome<()> {
    transaction
        .query("DELETE FROM location WHERE organisation = $1 AND tabular = ANY ($2)", params![organisation.0, ids])
        .await?;
    Ok(())
}

/// Returns the keys of locations.
pub(super) fn keys(locations: &[Location]) -> Vec<Vec<u8>> {
    locations.iter().map(|location| LocationKey::from_location(location).as_bytes().to_vec()).collect()
}

/// Fails if a `claimed` location overlaps one of another table or view of the warehouse, live or dropped. Claimed are the
/// locations that the table did not have before.
pub(super) async fn check_free(
    transaction: &Transaction,
    warehouse_ref: WarehouseRef,
    id: TableId,
    claimed: &[&Location],
) -> Outcome<()> {
    if claimed.is_empty() {
        return Ok(());
    }
    let Claim { around, numbers, first, last } = Claim::new(claimed);
    let ids = (warehouse_ref.organisation.0, warehouse_ref.warehouse.0);
    let row =
        transaction.query_first(OVERLAPPING, params![ids.0, ids.1, around, numbers, first, last, vec![id.0]]).await?;
    row.map_or(Ok(()), |row| Err(overlap(claimed, get(&row, 0)?, get(&row, 1)?).into()))
}

/// Returns the error about the claimed location with a number of [`OVERLAPPING`].
pub(super) fn overlap(claimed: &[&Location], number: i64, is_dropped: bool) -> StoreError {
    let position = usize::try_from(number - 1).unwrap_or(0);
    let location = claimed.get(position).map(ToString::to_string).unwrap_or_default();
    if is_dropped { StoreError::LocationHeld(location) } else { StoreError::LocationTaken(location) }
}

/// Parameters of [`OVERLAPPING`] for claimed locations.
pub(super) struct Claim {
    pub(super) around: Vec<Vec<u8>>,
    pub(super) numbers: Vec<i64>,
    pub(super) first: Vec<Vec<u8>>,
    pub(super) last: Vec<Vec<u8>>,
}

impl Claim {
    pub(super) fn new(claimed: &[&Location]) -> Self {
        let mut claim = Self { around: Vec::new(), numbers: Vec::new(), first: Vec::new(), last: Vec::new() };
        for (number, location) in (1..).zip(claimed) {
            let keys = LocationKey::from_location(location).overlapping();
            claim.numbers.extend(keys.around.iter().map(|_| number));
            claim.around.extend(keys.around);
            claim.first.push(keys.below.0);
            claim.last.push(keys.below.1);
        }
        claim
    }
}

/// Returns the texts of locations.
pub(super) fn texts(locations: &[Location]) -> Vec<&str> {
    locations.iter().map(Location::as_str).collect()
}
