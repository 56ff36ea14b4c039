//! Tests of the rules through the crate's public interface.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod access;
mod columns;
mod creation;
mod differential;
mod disagreements;
mod documents;
mod generated;
mod history;
mod old_documents;
mod oracle;
mod properties;
mod requirements;
mod scan;
mod sizes;
mod stopped;
mod strict;
mod support;
mod view_properties;
mod views;
