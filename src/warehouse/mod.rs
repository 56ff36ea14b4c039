//! Warehouses: opened to work in, listed for an organisation, and checked.

mod check;
mod list;
mod open;

pub use check::{CheckStep, warehouse_check};
pub(crate) use list::{FindWarehouseError, Warehouses};
pub use open::{OpenWarehouse, StorageAccess, WarehouseError, open_pass, seal_credentials, seal_pass};
