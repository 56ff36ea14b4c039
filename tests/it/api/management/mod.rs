//! Tests of `/management/v1`, one file per resource.

mod access;
mod audit;
mod documented;
mod dropped;
mod events;
mod keys;
mod maintenance;
mod operators;
mod organisations;
mod parameters;
mod server;
mod table_files;
mod usage;
mod users;
mod warehouses;
