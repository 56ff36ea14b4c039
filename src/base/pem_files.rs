//! Certificates and keys in PEM files, for TLS to other servers.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::named_file;

/// Why a PEM file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemFileError {
    /// It cannot be read.
    #[error("{setting}: the file {} cannot be read: {cause}", file.display())]
    File {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It contains no PEM of the expected kind.
    #[error("{setting}: the file {} has no usable PEM: {cause}", file.display())]
    Pem {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// Why.
        cause: String,
    },
}

/// Reads the certificates of a file: at least one.
///
/// # Errors
/// Fails if the file cannot be read, or has no certificate. `setting` names it in the message.
pub fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, PemFileError> {
    let text = read(setting, file)?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|cause| not_pem(setting, file, &cause))?;
    if found.is_empty() { Err(not_pem(setting, file, &pem::Error::NoItemsFound)) } else { Ok(found) }
}

/// Reads the private key of a file.
///
/// # Errors
/// Fails if the file cannot be read, or has no private key. `setting` names it in the message.
pub fn private_key(setting: &'static str, file: &Path) -> Result<PrivateKeyDer<'static>, PemFileError> {
    let text = read(setting, file)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|cause| not_pem(setting, file, &cause))
}

fn read(setting: &'static str, file: &Path) -> Result<Vec<u8>, PemFileError> {
    named_file::read(file).map_err(|cause| PemFileError::File { setting, file: file.to_owned(), cause })
}

fn not_pem(setting: &'static str, file: &Path, cause: &pem::Error) -> PemFileError {
    PemFileError::Pem { setting, file: file.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_without_a_certificate_or_key_is_named_with_its_setting() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        let told = |error: PemFileError| error.to_string();
        assert!(told(certificates("x.ca_file", &file).unwrap_err()).contains("x.ca_file: the file /"));
        std::fs::write(&file, "none").unwrap();
        assert!(told(certificates("x.ca_file", &file).unwrap_err()).contains("has no usable PEM"));
        assert!(told(private_key("x.key_file", &file).unwrap_err()).starts_with("x.key_file: the file /"));
    }
}
