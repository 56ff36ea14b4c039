//! The web console: pages below `/console`.
//!
//! A page is a browser's client of the API: it makes requests to [`crate::api::ApiService`] with the visitor's token, and renders the answers. So
//! authentication, permissions, limits, audit records and the texts of errors are those of the API. docs/decisions/0085 says why.

mod access;
mod actions;
mod browse;
mod door;
mod events;
mod files;
mod key;
mod manage;
mod operate;
mod page;
mod pages;
mod pending;
mod provider;
mod query;
mod records;
mod rollback;
mod rows;
mod session;
mod sign_in;
mod site;
mod table;
mod upkeep;
mod warehouses;

pub use site::Site;
