//! The settings of audit records and their export.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Settings of audit records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// For how many seconds a record is kept.
    pub retention_s: u64,
    /// The most records of an organisation, and of unknown actors together.
    pub per_organisation: u32,
    /// Whether vended credentials and signatures are recorded.
    pub credentials: bool,
    /// Whether reads that succeed are recorded.
    pub reads: bool,
    /// For how many seconds repeated reads and credentials of an actor for the same object share a record.
    pub repeat_s: u64,
    /// The most records that wait to be written.
    pub queue: usize,
    /// Whether requests are refused while their records cannot be written.
    pub fail_closed: bool,
    /// The export to a file.
    pub file: AuditFileConfig,
    /// The export to syslog.
    pub syslog: AuditSyslogConfig,
}

/// Settings of the export to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditFileConfig {
    /// The file. Empty: no file is written.
    pub path: PathBuf,
    /// The size at which a new file begins, in bytes; 0: at any size.
    pub max_bytes: u64,
    /// After how many seconds a new file begins; 0: after any time.
    pub max_age_s: u64,
    /// The most older files that are kept.
    pub max_files: u32,
    /// Whether lines are on disk before they count as exported.
    pub sync: bool,
}

/// Settings of the export to syslog (RFC 5424).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSyslogConfig {
    /// The receiver: `unix:/dev/log`, `udp:HOST:PORT`, `tcp:HOST:PORT` or `tls:HOST:PORT`. Empty: nothing is sent.
    pub address: SyslogAddress,
    /// The facility.
    pub facility: SyslogFacility,
    /// The file with the only trusted certificates for TLS (PEM). Empty: those of the system.
    pub ca_file: PathBuf,
    /// The file with the client's certificate for TLS (PEM). Empty: none.
    pub client_certificate_file: PathBuf,
    /// The file with the key of the client's certificate (PEM).
    pub client_key_file: PathBuf,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            retention_s: 90 * 86_400,
            per_organisation: 200_000,
            credentials: true,
            reads: false,
            repeat_s: 3_600,
            queue: 20_000,
            fail_closed: false,
            file: AuditFileConfig::default(),
            syslog: AuditSyslogConfig::default(),
        }
    }
}

impl Default for AuditFileConfig {
    fn default() -> Self {
        Self { path: PathBuf::new(), max_bytes: 100 << 20, max_age_s: 86_400, max_files: 30, sync: true }
    }
}

impl Default for AuditSyslogConfig {
    fn default() -> Self {
        Self {
            address: SyslogAddress::None,
            facility: SyslogFacility::Authpriv,
            ca_file: PathBuf::new(),
            client_certificate_file: PathBuf::new(),
            client_key_file: PathBuf::new(),
        }
    }
}

impl AuditConfig {
    /// Returns [`Self::retention_s`] as a duration.
    #[must_use]
    pub const fn retention(&self) -> Duration {
        Duration::from_secs(self.retention_s)
    }

    /// Returns [`Self::repeat_s`] as a duration.
    #[must_use]
    pub const fn repeat(&self) -> Duration {
        Duration::from_secs(self.repeat_s)
    }

    /// Returns why the settings cannot be used. `data_dir` is the data folder; empty: there is none.
    pub(super) fn check(&self, data_dir: &Path) -> Vec<String> {
        let mut wrong = Vec::new();
        let numbers = [
            ("retention_s", self.retention_s, 3_600..=315_360_000),
            ("per_organisation", self.per_organisation.into(), 100..=u32::MAX.into()),
            ("repeat_s", self.repeat_s, 0..=86_400),
            ("queue", self.queue as u64, 100..=1_000_000),
            ("file.max_files", self.file.max_files.into(), 0..=1_000),
        ];
        for (key, value, allowed) in numbers {
            if !allowed.contains(&value) {
                wrong.push(format!("`audit.{key}` must be from {} to {}", allowed.start(), allowed.end()));
            }
        }
        // Smaller ones would remove files before a collector has read them.
        for (key, value, least) in
            [("file.max_bytes", self.file.max_bytes, 4_096), ("file.max_age_s", self.file.max_age_s, 60)]
        {
            if value > 0 && value < least {
                wrong.push(format!("`audit.{key}` must be 0 or at least {least}"));
            }
        }
        if is_inside(&self.file.path, data_dir) {
            wrong.push(format!(
                "`audit.file.path` is in the data folder {}: name a file in another folder",
                data_dir.display()
            ));
        }
        wrong.extend(self.syslog.check().map(str::to_owned));
        wrong
    }
}

