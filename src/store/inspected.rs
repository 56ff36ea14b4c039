//! What a database contains, read without changing it.

use super::{Organisation, Warehouse};

/// The state of a catalog's database, as another process finds it.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The version of its schema.
    pub schema_version: i64,
    /// The version of the schema that this program uses.
    pub known_version: i64,
    /// How many migrations the next start of a server makes.
    pub pending_migrations: usize,
    /// The content. `None` if migrations are pending.
    pub catalog: Option<InspectedCatalog>,
}

/// What a server needs to start on a catalog.
#[derive(Debug, Clone)]
pub struct InspectedCatalog {
    /// The organisations, each with its warehouses.
    pub organisations: Vec<(Organisation, Vec<Warehouse>)>,
    /// The fingerprint of the master key, if the catalog knows one.
    pub master_key: Option<[u8; 16]>,
    /// How many keys sign tokens.
    pub signing_keys: usize,
}
