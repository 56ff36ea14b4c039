//! The settings of traces (OpenTelemetry).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use crate::base::secret::Secret;

/// Settings of traces, which go to an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracesConfig {
    /// The address of the collector, such as `http://127.0.0.1:4317`. Empty: no traces.
    pub endpoint: String,
    /// The protocol of the collector.
    pub protocol: TracesProtocol,
    /// Headers of requests to the collector: `name=value`, separated by commas.
    #[serde(serialize_with = "hidden")]
    pub headers: Secret<String>,
    /// A file with further headers, separated by commas or line breaks. It is read at the start. Empty: none.
    pub headers_file: PathBuf,
    /// A file with certificates (PEM) that are trusted for the connection, in addition to the system's. Empty: none.
    pub ca_file: PathBuf,
    /// The share of requests that begin a recorded trace.
    pub ratio: Ratio,
    /// Whether a client's trace is continued, and recorded if the client says that it is sampled.
    pub from_clients: bool,
    /// Whether a request that fails with a status of 500 or above is recorded although it was not sampled.
    pub failures: bool,
    /// The name of the service in traces.
    pub service_name: String,
    /// Further attributes of the server: `name=value`, separated by commas.
    pub resource: String,
    /// The most spans that wait for their export. Further ones are dropped.
    pub queue: usize,
    /// The time-out for one request to the collector, in seconds.
    pub timeout_s: u64,
}

/// Serializes secret headers as their default, an empty text.
fn hidden<S: Serializer>(_: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("")
}

/// How spans are sent (OTLP).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TracesProtocol {
    /// gRPC, usually on port 4317.
    #[default]
    #[serde(rename = "grpc")]
    Grpc,
    /// HTTP with protobuf, usually on port 4318.
    #[serde(rename = "http/protobuf")]
    Http,
}

/// A share from 0 to 1, in steps of a millionth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ratio {
    per_million: u32,
}

impl Ratio {
    /// Everything.
    pub const ALL: Self = Self { per_million: 1_000_000 };

    /// Creates a share. `None` if it is not between 0 and 1. A share above 0 is at least a millionth.
    #[must_use]
    pub fn new(share: f64) -> Option<Self> {
        let per_million = (0.0..=1.0).contains(&share).then(|| (share * 1e6).round() as u32)?;
        Some(Self { per_million: if share > 0.0 { per_million.max(1) } else { 0 } })
    }

    /// Returns how many of a million.
    #[must_use]
    pub const fn per_million(self) -> u32 {
        self.per_million
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.per_million) / 1e6)
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.per_million {
            0 => serializer.serialize_u64(0),
            share => serializer.serialize_f64(f64::from(share) / 1e6),
        }
    }
}

impl<'de> Deserialize<'de> for Ratio {
    /// Accepts a number, or the text of one: variables of the environment are texts.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Share;

        impl Visitor<'_> for Share {
            type Value = Ratio;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 to 1")
            }

            fn visit_f64<E: de::Error>(self, share: f64) -> Result<Ratio, E> {
                Ratio::new(share).ok_or_else(|| E::invalid_value(de::Unexpected::Float(share), &self))
            }

            fn visit_u64<E: de::Error>(self, share: u64) -> Result<Ratio, E> {
                match share {
                    0 => Ok(Ratio::default()),
                    1 => Ok(Ratio::ALL),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(share), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, share: i64) -> Result<Ratio, E> {
                match u64::try_from(share) {
                    Ok(share) => self.visit_u64(share),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(share), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ratio, E> {
                let share = text.trim().parse().ok().and_then(Ratio::new);
                share.ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_any(Share)
    }
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            protocol: TracesProtocol::Grpc,
            headers: Secret::new(String::new()),
            headers_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            ratio: Ratio::default(),
            from_clients: true,
            failures: false,
            service_name: "tidewater".to_owned(),
            resource: String::new(),
            queue: 4_096,
            timeout_s: 10,
        }
    }
}

impl TracesConfig {
    /// Returns [`TracesConfig::timeout_s`] as a duration.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }

    /// Returns whether traces are exported.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.endpoint.is_empty()
    }

    /// Returns the errors in the values, for people.
    pub(super) fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.is_on() {
            match Url::parse(&self.endpoint) {
                // The address is logged.
                Ok(url) if !url.username().is_empty() || url.password().is_some() || url.query().is_some() => {
                    wrong
                        .push("`traces.endpoint` must have no user and no query: use `traces.headers_file`".to_owned());
                }
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
                _ => wrong.push(format!(
                    "`traces.endpoint` is '{}', but must be an address such as http://127.0.0.1:4317",
                    self.endpoint
                )),
            }
        } else if self.ratio.per_million() > 0 {
            wrong.push("`traces.ratio` is set without `traces.endpoint`, the collector's address".to_owned());
        }
        if pairs(self.headers.expose()).is_err() {
            wrong.push("`traces.headers` must be name=value, separated by commas".to_owned());
        }
        if let Err(part) = pairs(&self.resource) {
            wrong.push(format!("`traces.resource` has '{part}', but must be name=value, separated by commas"));
        }
        wrong
    }
}

/// Parses `name=value` pairs, separated by commas or line breaks. Values are percent-encoded, as in OpenTelemetry's variables.
///
/// # Errors
/// The part that is no pair.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let parts = text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let pair = part.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
            let (name, value) = pair.filter(|(name, _)| !name.is_empty()).ok_or_else(|| part.to_owned())?;
            Ok((name.to_owned(), percent_decode_str(value).decode_utf8_lossy().into_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratio_is_a_share_and_keeps_small_ones() {
        for (text, per_million) in [("0", 0), ("1", 1_000_000), ("0.01", 10_000), ("\"0.25\"", 250_000), ("1e-9", 1)] {
            let ratio: Ratio = serde_json::from_str(text).unwrap();
            assert_eq!(ratio.per_million(), per_million, "{text}");
            assert_eq!(serde_json::from_value::<Ratio>(serde_json::to_value(ratio).unwrap()).unwrap(), ratio);
        }
        for text in ["1.5", "-1", "2", "\"all\"", "true"] {
            assert!(serde_json::from_str::<Ratio>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pairs_are_separated_by_commas_or_lines_and_percent_decoded() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = vec![pair("authorization", "Bearer a=b"), pair("x", "1")];
        assert_eq!(pairs("authorization=Bearer%20a=b, x = 1").unwrap(), expected);
        assert_eq!(pairs("authorization=Bearer a=b\nx=1\n").unwrap(), expected);
        assert_eq!(pairs("a=1,b"), Err("b".to_owned()));
        assert_eq!(pairs("=1"), Err("=1".to_owned()));
    }

    #[test]
    fn invalid_settings_are_named() {
        let config =
            TracesConfig { endpoint: "collector:4317".to_owned(), resource: "a".to_owned(), ..Default::default() };
        let wrong = config.check();
        assert!(wrong[0].contains("traces.endpoint") && wrong[1].contains("'a'"), "{wrong:?}");
        let secret = TracesConfig { endpoint: "https://a:secret@collector".to_owned(), ..Default::default() };
        assert!(secret.check()[0].contains("no user") && !secret.check()[0].contains("secret"));
        let unused = TracesConfig { ratio: Ratio::ALL, ..Default::default() };
        assert!(unused.check()[0].contains("without `traces.endpoint`"));
    }
}
