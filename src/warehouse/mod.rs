//! Opens warehouses, lists those of an organisation, and checks their storage.

mod check;
mod list;
mod open;

pub use check::{CheckStep, warehouse_check};
pub(crate) use list::{FindWarehouseError, Warehouses};
pub use open::{OpenWarehouse, StorageAccess, WarehouseError, open_pass, seal_credentials, seal_pass};
