//! Tests of the crate through its public interface.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod columns;
mod differential;
mod limits;
mod mutations;
mod support;
