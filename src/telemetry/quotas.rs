//! How much of its limits each organisation uses.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::requests::OrganisationLabels;

/// An organisation's use of its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaUse {
    /// The requests of the day.
    pub requests: u64,
    /// The most requests a day, if there is a limit.
    pub max_requests: Option<u64>,
    /// The tables and views.
    pub tables: u64,
    /// The most tables and views, if there is a limit.
    pub max_tables: Option<u64>,
}

type Gauges = Family<OrganisationLabels, Gauge>;

/// The use of limits by organisation. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct QuotaMetrics {
    requests: Gauges,
    max_requests: Gauges,
    tables: Gauges,
    max_tables: Gauges,
}

impl QuotaMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, gauges) in [
            ("requests_today", "Requests of an organisation since midnight UTC, on all servers", &self.requests),
            ("requests_per_day_limit", "The most requests of an organisation a day", &self.max_requests),
            ("tables", "Tables and views of an organisation", &self.tables),
            ("tables_limit", "The most tables and views of an organisation", &self.max_tables),
        ] {
            registry.register(format!("tidewater_organisation_{name}"), help, gauges.clone());
        }
    }

    /// Sets the use of an organisation. Without `quota`, the organisation has no figures any more.
    pub fn set(&self, organisation: &str, quota: Option<QuotaUse>) {
        let labels = OrganisationLabels { organisation: organisation.to_owned() };
        let values = [
            (&self.requests, quota.map(|quota| quota.requests)),
            (&self.max_requests, quota.and_then(|quota| quota.max_requests)),
            (&self.tables, quota.map(|quota| quota.tables)),
            (&self.max_tables, quota.and_then(|quota| quota.max_tables)),
        ];
        for (gauges, value) in values {
            match value {
                Some(value) => {
                    gauges.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
                }
                None => {
                    gauges.remove(&labels);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text::encode;

    use super::*;

    #[test]
    fn removed_limit_and_removed_organisation_have_no_figures() {
        let (quotas, mut registry) = (QuotaMetrics::default(), Registry::default());
        quotas.register(&mut registry);
        let text = || {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let quota = QuotaUse { requests: 7, max_requests: Some(100), tables: 2, max_tables: Some(10) };
        quotas.set("acme", Some(quota));
        for line in [
            "requests_today{organisation=\"acme\"} 7",
            "requests_per_day_limit{organisation=\"acme\"} 100",
            "tables_limit{organisation=\"acme\"} 10",
        ] {
            assert!(text().contains(&format!("tidewater_organisation_{line}\n")), "{line}{}", text());
        }
        quotas.set("acme", Some(QuotaUse { max_tables: None, ..quota }));
        assert!(!text().contains("tables_limit{"), "{}", text());
        quotas.set("acme", None);
        assert!(!text().contains("acme"), "{}", text());
    }
}
