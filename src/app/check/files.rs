//! Checks the files that settings name.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::found::Found;
use super::subject::Subject;
use crate::config::Config;

/// A file that a setting names.
struct Named {
    setting: String,
    path: PathBuf,
    is_secret: bool,
}

/// Returns the files that settings name. A section of settings adds its own here.
fn named(config: &Config) -> Vec<Named> {
    let mut all = vec![
        Named::secret("storage.master_key_file", &config.storage.master_key_file),
        Named::secret("store.password_file", &config.store.password_file),
        Named::secret("backups.storage_file", &config.backups.storage_file),
        Named::secret("traces.headers_file", &config.traces.headers_file),
        Named::public("traces.ca_file", &config.traces.ca_file),
        Named::public("tls.certificate_file", &config.tls.certificate_file),
        Named::secret("tls.key_file", &config.tls.key_file),
        Named::public("tls.client_ca_file", &config.tls.client_ca_file),
        Named::public("audit.syslog.ca_file", &config.audit.syslog.ca_file),
        Named::public("audit.syslog.client_certificate_file", &config.audit.syslog.client_certificate_file),
        Named::secret("audit.syslog.client_key_file", &config.audit.syslog.client_key_file),
    ];
    for issuer in &config.auth.issuers {
        let of_issuer = |field: &str| format!("auth.issuers '{}' {field}", issuer.name);
        let files = [
            ("jwks_file", &issuer.jwks_file),
            ("ca_file", &issuer.ca_file),
            ("bearer_file", &issuer.bearer_file),
            ("console_client_secret_file", &issuer.console_client_secret_file),
        ];
        for (field, path) in files {
            let path = path.clone().unwrap_or_default();
            all.push(Named {
                setting: of_issuer(field),
                path,
                is_secret: matches!(field, "bearer_file" | "console_client_secret_file"),
            });
        }
    }
    all.retain(|named| !named.path.as_os_str().is_empty());
    all
}

impl Named {
    fn secret(setting: &str, path: &Path) -> Self {
        Self { setting: setting.to_owned(), path: path.to_owned(), is_secret: true }
    }

    fn public(setting: &str, path: &Path) -> Self {
        Self { is_secret: false, ..Self::secret(setting, path) }
    }
}

/// Checks that the named files exist and can be read, and that other users cannot read secrets.
pub(super) async fn check(subject: &Subject) -> Vec<Found> {
    named(&subject.config).iter().map(check_one).collect()
}

fn check_one(Named { setting, path, is_secret }: &Named) -> Found {
    let object = format!("{setting} {}", path.display());
    let mode = match File::open(path).and_then(|_| fs::metadata(path)) {
        Ok(found) if found.is_dir() => return Found::failed(object, "is a folder, not a file"),
        Ok(found) => found.permissions().mode(),
        Err(error) => return Found::failed(object, format!("cannot be read: {error}")),
    };
    if *is_secret && mode & 0o007 != 0 {
        return Found::warning(
            object,
            format!("every user of this machine may use it: run `chmod o-rwx {}`", path.display()),
        );
    }
    Found::ok(object, "can be read")
}
