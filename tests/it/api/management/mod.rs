//! `/management/v1`, as the URLs are.

mod dropped;
mod events;
mod keys;
mod operators;
mod organisations;
mod server;
