//! The kinds of load, and the objects that each needs on a catalog.

pub mod commits;
pub mod reads;
pub mod site;

use clap::ValueEnum;
use serde::Serialize;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// Read the catalog's configuration
    Config,
    /// Load a table, for each number of --snapshots
    Load,
    /// Load a table with If-None-Match, so that the answer is 304 without a body
    #[value(name = "load-304")]
    #[serde(rename = "load-304")]
    Load304,
    /// List a namespace of --list-tables tables in one page, and list the namespaces
    List,
    /// All connections set properties of the same table
    CommitOne,
    /// All connections set properties, each on its own share of --tables tables
    CommitMany,
    /// One connection sets properties of one table, for each number of --snapshots
    CommitSequential,
    /// One connection appends a snapshot (and removes the oldest), for each number of --snapshots
    CommitAppend,
}

impl Workload {
    /// All workloads, in the order of measurement.
    pub const ALL: [Self; 8] = [
        Self::Config,
        Self::Load,
        Self::Load304,
        Self::List,
        Self::CommitOne,
        Self::CommitMany,
        Self::CommitSequential,
        Self::CommitAppend,
    ];

    /// Returns its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Load => "load",
            Self::Load304 => "load-304",
            Self::List => "list",
            Self::CommitOne => "commit-one",
            Self::CommitMany => "commit-many",
            Self::CommitSequential => "commit-sequential",
            Self::CommitAppend => "commit-append",
        }
    }

    /// Returns whether it measures single commits, and so uses one connection whatever the command line says.
    #[must_use]
    pub fn is_sequential(self) -> bool {
        matches!(self, Self::CommitSequential | Self::CommitAppend)
    }

    /// Returns its variants, which are measured separately.
    #[must_use]
    pub fn variants(self, sizes: &Sizes) -> Vec<Variant> {
        match self {
            Self::Config | Self::CommitOne | Self::CommitMany => vec![Variant::Plain],
            Self::List => vec![Variant::Tables, Variant::Namespaces],
            Self::Load | Self::Load304 | Self::CommitSequential | Self::CommitAppend => {
                sizes.snapshots.iter().map(|&count| Variant::Snapshots(count)).collect()
            }
        }
    }
}

/// A part of a workload with its own figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The workload has no parts.
    Plain,
    /// Listing tables.
    Tables,
    /// Listing namespaces.
    Namespaces,
    /// A table with this many snapshots.
    Snapshots(u64),
}

/// The sizes of the objects on the catalog.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Numbers of snapshots of the tables.
    pub snapshots: Vec<u64>,
    /// The number of tables of `commit-many`.
    pub tables: usize,
    /// The number of tables of `list`.
    pub list_tables: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workload_has_the_same_name_on_the_command_line_and_in_reports() {
        for workload in Workload::ALL {
            assert_eq!(workload.to_possible_value().unwrap().get_name(), workload.name());
            assert_eq!(serde_json::to_value(workload).unwrap(), workload.name());
        }
        assert_eq!(Workload::ALL.len(), Workload::value_variants().len());
    }

    #[test]
    fn workloads_by_size_have_a_variant_for_each_number_of_snapshots() {
        let sizes = Sizes { snapshots: vec![1, 1000], tables: 10, list_tables: 10 };
        assert_eq!(Workload::Load.variants(&sizes), [Variant::Snapshots(1), Variant::Snapshots(1000)]);
        assert_eq!(Workload::CommitMany.variants(&sizes), [Variant::Plain]);
    }
}
