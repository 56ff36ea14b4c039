//! `/api/management/v1`: the management API of Apache Polaris, for its tools. One file for each resource.
//!
//! A catalog is a warehouse, a realm an organisation, and a principal the user of an API key. The handlers call the same use
//! cases as `/management/v1`.

pub(super) mod catalog_roles;
pub(super) mod catalogs;
pub(super) mod details;
pub(super) mod empty_lists;
pub(super) mod grants;
pub(super) mod list;
pub(super) mod objects;
pub(super) mod principal_roles;
pub(super) mod principals;
pub(super) mod realm;
pub(super) mod storage;
