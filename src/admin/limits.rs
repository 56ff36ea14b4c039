//! The maximum numbers of objects, so that every list has a bound.

/// The most operators that are not revoked.
pub(super) const OPERATORS: usize = 1_000;

/// The most usable keys of an organisation.
pub(super) const KEYS: usize = 10_000;

/// The most warehouses of an organisation.
pub(super) const WAREHOUSES: usize = 1_000;

/// The longest grace time before an organisation is deleted, in seconds: ten years.
pub(super) const GRACE_S: u64 = 315_360_000;

/// The longest time for which a rotated key still works, in seconds: a year.
pub(super) const OVERLAP_S: u64 = 31_536_000;

/// The latest expiry of a key, in milliseconds since 1970: the end of the year 9999.
pub(super) const LATEST_MS: i64 = 253_402_300_799_999;
