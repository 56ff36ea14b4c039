//! Opaque identifiers, one type for each kind of thing, so that none can stand where another is meant.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// An organisation: the tenant that owns everything below it.
    OrganisationId
);
id!(
    /// An API key, which is public; the key's secret text is not.
    KeyId
);
id!(
    /// A principal: somebody who asks, whatever key shows it. A key that is rotated is the same principal's.
    PrincipalId
);
id!(
    /// A principal role, which has catalog roles.
    PrincipalRoleId
);
id!(
    /// A catalog role of a warehouse, which has grants.
    CatalogRoleId
);
id!(
    /// A warehouse: one storage root with its namespaces.
    WarehouseId
);
id!(
    /// The catalog's own id of a table or view. It stays when the table is renamed; it is not the `table-uuid` of the
    /// metadata document, which a client may choose.
    TableId
);