/// Returns whether a file, or the one to which its path leads, is in a folder.
fn is_inside(file: &Path, folder: &Path) -> bool {
    if file.as_os_str().is_empty() || folder.as_os_str().is_empty() {
        return false;
    }
    let above = file.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_default();
    let folder = real(folder);
    [real(file), real(above)].iter().any(|path| path.starts_with(&folder))
}

impl AuditSyslogConfig {
    /// Returns the names of the settings with a file, and the files.
    pub(super) fn files_mut(&mut self) -> [(&'static str, &mut PathBuf); 3] {
        [
            ("audit.syslog.ca_file", &mut self.ca_file),
            ("audit.syslog.client_certificate_file", &mut self.client_certificate_file),
            ("audit.syslog.client_key_file", &mut self.client_key_file),
        ]
    }

    /// Returns why the settings contradict each other.
    fn check(&self) -> Option<&'static str> {
        let is_set = |file: &PathBuf| !file.as_os_str().is_empty();
        if is_set(&self.client_certificate_file) != is_set(&self.client_key_file) {
            return Some(
                "`audit.syslog.client_certificate_file` and `audit.syslog.client_key_file` belong together: set both",
            );
        }
        let needs_tls = is_set(&self.ca_file) || is_set(&self.client_certificate_file);
        (needs_tls && !matches!(self.address, SyslogAddress::Tls(_))).then_some(
            "`audit.syslog.ca_file` and `audit.syslog.client_certificate_file` need an address with TLS: \
             set `audit.syslog.address` to tls:HOST:PORT",
        )
    }
}

/// The address of a syslog receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyslogAddress {
    /// No receiver.
    None,
    /// A Unix datagram socket.
    Unix(PathBuf),
    /// A host and port, over UDP.
    Udp(String),
    /// A host and port, over TCP with octet counting (RFC 6587).
    Tcp(String),
    /// A host and port, over TLS (RFC 5425).
    Tls(String),
}

/// The text is not the address of a syslog receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not the address of a syslog receiver: use unix:/dev/log, udp:HOST:PORT, tcp:HOST:PORT or tls:HOST:PORT"
)]
pub struct NotASyslogAddress(String);

impl FromStr for SyslogAddress {
    type Err = NotASyslogAddress;

    fn from_str(text: &str) -> Result<Self, NotASyslogAddress> {
        let refused = || NotASyslogAddress(text.to_owned());
        if text.is_empty() {
            return Ok(Self::None);
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(refused)?;
        let host_and_port = || {
            let (host, port) = rest.rsplit_once(':').ok_or_else(refused)?;
            let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
            if host.is_empty() || !is_port { Err(refused()) } else { Ok(rest.to_owned()) }
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(rest.into())),
            "udp" => Ok(Self::Udp(host_and_port()?)),
            "tcp" => Ok(Self::Tcp(host_and_port()?)),
            "tls" => Ok(Self::Tls(host_and_port()?)),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Tls(address) => write!(f, "tls:{address}"),
        }
    }
}

