//! Tidewater: an Apache Iceberg REST catalog.
//!
//! `ARCHITECTURE.md` tells the shape: who may use whom, and where a thing is handled.

pub mod clock;
pub mod config;
pub mod secret;
pub mod storage;
pub mod store;
