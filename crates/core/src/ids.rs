//! Opaque identifiers. Each kind of object has its own type, so that the compiler finds a mix-up.

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
    /// An API key. The id is public; the key's text is secret.
    KeyId
);
id!(
    /// A principal. A rotated key keeps its principal.
    PrincipalId
);
id!(
    /// A principal role: a group of principals, with catalog roles.
    PrincipalRoleId
);
id!(
    /// A catalog role of a warehouse: a set of grants.
    CatalogRoleId
);
id!(
    /// A warehouse: one storage root with its namespaces.
    WarehouseId
);
id!(
    /// The catalog's own id of a table or view. A rename keeps it. It is not the `table-uuid` of the metadata document, which
    /// a client may choose.
    TableId
);
