//! The files of the server's certificate, its key and the clients' authorities.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{InconsistentKeys, RootCertStore, ServerConfig, version};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::time::Time;

use crate::base::named_file;
use crate::config::{ClientAuth, TlsConfig, TlsVersion};

/// The protocols that the server offers, the preferred one first. It recognises them by their first bytes too.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

const CERTIFICATE: &str = "tls.certificate_file";
const KEY: &str = "tls.key_file";
const CLIENT_CA: &str = "tls.client_ca_file";

/// Why files cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("`{setting}`: {} cannot be read: {cause}; check its path, and that the server's user may read it and open its folders", file.display())]
    Unreadable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
    /// A file has no certificate.
    #[error("`{setting}`: {} has no certificate in PEM: it must have a line -----BEGIN CERTIFICATE-----", file.display())]
    NoCertificate {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// A file has no private key.
    #[error("`tls.key_file`: {} has no private key in PEM: it must have a line -----BEGIN PRIVATE KEY-----, or one with RSA or EC", .0.display())]
    NoKey(PathBuf),
    /// The key is encrypted.
    #[error("`tls.key_file`: the key in {file} is encrypted, and the server cannot ask for its password: decrypt it with `openssl pkey -in {file} -out NEW`", file = .0.display())]
    EncryptedKey(PathBuf),
    /// A file is damaged, or has something that is not supported.
    #[error("`{setting}`: {} cannot be used: {cause}", file.display())]
    Unusable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// The reason.
        cause: String,
    },
    /// The key belongs to another certificate.
    #[error(
        "`tls.key_file`: the key in {} does not belong to the first certificate in {}: name the files of one certificate. The \
         server's own certificate comes first in its file, those of its authorities after it", key.display(), certificate.display()
    )]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The certificate is no longer valid.
    #[error("`tls.certificate_file`: the certificate of {subject} in {} expired at {at}: renew it", file.display())]
    Expired {
        /// The file.
        file: PathBuf,
        /// The certificate's subject.
        subject: String,
        /// When.
        at: Time,
    },
    /// The certificate is not valid yet.
    #[error(
        "`tls.certificate_file`: the certificate of {subject} in {} is valid only from {at}: check this machine's clock", file.display()
    )]
    NotYetValid {
        /// The file.
        file: PathBuf,
        /// The certificate's subject.
        subject: String,
        /// When.
        at: Time,
    },
    /// The settings cannot be used for another reason.
    #[error("TLS cannot be set up: {0}")]
    Other(#[from] rustls::Error),
}

/// The content of the files.
pub(super) struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    /// The certificates of the clients' authorities, if clients present certificates.
    client_ca: Vec<u8>,
}

/// What the server presents, and what it demands.
pub(super) struct Identity {
    /// The digest of the files.
    pub(super) digest: [u8; 32],
    pub(super) config: Arc<ServerConfig>,
    /// The subject of the server's certificate.
    pub(super) subject: String,
    /// The earliest expiry in the chain.
    pub(super) expires: Time,
}

impl Files {
    pub(super) fn read(settings: &TlsConfig) -> Result<Self, TlsError> {
        let client_ca = match settings.client_auth {
            ClientAuth::None => Vec::new(),
            ClientAuth::Optional | ClientAuth::Required => read(CLIENT_CA, &settings.client_ca_file)?,
        };
        Ok(Self {
            certificate: read(CERTIFICATE, &settings.certificate_file)?,
            key: read(KEY, &settings.key_file)?,
            client_ca,
        })
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        let parts = [&self.certificate, &self.key, &self.client_ca];
        parts.iter().map(Sha256::digest).fold(Sha256::new(), Sha256::chain_update).finalize().into()
    }

