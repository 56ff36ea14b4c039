//! The connection to Kafka: settings as the client takes them, and records that are sent and acknowledged.

use std::path::Path;
use std::time::Duration;

use krafka::auth::{AuthConfig, TlsConfig};
use krafka::error::ErrorCode;
use krafka::producer::{Acks, DeliveryHandle, Producer, Record};
use krafka::{CloseOptions, Compression, Kafka, KrafkaError};

use crate::base::named_file;
use crate::config::{KafkaCompression, KafkaConfig, KafkaSasl};

/// The client's name in the broker's logs and quotas.
const CLIENT_ID: &str = "tidewater";

/// The time-outs for a connection and for a request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the client tries to send a record, and how long it looks for a topic before.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);
const TOPIC_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the client collects records for a batch, and a batch's size. Records of one send to one partition are nearly always one
/// batch, which a broker takes or refuses as a whole.
const LINGER: Duration = Duration::from_millis(5);
const BATCH_BYTES: usize = 512 << 10;

/// Why records were not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Kafka refuses the record, or the batch that it was in. Sent alone, it would be refused again only if it is at fault.
    Refused(String),
    /// The topic, or the catalog's database, cannot be used now. Records to other topics may be sent.
    Topic(String),
    /// The cluster cannot be used now.
    Unavailable(String),
}

impl From<KrafkaError> for Failure {
    fn from(error: KrafkaError) -> Self {
        let too_large = matches!(
            &error,
            KrafkaError::Broker { code: ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge, .. }
        );
        match &error {
            _ if too_large => Self::Refused("it is larger than the topic allows (max.message.bytes)".to_owned()),
            KrafkaError::Broker { code: ErrorCode::InvalidRecord, .. } => Self::Refused(error.to_string()),
            KrafkaError::Broker { code: ErrorCode::TopicAuthorizationFailed, .. } => Self::Topic(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// A client that is connected to a cluster. It sends records in the order of its calls, each written to all replicas in sync before it is
/// acknowledged.
pub(super) struct Connection {
    producer: Producer,
}

/// A record on its way.
pub(super) struct Pending(DeliveryHandle);

impl Pending {
    /// Waits until the record is acknowledged.
    pub(super) async fn acknowledged(self) -> Result<(), Failure> {
        self.0.await.map(drop).map_err(Failure::from)
    }
}

impl Connection {
    /// Connects to the cluster of the settings.
    pub(super) async fn open(config: &KafkaConfig) -> Result<Self, Failure> {
        let security = security(config).map_err(Failure::Unavailable)?;
        let kafka = Kafka::builder(config.bootstrap_servers.join(","))
            .client_id(CLIENT_ID)
            .security(security)
            .connect_timeout(CONNECT_TIMEOUT)
            .request_timeout(REQUEST_TIMEOUT)
            // A second request that overtakes a failed one would change the order.
            .max_in_flight_requests(1)
            .allow_auto_create_topics(false)
            .connect()
            .await?;
        let compression = match config.compression {
            KafkaCompression::None => Compression::None,
            KafkaCompression::Gzip => Compression::Gzip,
            KafkaCompression::Snappy => Compression::Snappy,
            KafkaCompression::Lz4 => Compression::Lz4,
        };
        let producer = kafka
            .producer()
            .acks(Acks::All)
            .idempotent(true)
            .compression(compression)
            .linger(LINGER)
            .batch_size(BATCH_BYTES)
            .delivery_timeout(DELIVERY_TIMEOUT)
            .max_block(TOPIC_TIMEOUT)
            .metrics_push(false)
            .build()
            .await?;
        Ok(Self { producer })
    }

    /// Queues a record. Its partition follows from the key as in Kafka's own clients.
    pub(super) async fn enqueue(&self, topic: &str, key: String, value: Vec<u8>) -> Result<Pending, Failure> {
        let record = Record::new(topic, value).key(key).header("content-type", "application/cloudevents+json");
        match self.producer.enqueue(record).await {
            Ok(handle) => Ok(Pending(handle)),
            Err(
                KrafkaError::UnknownTopic { .. } | KrafkaError::Broker { code: ErrorCode::UnknownTopicOrPartition, .. },
            ) => Err(Failure::Topic(format!("the topic '{topic}' does not exist: create it, or set kafka.topic"))),
            Err(error) => Err(error.into()),
        }
    }

    /// Closes the connection. Records that are still queued are given up.
    pub(super) async fn close(&self) {
        // Nothing depends on the result: what was not acknowledged is sent again.
        let _ = self.producer.close_with(CloseOptions::new().timeout(Duration::ZERO)).await;
    }
}

/// Returns how the client proves and checks identities.
fn security(config: &KafkaConfig) -> Result<AuthConfig, String> {
    let mut security = match config.sasl_user.as_str() {
        "" => AuthConfig::plaintext(),
        user => {
            let password = password(config)?;
            match config.sasl_mechanism {
                KafkaSasl::Plain => AuthConfig::sasl_plain(user, password),
                KafkaSasl::ScramSha256 => AuthConfig::sasl_scram_sha256(user, password),
                KafkaSasl::ScramSha512 => AuthConfig::sasl_scram_sha512(user, password),
            }
        }
    };
    if config.tls {
        let mut tls = TlsConfig::new();
        tls = match config.ca_file.as_os_str().is_empty() {
            true => tls.with_native_roots(),
            false => tls.with_ca_cert_pem(read("kafka.ca_file", &config.ca_file)?),
        };
        if !config.client_certificate_file.as_os_str().is_empty() {
            let certificate = read("kafka.client_certificate_file", &config.client_certificate_file)?;
            tls = tls.with_client_cert_pem(certificate, read("kafka.client_key_file", &config.client_key_file)?);
        }
        security = security.with_tls(tls);
    }
    Ok(security)
}

fn password(config: &KafkaConfig) -> Result<String, String> {
    if config.sasl_password_file.as_os_str().is_empty() {
        return Ok(config.sasl_password.expose().clone());
    }
    let bytes = read("kafka.sasl_password_file", &config.sasl_password_file)?;
    let text = String::from_utf8(bytes).map_err(|_| "kafka.sasl_password_file is not text".to_owned())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn read(setting: &str, file: &Path) -> Result<Vec<u8>, String> {
    named_file::read(file).map_err(|error| format!("{setting}: {} cannot be read: {error}", file.display()))
}
