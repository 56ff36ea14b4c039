//! The rules of an Iceberg catalog: values in, values out.
//!
//! Nothing here knows HTTP, SQL, an object store, the time or a source of randomness. Rules take them as arguments.
//! `tests/it/architecture.rs` checks this.

pub mod access;
pub mod burst;
pub mod client_address;
pub mod commit;
pub mod document;
pub mod guesses;
mod hex;
pub mod ids;
pub mod labels;
pub mod limits;
pub mod location;
pub mod metrics;
pub mod name;
pub mod name_search;
pub mod old_documents;
pub mod pace;
pub mod properties;
pub mod purge;
pub mod request_limits;
pub mod reserved_locations;
pub mod restrictions;
pub mod scan;
pub mod stop;
pub mod storage;
pub mod upkeep;
pub mod view;
