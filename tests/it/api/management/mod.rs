//! `/management/v1`, as the URLs are.

mod access;
mod documented;
mod dropped;
mod events;
mod keys;
mod operators;
mod organisations;
mod server;
mod usage;
mod warehouses;
