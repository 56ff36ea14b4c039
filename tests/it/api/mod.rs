//! The API, resource by resource, as the URLs are.

mod bad_input;
mod commit;
mod config;
mod health;
mod isolation;
mod limits;
mod metrics;
mod namespaces;
mod oauth;
mod roles;
mod tables;
mod views;
