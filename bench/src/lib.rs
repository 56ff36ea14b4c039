//! A closed-loop load generator for any Iceberg REST catalog.
//!
//! [`run`] measures one catalog, or two in alternating rounds. [`floor`] measures the machine itself, so that a figure can
//! be read as a share of the machine's limit. `docs/benchmark.md` explains the usage and the output.

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
