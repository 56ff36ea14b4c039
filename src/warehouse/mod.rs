//! Warehouses: set up, opened to work in, listed for an organisation, and checked.

mod check;
mod list;
mod open;
mod set_up;
mod settings;

pub use check::CheckStep;
pub(crate) use list::{FindWarehouseError, Warehouses};
pub use open::{OpenWarehouse, PassPurpose, StorageAccess, WarehouseError, open_pass, seal_pass};
pub use set_up::{SettingsSealError, Trial, check_owner_can_write, test_storage};
pub use settings::{InvalidSettings, StorageSettings, check_options};
