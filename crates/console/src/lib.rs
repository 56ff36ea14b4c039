//! The pages of the web console: view models in, HTML out.
//!
//! The crate knows neither HTTP nor storage nor SQL. It parses the answers of the API, and renders them with templates that
//! escape by default. All English texts are in [`texts`]. No page has an inline script or style.

pub mod assets;
pub mod browse;
pub mod changes;
pub mod columns;
pub mod committers;
pub mod doctor;
pub mod duration;
pub mod events;
pub mod files;
pub mod format;
pub mod frame;
pub mod history;
pub mod key_page;
pub mod keys;
pub mod link;
pub mod notice;
pub mod operators;
pub mod people;
pub mod records;
pub mod rows;
pub mod sign_in;
pub mod snapshots;
pub mod snippets;
pub mod table;
pub mod table_snippets;
pub mod texts;
pub mod upkeep;
pub mod usage;
pub mod view;
pub mod warehouses;
pub mod when;

pub use frame::{Call, Crumb, Frame, Place, Who};

#[cfg(test)]
mod tests;
