//! Access checks: an action on an object needs a [`Permit`], which exists only after the decision about that object.
//!
//! `core::access` decides. This module passes it the principal ([`Principal`]), the action ([`action`]) and the loaded object
//! ([`Table`] and others). The action is part of a permit's type. The catalog's methods take permits instead of callers and
//! ids, so a missing check does not compile.

pub mod action;
pub mod lists;
mod object;
mod permit;
mod principal;

pub use object::{
    Answered, DroppedObject, Found, InWarehouse, Namespace, NamespaceParent, Object, Organisation, Table, View,
    Warehouse,
};
pub use permit::{Authorizer, Permit};
pub use principal::Principal;
pub use tidewater_core::access::{Denial, Visibility};
