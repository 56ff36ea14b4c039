//! `/management/v1`: administration, which is not a part of the Iceberg API. One file for each resource.

pub(super) mod access;
pub(super) mod access_manager;
pub(super) mod administrator;
pub(super) mod audit;
pub(super) mod backup;
pub(super) mod catalog_roles;
pub(super) mod dropped;
pub(super) mod events;
pub(super) mod fields;
mod files;
pub(super) mod keys;
pub(super) mod maintenance;
pub(super) mod operators;
pub(super) mod organisations;
pub(super) mod paging;
pub(super) mod parameters;
pub(super) mod principal_roles;
pub(super) mod restrictions;
pub(super) mod scoped;
pub(super) mod server;
pub(super) mod sign_in;
pub(super) mod signing_keys;
pub(super) mod subscriptions;
pub(super) mod tables;
pub(super) mod usage;
pub(super) mod users;
pub(super) mod warehouses;
