//! OpenTelemetry's standard variables, as defaults of the settings of traces. Platforms set them for all programs alike.

use std::collections::BTreeMap;

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};
use url::Url;

/// Settings from OpenTelemetry's variables. Empty without an address of a collector, since the variables may be for other programs.
/// A value that cannot be used is ignored, as OpenTelemetry demands.
pub(super) struct OpenTelemetry(Dict);

impl OpenTelemetry {
    pub(super) fn from_variables(variables: &BTreeMap<String, String>) -> Self {
        let variable =
            |name: &str| variables.get(name).map(String::as_str).map(str::trim).filter(|text| !text.is_empty());
        let of_traces = |name: &str| {
            variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
                .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
            || variable("OTEL_TRACES_EXPORTER") == Some("none");
        let endpoint = of_traces("ENDPOINT").filter(|text| Url::parse(text).is_ok_and(|url| url.has_host()));
        let Some(endpoint) = endpoint.filter(|_| !is_off) else { return Self(Dict::new()) };
        let mut traces = Dict::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                traces.insert(name.to_owned(), value);
            }
        };
        set("endpoint", Some(endpoint.into()));
        set("protocol", of_traces("PROTOCOL").map(|text| if text == "grpc" { text } else { "http/protobuf" }.into()));
        set("headers", of_traces("HEADERS").map(Value::from));
        set("ca_file", of_traces("CERTIFICATE").map(Value::from));
        let timeout_ms = of_traces("TIMEOUT").and_then(|text| text.parse::<u64>().ok());
        set("timeout_s", timeout_ms.map(|timeout_ms| timeout_ms.div_ceil(1_000).max(1).into()));
        set("service_name", variable("OTEL_SERVICE_NAME").map(Value::from));
        set("resource", variable("OTEL_RESOURCE_ATTRIBUTES").map(Value::from));
        let argument = variable("OTEL_TRACES_SAMPLER_ARG").and_then(|text| text.parse::<f64>().ok());
        let share = argument.filter(|share| (0.0..=1.0).contains(share)).unwrap_or(1.0);
        if let Some(sampler) = variable("OTEL_TRACES_SAMPLER") {
            let (from_clients, sampler) = match sampler.strip_prefix("parentbased_") {
                Some(sampler) => (true, sampler),
                None => (false, sampler),
            };
            let ratio = match sampler {
                "always_on" => Some(1.0),
                "always_off" => Some(0.0),
                "traceidratio" => Some(share),
                _ => None,
            };
            set("from_clients", ratio.map(|_| from_clients.into()));
            set("ratio", ratio.map(Value::from));
        }
        Self(Dict::from([("traces".to_owned(), traces.into())]))
    }
}

impl Provider for OpenTelemetry {
    fn metadata(&self) -> Metadata {
        Metadata::named("OpenTelemetry's variables")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Map::from([(Profile::Default, self.0.clone())]))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Flags, Ratio, TracesConfig, TracesProtocol};

    fn load(variables: &[(&str, &str)]) -> TracesConfig {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(None, variables, &Flags::default()).unwrap().traces
    }

    #[test]
    fn standard_variables_set_the_traces() {
        let traces = load(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
            ("OTEL_SERVICE_NAME", "lake"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ]);
        assert_eq!((traces.endpoint.as_str(), traces.protocol), ("http://collector:4318", TracesProtocol::Http));
        assert_eq!(traces.headers.expose(), "authorization=Bearer%20a");
        assert_eq!((traces.timeout_s, traces.ratio), (3, Ratio::new(0.25).unwrap()));
        assert_eq!((traces.service_name.as_str(), traces.from_clients), ("lake", true));
        assert_eq!(traces.resource, "deployment.environment.name=prod");
    }

    #[test]
    fn own_variables_come_first() {
        let traces = load(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
            ("TIDEWATER_TRACES__RATIO", "0.5"),
            ("TIDEWATER_TRACES__ENDPOINT", "http://other:4317"),
        ]);
        assert_eq!((traces.endpoint.as_str(), traces.ratio), ("http://other:4317", Ratio::new(0.5).unwrap()));
        assert!(!traces.from_clients);
    }

    #[test]
    fn variables_without_a_collector_or_with_unusable_values_are_ignored() {
        for variables in [
            &[("OTEL_TRACES_SAMPLER", "always_on"), ("OTEL_SERVICE_NAME", "other")][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"), ("OTEL_SDK_DISABLED", "true")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"), ("OTEL_TRACES_EXPORTER", "none")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")],
        ] {
            assert_eq!(load(variables), TracesConfig::default(), "{variables:?}");
        }
        let unknown =
            load(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), ("OTEL_TRACES_SAMPLER", "jaeger_remote")]);
        assert_eq!(unknown.ratio, Ratio::default());
    }
}
