//! Integration tests in one binary, which links once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod api;
mod architecture;
mod circles;
mod connections;
mod documentation;
mod floods;
mod project;
mod reload;
mod support;
