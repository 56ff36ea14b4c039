//! The health of each organisation's tables, as maintenance found it.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tidewater_core::upkeep::{HealthCounts, HealthSummary};

use super::requests::OrganisationLabels;

type Gauges = Family<OrganisationLabels, Gauge>;

/// The names of the figures in [`HealthCounts`], and what they count.
const FIGURES: [(&str, &str); HealthCounts::NAMES.len()] = [
    ("data_files", "Data files"),
    ("small_files", "Data files smaller than 75 % of their target"),
    ("delete_files", "Files with deletes, and deletion vectors,"),
    ("snapshots", "Snapshots"),
    ("manifests", "Manifests"),
    ("metadata_bytes", "Bytes of the metadata documents"),
];

/// The health of tables by organisation. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct HealthMetrics {
    tables: Gauges,
    total: [Gauges; FIGURES.len()],
    worst: [Gauges; FIGURES.len()],
}

impl HealthMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Tables of an organisation whose health is known, from the last run of maintenance on each";
        registry.register("tidewater_organisation_measured_tables", help, self.tables.clone());
        for (((name, what), total), worst) in FIGURES.iter().zip(&self.total).zip(&self.worst) {
            let help = format!("{what} of an organisation's measured tables");
            registry.register(format!("tidewater_organisation_{name}"), help, total.clone());
            let help = format!("{what} of the measured table of an organisation that has most");
            registry.register(format!("tidewater_organisation_worst_table_{name}"), help, worst.clone());
        }
    }

    /// Sets the health of an organisation's tables. Without `summary`, the organisation has no figures any more.
    pub fn set(&self, organisation: &str, summary: Option<&HealthSummary>) {
        let labels = OrganisationLabels { organisation: organisation.to_owned() };
        let set = |gauges: &Gauges, value: Option<u64>| match value {
            Some(value) => {
                gauges.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
            }
            None => {
                gauges.remove(&labels);
            }
        };
        set(&self.tables, summary.map(|summary| summary.tables));
        for (position, (total, worst)) in self.total.iter().zip(&self.worst).enumerate() {
            set(total, summary.map(|summary| summary.total.values()[position]));
            set(worst, summary.map(|summary| summary.worst.values()[position]));
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text::encode;

    use super::*;

    #[test]
    fn each_figure_has_its_sum_and_its_worst_value_until_the_organisation_is_gone() {
        let (health, mut registry) = (HealthMetrics::default(), Registry::default());
        health.register(&mut registry);
        let text = || {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let (total, worst) = ([10, 20, 30, 40, 50, 60], [1, 2, 3, 4, 5, 6]);
        let [total, worst] = [total, worst].map(HealthCounts::from_values);
        health.set("acme", Some(&HealthSummary { tables: 9, total, worst }));
        for (name, value) in [("measured_tables", 9), ("small_files", 20), ("worst_table_metadata_bytes", 6)] {
            let line = format!("tidewater_organisation_{name}{{organisation=\"acme\"}} {value}\n");
            assert!(text().contains(&line), "{line}{}", text());
        }
        for (stored, (name, _)) in HealthCounts::NAMES.iter().zip(FIGURES) {
            assert_eq!(stored.replace('-', "_"), name);
        }
        health.set("acme", None);
        assert!(!text().contains("acme"), "{}", text());
    }
}