    /// Checks the content, and prepares it for connections.
    pub(super) fn identity(&self, settings: &TlsConfig, now_ms: i64) -> Result<Identity, TlsError> {
        let file = &settings.certificate_file;
        let chain = certificates(CERTIFICATE, file, &self.certificate)?;
        let (subject, expires) = check_chain(file, &chain, now_ms)?;
        let key = private_key(&settings.key_file, &self.key)?;
        let verifier = self.client_verifier(settings)?;
        let versions = match settings.min_version {
            TlsVersion::Tls12 => &[&version::TLS13, &version::TLS12][..],
            TlsVersion::Tls13 => &[&version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_protocol_versions(versions)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { certificate: file.clone(), key: settings.key_file.clone() }
            }
            rustls::Error::InvalidCertificate(cause) => unusable(CERTIFICATE, file, &cause),
            other => unusable(KEY, &settings.key_file, &other),
        })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        // Clients with many connections then need a signature only for the first.
        config.ticketer = provider::Ticketer::new()?;
        Ok(Identity { digest: self.digest(), config: Arc::new(config), subject, expires })
    }

    /// Returns the check of clients' certificates, if they are asked for one.
    fn client_verifier(&self, settings: &TlsConfig) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        if settings.client_auth == ClientAuth::None {
            return Ok(None);
        }
        let file = &settings.client_ca_file;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(CLIENT_CA, file, &self.client_ca)? {
            roots.add(certificate).map_err(|cause| unusable(CLIENT_CA, file, &cause))?;
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider::default_provider()));
        let builder = match settings.client_auth {
            ClientAuth::Required => builder,
            ClientAuth::None | ClientAuth::Optional => builder.allow_unauthenticated(),
        };
        Ok(Some(builder.build().map_err(|cause| unusable(CLIENT_CA, file, &cause))?))
    }
}

/// Returns the subject of a certificate in the form of RFC 4514, or `None` if it cannot be parsed.
pub(super) fn subject_of(certificate: &CertificateDer<'_>) -> Option<String> {
    Certificate::from_der(certificate).ok().map(|certificate| certificate.tbs_certificate.subject.to_string())
}

/// Checks that all certificates are valid now. Returns the subject of the first, and the earliest expiry.
fn check_chain(file: &Path, chain: &[CertificateDer<'_>], now_ms: i64) -> Result<(String, Time), TlsError> {
    let now = Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
    let mut first: Option<(String, Time)> = None;
    for certificate in chain {
        let certificate = Certificate::from_der(certificate).map_err(|cause| unusable(CERTIFICATE, file, &cause))?;
        let (subject, validity) =
            (certificate.tbs_certificate.subject.to_string(), certificate.tbs_certificate.validity);
        if validity.not_after.to_unix_duration() <= now {
            return Err(TlsError::Expired { file: file.to_owned(), subject, at: validity.not_after });
        }
        if validity.not_before.to_unix_duration() > now {
            return Err(TlsError::NotYetValid { file: file.to_owned(), subject, at: validity.not_before });
        }
        first = Some(match first {
            Some((own, expires)) if expires.to_unix_duration() <= validity.not_after.to_unix_duration() => {
                (own, expires)
            }
            Some((own, _)) => (own, validity.not_after),
            None => (subject, validity.not_after),
        });
    }
    first.ok_or_else(|| TlsError::NoCertificate { setting: CERTIFICATE, file: file.to_owned() })
}

fn read(setting: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    named_file::read(file).map_err(|cause| TlsError::Unreadable { setting, file: file.to_owned(), cause })
}

fn unusable(setting: &'static str, file: &Path, cause: &dyn std::fmt::Display) -> TlsError {
    TlsError::Unusable { setting, file: file.to_owned(), cause: cause.to_string() }
}

fn certificates(setting: &'static str, file: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|cause| unusable(setting, file, &cause))?;
    if found.is_empty() { Err(TlsError::NoCertificate { setting, file: file.to_owned() }) } else { Ok(found) }
}

fn private_key(file: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|cause| {
        let is_encrypted = [&b"BEGIN ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"]
            .iter()
            .any(|mark| text.windows(mark.len()).any(|part| part == *mark));
        match cause {
            _ if is_encrypted => TlsError::EncryptedKey(file.to_owned()),
            rustls::pki_types::pem::Error::NoItemsFound => TlsError::NoKey(file.to_owned()),
            cause => unusable(KEY, file, &cause),
        }
    })
}
