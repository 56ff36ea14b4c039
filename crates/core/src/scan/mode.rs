//! Who plans the scans of a table's clients.

use std::str::FromStr;

/// The setting that tells clients who plans scans, and the property of a table for it (reference implementation,
/// `RESTCatalogProperties`).
pub const PLANNING_MODE: &str = "scan-planning-mode";

/// Who plans scans, as a warehouse or a table sets it for clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PlanningMode {
    /// Nothing is sent: the client's own setting counts.
    #[default]
    Unset,
    /// The client.
    Client,
    /// The catalog.
    Server,
}

/// All modes.
const MODES: [PlanningMode; 3] = [PlanningMode::Unset, PlanningMode::Client, PlanningMode::Server];

/// The text names no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a mode of scan planning: use client, server or unset")]
pub struct UnknownPlanningMode(String);

impl PlanningMode {
    /// Returns its name, as stores and the command line write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "unset",
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// Returns the value that clients get. `None` if they get none.
    #[must_use]
    pub const fn sent(self) -> Option<&'static str> {
        match self {
            Self::Unset => None,
            Self::Client | Self::Server => Some(self.as_str()),
        }
    }

    /// Returns the mode of a table with this value of its property. Without the property, or with an unknown value, it is the mode of
    /// the warehouse.
    #[must_use]
    pub fn or_of_table(self, property: Option<&str>) -> Self {
        let set = property.and_then(|set| MODES.into_iter().find(|mode| set.eq_ignore_ascii_case(mode.as_str())));
        set.unwrap_or(self)
    }
}

impl FromStr for PlanningMode {
    type Err = UnknownPlanningMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = MODES.into_iter().find(|mode| mode.as_str() == text);
        known.ok_or_else(|| UnknownPlanningMode(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_overrides_its_warehouse_with_a_known_mode() {
        use PlanningMode::{Client, Server, Unset};
        for (warehouse, property, expected) in [
            (Unset, None, Unset),
            (Server, None, Server),
            (Server, Some("CLIENT"), Client),
            (Client, Some("server"), Server),
            (Server, Some("unset"), Unset),
            (Server, Some("both"), Server),
        ] {
            assert_eq!(warehouse.or_of_table(property), expected, "{warehouse:?} {property:?}");
        }
        assert_eq!((Unset.sent(), Client.sent(), Server.sent()), (None, Some("client"), Some("server")));
    }

    #[test]
    fn mode_is_read_by_its_name() {
        for mode in MODES {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert!("Server".parse::<PlanningMode>().unwrap_err().to_string().contains("client, server or unset"));
    }
}
