//! Tests of the files of TLS, with certificates from openssl. `tests/engines/test_tls.py` has those of connections.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::config::ClientAuth;

const DAY_MS: i64 = 86_400_000;

/// A time at which certificates of these tests are valid: an hour after now, by the age of a new file.
fn now_ms(folder: &Path) -> i64 {
    let made = folder.metadata().unwrap().modified().unwrap();
    let since_1970 = made.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since_1970.as_millis()).unwrap() + 3_600_000
}

fn openssl(folder: &Path, arguments: &str) {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let run = run.expect("openssl is not installed: install Debian's package 'openssl'");
    assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
}

/// Writes `NAME.pem` and `NAME.key`, a certificate that is its own authority and its key.
fn create(folder: &Path, name: &str, algorithm: &str, days: u32) {
    openssl(
        folder,
        &format!(
            "req -x509 -newkey {algorithm} -nodes -subj /CN={name} -days {days} -keyout {name}.key -out {name}.pem"
        ),
    );
}

fn settings(folder: &Path, certificate: &str, key: &str) -> TlsConfig {
    TlsConfig { certificate_file: folder.join(certificate), key_file: folder.join(key), ..TlsConfig::default() }
}

fn refusal(settings: &TlsConfig, now_ms: i64) -> String {
    Tls::load(settings, now_ms).err().expect("the files are refused").to_string()
}

#[test]
fn each_kind_of_key_and_form_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let now_ms = now_ms(folder);
    for (name, algorithm, converted) in [
        ("rsa", "rsa:2048", Some("rsa -traditional -in rsa.key -out rsa.old")),
        ("ec", "ec -pkeyopt ec_paramgen_curve:P-256", Some("ec -in ec.key -out ec.old")),
        ("p384", "ec -pkeyopt ec_paramgen_curve:P-384", None),
        ("ed25519", "ed25519", None),
    ] {
        create(folder, name, algorithm, 30);
        let tls = Tls::load(&settings(folder, &format!("{name}.pem"), &format!("{name}.key")), now_ms).unwrap();
        let left_s = tls.expires_s() - u64::try_from(now_ms).unwrap() / 1_000;
        assert_eq!((left_s + 7_200) / 86_400, 30, "{left_s}");
        assert_eq!(tls.identity().subject, format!("CN={name}"));
        if let Some(command) = converted {
            openssl(folder, command);
            let old = format!("{name}.old");
            assert!(
                fs::read_to_string(folder.join(&old))
                    .unwrap()
                    .contains(&format!("BEGIN {} PRIVATE", name.to_uppercase()))
            );
            Tls::load(&settings(folder, &format!("{name}.pem"), &old), now_ms).unwrap();
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_refused_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let now_ms = now_ms(folder);
    let curve = "ec -pkeyopt ec_paramgen_curve:P-256";
    create(folder, "a", curve, 30);
    create(folder, "b", curve, 30);
    fs::write(folder.join("empty"), "").unwrap();
    openssl(folder, "pkcs8 -topk8 -in a.key -passout pass:secret -out encrypted.key");
    openssl(folder, "ec -in a.key -aes128 -passout pass:secret -out encrypted.old");
    fs::write(folder.join("damaged.pem"), "-----BEGIN CERTIFICATE-----\nMIIB!\n-----END CERTIFICATE-----\n").unwrap();
    let both = |first: &str, second: &str| {
        fs::read_to_string(folder.join(first)).unwrap() + &fs::read_to_string(folder.join(second)).unwrap()
    };
    fs::write(folder.join("wrong-order.pem"), both("b.pem", "a.pem")).unwrap();
    for (certificate, key, words) in [
        ("missing", "a.key", "`tls.certificate_file`: "),
        ("missing", "a.key", "may read it"),
        ("a.pem", "missing", "`tls.key_file`: "),
        ("empty", "a.key", "has no certificate in PEM"),
        ("a.key", "a.key", "has no certificate in PEM"),
        ("a.pem", "empty", "has no private key in PEM"),
        ("a.pem", "a.pem", "has no private key in PEM"),
        ("a.pem", "encrypted.key", "openssl pkey"),
        ("a.pem", "encrypted.old", "openssl pkey"),
        ("damaged.pem", "a.key", "damaged.pem cannot be used"),
        ("a.pem", "b.key", "does not belong to the first certificate"),
        ("wrong-order.pem", "a.key", "comes first"),
    ] {
        let text = refusal(&settings(folder, certificate, key), now_ms);
        assert!(text.contains(words), "{certificate} {key}: {text}");
    }
    Tls::load(&settings(folder, "wrong-order.pem", "b.key"), now_ms).expect("an authority's certificate may follow");
    let with_clients = |file: &str| TlsConfig {
        client_auth: ClientAuth::Required,
        client_ca_file: folder.join(file),
        ..settings(folder, "a.pem", "a.key")
    };
    assert!(refusal(&with_clients("empty"), now_ms).contains("`tls.client_ca_file`: "));
    Tls::load(&with_clients("b.pem"), now_ms).unwrap();
}

#[test]
fn expired_and_future_certificates_are_refused_with_their_dates() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    create(folder, "a", "ed25519", 30);
    let settings = settings(folder, "a.pem", "a.key");
    let expired = refusal(&settings, now_ms(folder) + 31 * DAY_MS);
    assert!(
        expired.contains("certificate of CN=a") && expired.contains("expired at 20") && expired.contains("renew it")
    );
    let future = refusal(&settings, now_ms(folder) - DAY_MS);
    assert!(future.contains("is valid only from 20") && future.contains("clock"), "{future}");
}

#[test]
fn earliest_expiry_of_the_chain_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let now_ms = now_ms(folder);
    create(folder, "own", "ed25519", 30);
    create(folder, "authority", "ed25519", 10);
    let chain = ["own.pem", "authority.pem"].map(|name| fs::read_to_string(folder.join(name)).unwrap()).concat();
    fs::write(folder.join("chain.pem"), chain).unwrap();
    let tls = Tls::load(&settings(folder, "chain.pem", "own.key"), now_ms).unwrap();
    assert!(tls.expires_s() * 1_000 < u64::try_from(now_ms + 11 * DAY_MS).unwrap());
    assert_eq!(tls.identity().subject, "CN=own");
}

#[test]
fn broken_files_keep_the_present_certificate_until_they_are_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let now_ms = now_ms(folder);
    create(folder, "old", "ed25519", 10);
    create(folder, "new", "ed25519", 30);
    let copy = |from: &str, to: &str| fs::copy(folder.join(from), folder.join(to)).unwrap();
    copy("old.pem", "used.pem");
    copy("old.key", "used.key");
    let tls = Tls::load(&settings(folder, "used.pem", "used.key"), now_ms).unwrap();
    let expires_s = tls.expires_s();
    assert!(!tls.reload(now_ms).unwrap(), "nothing changed");
    // The first of two files is written.
    copy("new.pem", "used.pem");
    for _ in 0..2 {
        assert!(matches!(tls.reload(now_ms), Err(TlsError::Mismatch { .. })));
    }
    assert_eq!((tls.expires_s(), tls.identity().subject.as_str()), (expires_s, "CN=old"));
    copy("new.key", "used.key");
    assert!(tls.reload(now_ms).unwrap());
    assert!(tls.expires_s() > expires_s);
    assert_eq!(tls.identity().subject, "CN=new");
    fs::remove_file(folder.join("used.key")).unwrap();
    assert!(matches!(tls.reload(now_ms), Err(TlsError::Unreadable { .. })));
    assert_eq!(tls.identity().subject, "CN=new");
}
