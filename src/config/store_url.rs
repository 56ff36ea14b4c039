//! `store.url`: which database has the catalog.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::secret::Secret;

/// Which database has the catalog. It is displayed, and written as a setting, without passwords.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum StoreUrl {
    /// The SQLite file in the data folder: the empty text.
    #[default]
    DataFolder,
    /// The SQLite file in another folder, which becomes the data folder: `sqlite:FOLDER`.
    Sqlite(PathBuf),
    /// A PostgreSQL database: `postgres://USER@HOST/DATABASE`.
    Postgres(Secret<String>),
}

/// Why a text is not the URL of a store. The message does not repeat the text, which may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAStoreUrl {
    /// The text has no known scheme.
    #[error(
        "is not the URL of a database: write postgres://USER@HOST/DATABASE, or sqlite:FOLDER, or leave it out for the database \
         in the data folder"
    )]
    Scheme,
    /// There is no folder after `sqlite:`.
    #[error("names no folder: write sqlite:FOLDER")]
    NoFolder,
}

impl StoreUrl {
    /// Returns the URL of the PostgreSQL database with its password, or `None` for SQLite.
    #[must_use]
    pub const fn postgres(&self) -> Option<&Secret<String>> {
        match self {
            Self::Postgres(url) => Some(url),
            Self::DataFolder | Self::Sqlite(_) => None,
        }
    }

    /// Returns whether other servers may use the database at the same time.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.postgres().is_some()
    }
}

impl FromStr for StoreUrl {
    type Err = NotAStoreUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::DataFolder);
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(Secret::new(text.to_owned())));
        }
        let folder = text.strip_prefix("sqlite:").ok_or(NotAStoreUrl::Scheme)?;
        // `sqlite:///srv/tide` is the same folder as `sqlite:/srv/tide`.
        let folder = folder.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(folder);
        if folder.is_empty() { Err(NotAStoreUrl::NoFolder) } else { Ok(Self::Sqlite(folder.into())) }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataFolder => Ok(()),
            Self::Sqlite(folder) => write!(f, "sqlite:{}", folder.display()),
            Self::Postgres(url) => f.write_str(&without_passwords(url.expose())),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Returns a URL with `***` for the password of its user, and for each parameter that may be a password.
fn without_passwords(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    // A password may contain any character. Everything up to the last `@` may be the user's.
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
    let (place, parameters) = rest.split_once('?').map_or((rest, ""), |(place, parameters)| (place, parameters));
    let mut shown = format!("{scheme}://");
    if !user.is_empty() {
        match user.split_once(':') {
            Some((name, _)) => shown.push_str(&format!("{name}:***@")),
            None => shown.push_str(&format!("{user}@")),
        }
    }
    shown.push_str(place);
    for (at, parameter) in parameters.split('&').filter(|parameter| !parameter.is_empty()).enumerate() {
        shown.push(if at == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, _)) if name.contains("pass") || name.contains('%') => shown.push_str(&format!("{name}=***")),
            _ => shown.push_str(parameter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_select_the_database() {
        let parse = |text: &str| text.parse::<StoreUrl>();
        assert_eq!(parse(""), Ok(StoreUrl::DataFolder));
        for text in ["sqlite:/srv/tide", "sqlite:///srv/tide"] {
            assert_eq!(parse(text), Ok(StoreUrl::Sqlite("/srv/tide".into())), "{text}");
        }
        assert_eq!(parse("sqlite:data"), Ok(StoreUrl::Sqlite("data".into())));
        for text in ["postgres://h/d", "postgresql://h/d"] {
            assert_eq!(parse(text).unwrap().postgres().unwrap().expose(), text);
        }
        assert_eq!(parse("sqlite:"), Err(NotAStoreUrl::NoFolder));
        for text in ["/srv/tide", "mysql://h/d", "host=h password=hush"] {
            let refused = parse(text).unwrap_err();
            assert_eq!(refused, NotAStoreUrl::Scheme, "{text}");
            assert!(!refused.to_string().contains("hush"));
        }
    }

    #[test]
    fn shown_url_has_no_password() {
        for (url, shown) in [
            ("postgres://h/d", "postgres://h/d"),
            ("postgres://tide@h:5432/d?sslmode=verify-full", "postgres://tide@h:5432/d?sslmode=verify-full"),
            ("postgres://tide:hush@h/d", "postgres://tide:***@h/d"),
            ("postgres://tide:hush@hush/hush@h/d", "postgres://tide:***@h/d"),
            ("postgresql://h/d?password=hush&sslmode=require", "postgresql://h/d?password=***&sslmode=require"),
            ("postgres://h/d?p%61ssword=hush", "postgres://h/d?p%61ssword=***"),
        ] {
            let url: StoreUrl = url.parse().unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("hush"));
            assert!(!serde_json::to_string(&url).unwrap().contains("hush"));
        }
    }
}