impl Serialize for SyslogAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SyslogAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The facility of syslog messages (RFC 5424, section 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyslogFacility {
    /// Security messages.
    Auth,
    /// Private security messages.
    Authpriv,
    /// For local use.
    Local0,
    /// For local use.
    Local1,
    /// For local use.
    Local2,
    /// For local use.
    Local3,
    /// For local use.
    Local4,
    /// For local use.
    Local5,
    /// For local use.
    Local6,
    /// For local use.
    Local7,
}

impl SyslogFacility {
    /// Returns the facility's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Auth => 4,
            Self::Authpriv => 10,
            Self::Local0 => 16,
            Self::Local1 => 17,
            Self::Local2 => 18,
            Self::Local3 => 19,
            Self::Local4 => 20,
            Self::Local5 => 21,
            Self::Local6 => 22,
            Self::Local7 => 23,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_a_receiver_is_parsed_and_shown_in_the_same_form() {
        for text in ["", "unix:/dev/log", "udp:siem.example.com:514", "tcp:[::1]:601", "tls:siem:6514"] {
            assert_eq!(text.parse::<SyslogAddress>().unwrap().to_string(), text);
        }
        for text in ["/dev/log", "unix:dev/log", "udp:siem", "udp::514", "tcp:siem:0", "tls:siem", "http:siem:80"] {
            assert!(text.parse::<SyslogAddress>().unwrap_err().to_string().contains("unix:/dev/log"), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_their_bounds_are_refused() {
        let none = Path::new("");
        let check = |change: fn(&mut AuditConfig)| {
            let mut config = AuditConfig::default();
            change(&mut config);
            config.check(none).join("\n")
        };
        assert_eq!(check(|_| ()), "");
        assert_eq!(check(|config| (config.repeat_s, config.file.max_bytes, config.file.max_files) = (0, 0, 0)), "");
        type Change = fn(&mut AuditConfig);
        let wrong: [(Change, &str); 9] = [
            (|config| config.queue = 0, "`audit.queue` must be from 100 to 1000000"),
            (|config| config.queue = usize::MAX, "audit.queue"),
            (|config| config.retention_s = 0, "audit.retention_s"),
            (|config| config.retention_s = u64::MAX, "audit.retention_s"),
            (|config| config.per_organisation = 0, "audit.per_organisation"),
            (|config| config.repeat_s = u64::MAX, "audit.repeat_s"),
            (|config| config.file.max_files = u32::MAX, "`audit.file.max_files` must be from 0 to 1000"),
            (|config| config.file.max_bytes = 1, "`audit.file.max_bytes` must be 0 or at least 4096"),
            (|config| config.file.max_age_s = 1, "audit.file.max_age_s"),
        ];
        for (change, text) in wrong {
            assert!(check(change).contains(text), "{text}: {}", check(change));
        }
    }

    #[test]
    fn file_in_the_data_folder_is_refused_also_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("tidewater.db"), "").unwrap();
        let link = |name: &str, target: PathBuf| {
            std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
            folder.path().join(name)
        };
        let check = |path: PathBuf| {
            AuditConfig { file: AuditFileConfig { path, ..AuditFileConfig::default() }, ..AuditConfig::default() }
                .check(&data)
        };
        for inside in [
            data.join("new.jsonl"),
            data.join("tidewater.db"),
            link("file", data.join("tidewater.db")),
            link("folder", data.clone()).join("new.jsonl"),
            data.join("../data/new.jsonl"),
        ] {
            assert!(check(inside.clone()).join("").contains("is in the data folder"), "{}", inside.display());
        }
        assert!(check(folder.path().join("audit.jsonl")).is_empty());
        assert!(check(PathBuf::new()).is_empty());
    }

    #[test]
    fn files_of_syslog_need_tls_and_a_certificate_its_key() {
        let config = |address: &str, authority: &str, certificate: &str, key: &str| AuditSyslogConfig {
            address: address.parse().unwrap(),
            ca_file: authority.into(),
            client_certificate_file: certificate.into(),
            client_key_file: key.into(),
            ..AuditSyslogConfig::default()
        };
        for accepted in [config("tcp:a:1", "", "", ""), config("tls:a:1", "", "", ""), config("tls:a:1", "r", "c", "k")]
        {
            assert_eq!(accepted.check(), None, "{accepted:?}");
        }
        for (refused, why) in [
            (config("tcp:a:1", "r", "", ""), "tls:HOST:PORT"),
            (config("", "", "c", "k"), "tls:HOST:PORT"),
            (config("tls:a:1", "r", "c", ""), "set both"),
            (config("tls:a:1", "r", "", "k"), "set both"),
        ] {
            assert!(refused.check().unwrap().contains(why), "{refused:?}");
        }
    }
}
