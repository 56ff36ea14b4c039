//! Tests of `/management/v1`, one file per resource.

mod documented;
mod dropped;
mod events;
mod keys;
mod operators;
mod organisations;
mod parameters;
mod server;
mod usage;
mod warehouses;
