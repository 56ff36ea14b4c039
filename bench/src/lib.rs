//! A closed-loop load generator for any Iceberg REST catalog.
//!
//! [`run`] measures one catalog, or two in turns; [`floor`] measures what the machine itself can do, so that a figure can be
//! read as a share of it. `docs/benchmark.md` explains how to use it and how to read what it prints.

pub mod attack;
pub mod beside;
pub mod bodies;
pub mod catalog;
pub mod cli;
pub mod client;
pub mod clock;
pub mod driver;
pub mod floor;
pub mod machine;
pub mod report;
pub mod run;
pub mod stop;
pub mod tally;
pub mod targets;
pub mod workload;
