//! Names metadata files: `metadata/<version>-<uuid>.metadata.json` (Iceberg specification, file system tables, and the
//! convention of all catalogs), or `.gz.metadata.json` for compressed files.

use uuid::Uuid;

use super::Metadata;

/// The compression of a metadata file (`write.metadata.compression-codec`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// No compression.
    None,
    /// Gzip.
    Gzip,
}

impl Compression {
    /// Parses the value of the property. No value means no compression.
    ///
    /// # Errors
    /// Returns the value if it is neither `none` nor `gzip`.
    pub fn from_property(value: Option<&str>) -> Result<Self, String> {
        match value {
            None => Ok(Self::None),
            Some(value) if value.eq_ignore_ascii_case("none") => Ok(Self::None),
            Some(value) if value.eq_ignore_ascii_case("gzip") => Ok(Self::Gzip),
            Some(other) => Err(other.to_owned()),
        }
    }
}

/// Returns the name of the file after `previous` (a location or a name), or of a table's first file. `id` makes it unique.
#[must_use]
pub fn next_file_name(previous: Option<&str>, id: Uuid, compression: Compression) -> String {
    let version = previous.map_or(0, |previous| version_of(previous).map_or(0, |version| version + 1));
    let extension = match compression {
        Compression::None => "metadata.json",
        Compression::Gzip => "gz.metadata.json",
    };
    format!("{version:05}-{id}.{extension}")
}

/// Returns the folder of a table's or view's metadata files.
#[must_use]
pub fn metadata_folder(metadata: &impl Metadata) -> String {
    match metadata.properties().get("write.metadata.path") {
        Some(folder) => folder.trim_end_matches('/').to_owned(),
        None => format!("{}/metadata", metadata.location().trim_end_matches('/')),
    }
}

/// Returns the version in a file's name. `location` is the name or the file's location. Files of other catalogs may have none.
#[must_use]
pub fn version_of(location: &str) -> Option<u64> {
    let name = location.rsplit('/').next()?;
    let (version, _) = name.strip_prefix('v').unwrap_or(name).split_once(['-', '.'])?;
    version.parse().ok().filter(|version| *version < u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_version_is_one_higher_for_names_of_any_catalog() {
        let id = Uuid::from_u128(7);
        let after = |previous| next_file_name(previous, id, Compression::None);
        assert_eq!(after(None), format!("00000-{id}.metadata.json"));
        assert_eq!(after(Some("s3://b/t/metadata/00009-x.metadata.json")), format!("00010-{id}.metadata.json"));
        assert_eq!(after(Some("s3://b/t/metadata/v3.metadata.json")), format!("00004-{id}.metadata.json"));
        assert_eq!(after(Some("s3://b/t/metadata/other")), format!("00000-{id}.metadata.json"));
        assert_eq!(next_file_name(None, id, Compression::Gzip), format!("00000-{id}.gz.metadata.json"));
    }

    #[test]
    fn unknown_codec_is_refused() {
        assert_eq!(Compression::from_property(None), Ok(Compression::None));
        assert_eq!(Compression::from_property(Some("GZIP")), Ok(Compression::Gzip));
        assert_eq!(Compression::from_property(Some("zstd")), Err("zstd".to_owned()));
    }
}
