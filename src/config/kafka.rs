//! The settings of the delivery of events to Apache Kafka.

use std::fmt;
use std::path::PathBuf;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::secrets::as_empty_text;
use crate::base::secret::Secret;

/// The part of the topic's name that stands for the organisation's name.
pub const ORGANISATION: &str = "{organisation}";

/// The longest name of a topic.
const MAX_TOPIC_BYTES: usize = 249;

/// Settings of the delivery of events to Apache Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    /// The brokers to ask first, as `host:port`. Empty: no event is sent.
    #[serde(deserialize_with = "texts")]
    pub bootstrap_servers: Vec<String>,
    /// The topic. [`ORGANISATION`] in it stands for the organisation's name.
    pub topic: String,
    /// The names of the organisations whose events are sent. Empty: all, and with a topic for all also the server's own.
    #[serde(deserialize_with = "texts")]
    pub organisations: Vec<String>,
    /// The operations whose events are sent. Empty: all.
    #[serde(deserialize_with = "texts")]
    pub operations: Vec<String>,
    /// Which event is the first one, when the delivery starts for the first time.
    pub start: KafkaStart,
    /// How batches of events are compressed.
    pub compression: KafkaCompression,
    /// Whether connections have TLS.
    pub tls: bool,
    /// The file with the only trusted certificates (PEM). Empty: those of the system.
    pub ca_file: PathBuf,
    /// The file with the client's certificate (PEM). Empty: none.
    pub client_certificate_file: PathBuf,
    /// The file with the key of the client's certificate (PEM).
    pub client_key_file: PathBuf,
    /// How the user signs in, if there is one.
    pub sasl_mechanism: KafkaSasl,
    /// The user. Empty: no sign-in.
    pub sasl_user: String,
    /// The user's password.
    #[serde(serialize_with = "as_empty_text")]
    pub sasl_password: Secret<String>,
    /// A file with the password instead. It is read before each connection of the client. Empty: none.
    pub sasl_password_file: PathBuf,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: Vec::new(),
            topic: "tidewater-events".to_owned(),
            organisations: Vec::new(),
            operations: Vec::new(),
            start: KafkaStart::Latest,
            compression: KafkaCompression::None,
            tls: false,
            ca_file: PathBuf::new(),
            client_certificate_file: PathBuf::new(),
            client_key_file: PathBuf::new(),
            sasl_mechanism: KafkaSasl::ScramSha512,
            sasl_user: String::new(),
            sasl_password: Secret::new(String::new()),
            sasl_password_file: PathBuf::new(),
        }
    }
}

/// The first event of a new delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KafkaStart {
    /// The oldest event that is stored.
    Oldest,
    /// The next change.
    Latest,
}

