//! Read restrictions: which rows of a table a principal role may read, and how columns are masked (REST specification,
//! `ReadRestrictions`).
//!
//! A [`Restriction`] belongs to a principal role and a table. Its filter and its masks name columns by field id, so renamed columns stay
//! restricted. All restrictions of a caller's roles are [`Combined`]: they only take away. A trusted engine gets them as JSON
//! ([`reading`]) and applies them itself. For other callers the catalog plans scans within them ([`planning`]), or refuses
//! ([`access::decide`](crate::access::decide)).

mod combined;
mod filter;
mod mask;
pub mod planning;
pub mod reading;
mod restriction;
#[cfg(test)]
mod testing;

pub use combined::Combined;
pub use mask::{Mask, Misfit};
pub use restriction::{ColumnReference, MAX_BYTES, MAX_MASKS, Others, Restriction, RestrictionError};
