//! Checks the files of TLS.

use super::found::Found;
use super::subject::Subject;
use crate::base::clock::Clock;
use crate::server::Tls;

/// Checks that the certificate, its key and the authorities of clients can be used, as the start does.
pub(super) async fn check(subject: &Subject) -> Vec<Found> {
    let settings = &subject.config.tls;
    if !settings.is_on() {
        return Vec::new();
    }
    let object = format!("tls.certificate_file {}", settings.certificate_file.display());
    vec![match Tls::load(settings, Clock::System.now_ms()) {
        Ok(_) => Found::ok(object, "the certificate and its key can be used"),
        Err(error) => Found::failed(object, error),
    }]
}
