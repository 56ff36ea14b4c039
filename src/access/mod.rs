//! The one door: an action on an object needs a [`Permit`], and a permit exists only after the decision about that object.
//!
//! `core::access` decides. This module tells it who asks ([`Principal`]), for which action ([`action`]), and about which object,
//! as it was loaded ([`Table`] and others). What a permit allows is part of its type, so that the catalog's methods
//! take permits instead of callers and ids, and a missing check does not compile.

pub mod action;
mod lists;
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