/// The compression of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KafkaCompression {
    /// None.
    None,
    /// Gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
}

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KafkaSasl {
    /// The password itself. Only over TLS.
    Plain,
    /// SCRAM-SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// SCRAM-SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

impl KafkaConfig {
    /// Returns whether events are sent.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.bootstrap_servers.is_empty()
    }

    /// Returns the names of the settings with a file, and the files.
    pub(super) fn files_mut(&mut self) -> [(&'static str, &mut PathBuf); 4] {
        [
            ("kafka.ca_file", &mut self.ca_file),
            ("kafka.client_certificate_file", &mut self.client_certificate_file),
            ("kafka.client_key_file", &mut self.client_key_file),
            ("kafka.sasl_password_file", &mut self.sasl_password_file),
        ]
    }

    /// Returns what is wrong with the settings, a text for each fault.
    pub(super) fn check(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for server in &self.bootstrap_servers {
            let port =
                server.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(1..))) {
                wrong.push(format!(
                    "`kafka.bootstrap_servers` has '{server}', but must have hosts and ports: broker:9092"
                ));
            }
        }
        let name = self.topic.replace(ORGANISATION, "x");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > MAX_TOPIC_BYTES || !name.chars().all(is_plain) || name == "." || name == ".."
        {
            wrong.push(format!(
                "`kafka.topic` is '{}', but must have 1 to {MAX_TOPIC_BYTES} of a-z, A-Z, 0-9, '.', '_' and '-', and may have \
                 {ORGANISATION}",
                self.topic
            ));
        }
        let is_set = |file: &PathBuf| !file.as_os_str().is_empty();
        if is_set(&self.client_certificate_file) != is_set(&self.client_key_file) {
            wrong.push(
                "`kafka.client_certificate_file` and `kafka.client_key_file` belong together: set both".to_owned(),
            );
        }
        if !self.tls && (is_set(&self.ca_file) || is_set(&self.client_certificate_file)) {
            wrong.push("`kafka.ca_file` and `kafka.client_certificate_file` need `kafka.tls = true`".to_owned());
        }
        if !self.tls && !self.sasl_user.is_empty() && self.sasl_mechanism == KafkaSasl::Plain {
            wrong.push(
                "`kafka.sasl_mechanism` is 'plain', which sends the password itself: set `kafka.tls = true`".to_owned(),
            );
        }
        let has_password = !self.sasl_password.expose().is_empty() || is_set(&self.sasl_password_file);
        if has_password == self.sasl_user.is_empty() {
            wrong.push(
                "`kafka.sasl_user` and its password (`kafka.sasl_password` or `kafka.sasl_password_file`) belong together: \
                 set both"
                    .to_owned(),
            );
        }
        wrong
    }
}

/// Deserializes a list of texts, or a text with commas from an environment variable.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Texts;

    impl<'de> Visitor<'de> for Texts {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of texts")
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = items.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }

    deserializer.deserialize_any(Texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(change: impl FnOnce(&mut KafkaConfig)) -> KafkaConfig {
        let mut config = KafkaConfig { bootstrap_servers: vec!["broker:9092".to_owned()], ..KafkaConfig::default() };
        change(&mut config);
        config
    }

    #[test]
    fn valid_settings_are_accepted() {
        assert_eq!(KafkaConfig::default().check(), [""; 0]);
        for change in [
            |_: &mut KafkaConfig| {},
            |config: &mut KafkaConfig| {
                config.bootstrap_servers = vec!["[::1]:9092".to_owned(), "b.example.com:1".to_owned()]
            },
            |config: &mut KafkaConfig| config.topic = "a.{organisation}.events".to_owned(),
            |config: &mut KafkaConfig| {
                config.sasl_user = "ann".to_owned();
                config.sasl_password_file = "password".into();
            },
        ] {
            assert_eq!(config(change).check(), [""; 0]);
        }
    }

    #[test]
    fn invalid_settings_are_refused_with_their_names() {
        type Change = fn(&mut KafkaConfig);
        let cases: [(Change, &str); 8] = [
            (|config| config.bootstrap_servers = vec!["broker".to_owned()], "`kafka.bootstrap_servers`"),
            (|config| config.bootstrap_servers = vec!["broker:0".to_owned()], "`kafka.bootstrap_servers`"),
            (|config| config.topic = "a b".to_owned(), "`kafka.topic`"),
            (|config| config.topic = "{tenant}".to_owned(), "`kafka.topic`"),
            (|config| config.ca_file = "ca.pem".into(), "`kafka.tls = true`"),
            (
                |config| {
                    config.tls = true;
                    config.client_key_file = "key.pem".into();
                },
                "`kafka.client_certificate_file`",
            ),
            (
                |config| {
                    config.sasl_user = "ann".to_owned();
                    config.sasl_password = Secret::new("secret".to_owned());
                    config.sasl_mechanism = KafkaSasl::Plain;
                },
                "`kafka.tls = true`",
            ),
            (|config| config.sasl_user = "ann".to_owned(), "`kafka.sasl_password`"),
        ];
        for (change, name) in cases {
            let wrong = config(change).check();
            assert!(wrong.len() == 1 && wrong[0].contains(name), "{name}: {wrong:?}");
        }
    }
}
