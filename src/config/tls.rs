//! Settings of TLS in the server.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of TLS in the server. Without a certificate, the server speaks plain HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// The server's certificate in PEM, followed by the certificates of its intermediate authorities. Empty: no TLS.
    pub certificate_file: PathBuf,
    /// The certificate's private key in PEM.
    pub key_file: PathBuf,
    /// Whether clients present certificates.
    pub client_auth: ClientAuth,
    /// The certificates, in PEM, of the authorities that sign clients' certificates.
    pub client_ca_file: PathBuf,
    /// The lowest version of TLS that is spoken.
    pub min_version: TlsVersion,
    /// After how many seconds the files are checked for changes.
    pub check_interval_s: u64,
    /// Whether the address for monitoring speaks TLS too.
    pub monitoring: bool,
}

/// Whether clients present certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// They are not asked for one.
    #[default]
    None,
    /// They may have one. An invalid one is refused.
    Optional,
    /// They must have one.
    Required,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    Tls13,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            certificate_file: PathBuf::new(),
            key_file: PathBuf::new(),
            client_auth: ClientAuth::None,
            client_ca_file: PathBuf::new(),
            min_version: TlsVersion::Tls12,
            check_interval_s: 60,
            monitoring: false,
        }
    }
}

impl TlsConfig {
    /// Returns whether the server speaks TLS.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate_file.as_os_str().is_empty()
    }

    /// Returns [`TlsConfig::check_interval_s`] as a duration.
    #[must_use]
    pub const fn check_interval(&self) -> Duration {
        Duration::from_secs(self.check_interval_s)
    }

    /// Returns the files with their settings, for loading.
    pub(super) fn files_mut(&mut self) -> [(&'static str, &mut PathBuf); 3] {
        [
            ("tls.certificate_file", &mut self.certificate_file),
            ("tls.key_file", &mut self.key_file),
            ("tls.client_ca_file", &mut self.client_ca_file),
        ]
    }

    /// Returns why the settings contradict each other.
    pub(super) fn check(&self) -> Option<&'static str> {
        let has = |file: &PathBuf| !file.as_os_str().is_empty();
        match (self.is_on(), has(&self.key_file), self.client_auth != ClientAuth::None, has(&self.client_ca_file)) {
            (true, false, ..) => Some("`tls.certificate_file` needs `tls.key_file`, the certificate's private key"),
            (false, true, ..) => Some("`tls.key_file` needs `tls.certificate_file`, the key's certificate"),
            (false, _, true, _) | (false, _, _, true) => Some(
                "`tls.client_auth` and `tls.client_ca_file` need `tls.certificate_file`: clients present certificates over TLS",
            ),
            (_, _, true, false) => {
                Some("`tls.client_auth` needs `tls.client_ca_file`, the authorities that sign clients' certificates")
            }
            (_, _, false, true) => Some(
                "`tls.client_ca_file` has no effect while `tls.client_auth` is none: set it to optional or required",
            ),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(certificate: &str, key: &str, client_auth: ClientAuth, authority: &str) -> Option<&'static str> {
        let (certificate_file, key_file, client_ca_file) = (certificate.into(), key.into(), authority.into());
        TlsConfig { certificate_file, key_file, client_auth, client_ca_file, ..TlsConfig::default() }.check()
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        use ClientAuth::{None as Nobody, Optional, Required};
        for (certificate, key, auth, authority) in
            [("", "", Nobody, ""), ("c", "k", Nobody, ""), ("c", "k", Optional, "a"), ("c", "k", Required, "a")]
        {
            assert_eq!(wrong(certificate, key, auth, authority), None);
        }
        for (certificate, key, auth, authority, words) in [
            ("c", "", Nobody, "", "needs `tls.key_file`"),
            ("", "k", Nobody, "", "needs `tls.certificate_file`"),
            ("", "", Required, "a", "need `tls.certificate_file`"),
            ("", "", Nobody, "a", "need `tls.certificate_file`"),
            ("c", "k", Required, "", "needs `tls.client_ca_file`"),
            ("c", "k", Nobody, "a", "has no effect"),
        ] {
            let text = wrong(certificate, key, auth, authority).unwrap();
            assert!(text.contains(words), "{text}");
        }
    }
}
