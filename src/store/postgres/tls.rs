//! TLS to the database, with the checks of libpq's `sslmode`.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::{Identity, Roots, TlsSettings, Verification};
use crate::base::pem_files::{PemFileError, certificates, private_key};

/// Why TLS cannot be used. The files may be repaired while the server runs.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] PemFileError),
    /// The system has no certificates of issuers.
    #[error("the system has no certificates of trusted issuers: name a file with sslrootcert")]
    NoSystemRoots,
    /// The certificates or the key are refused.
    #[error("the certificates cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The TLS of connections.
#[derive(Debug)]
pub(super) struct Tls {
    settings: TlsSettings,
    /// The system's certificates. Reading more than a hundred takes some milliseconds, and they change with the system's packages only.
    system: OnceLock<Arc<RootCertStore>>,
}

impl Tls {
    pub(super) const fn new(settings: TlsSettings) -> Self {
        Self { settings, system: OnceLock::new() }
    }

    /// Returns what makes TLS of a connection. Reads the files anew, so that renewed certificates are used for the next connection.
    pub(super) fn connector(&self) -> Result<MakeRustlsConnect, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self.verifier(provider)?));
        let config = match &self.settings.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                builder.with_client_auth_cert(certificates("sslcert", certificate)?, private_key("sslkey", key)?)?
            }
        };
        Ok(MakeRustlsConnect::new(config))
    }

    fn verifier(&self, provider: Arc<CryptoProvider>) -> Result<Verifier, TlsError> {
        let strict = match self.settings.verification {
            Verification::Nothing => None,
            Verification::Issuer | Verification::IssuerAndHost => {
                let builder = WebPkiServerVerifier::builder_with_provider(self.roots()?, Arc::clone(&provider));
                Some(builder.build().map_err(|error| rustls::Error::General(error.to_string()))?)
            }
        };
        Ok(Verifier { strict, checks_host: self.settings.verification == Verification::IssuerAndHost, provider })
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, TlsError> {
        let Roots::File(file) = &self.settings.roots else {
            let store = self.system.get_or_init(|| {
                let mut store = RootCertStore::empty();
                store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                Arc::new(store)
            });
            return if store.is_empty() { Err(TlsError::NoSystemRoots) } else { Ok(Arc::clone(store)) };
        };
        let mut store = RootCertStore::empty();
        for certificate in certificates("sslrootcert", file)? {
            store.add(certificate)?;
        }
        Ok(Arc::new(store))
    }
}

/// Checks the database's certificate as far as `sslmode` requests it.
#[derive(Debug)]
struct Verifier {
    /// Checks issuer and host. `None` if nothing is checked.
    strict: Option<Arc<WebPkiServerVerifier>>,
    checks_host: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(strict) = &self.strict else { return Ok(ServerCertVerified::assertion()) };
        // The host is checked last, after the issuer and the dates.
        match strict.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks_host => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
