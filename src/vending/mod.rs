//! What a client is given to reach a table's files with: settings and short-lived credentials, for exactly the table's
//! own locations.

mod valid_location;

pub use valid_location::{LocationRefused, ValidLocations};

/// What a credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read files.
    Read,
    /// Read, write and remove files.
    ReadWrite,
}

/// Settings for a client's file access. What stands in them may be secret: they go into an answer, and nowhere else.
#[derive(Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Vended {
    /// `config` of a load or create (REST specification, `LoadTableResult`).
    pub config: std::collections::BTreeMap<String, String>,
}

/// Why nothing could be vended.
#[derive(Debug, thiserror::Error)]
pub enum VendingError {
    /// No source of credentials is configured for this kind of location.
    #[error("no credentials are configured for locations of the kind '{0}://'")]
    NotConfigured(String),
}

/// What to give a client that is to access these locations.
///
/// The local disk needs no credentials and knows none: an engine on the same machine reads the files as the user that it
/// runs as, so nothing is given, and nothing is said that an engine could misunderstand.
///
/// # Errors
/// `NotConfigured` for locations that are not on the local disk.
pub fn vend(locations: &ValidLocations, _access: Access) -> Result<Vended, VendingError> {
    match locations.as_slice().iter().find(|location| location.scheme() != "file") {
        None => Ok(Vended::default()),
        Some(elsewhere) => Err(VendingError::NotConfigured(elsewhere.scheme().to_owned())),
    }
}
