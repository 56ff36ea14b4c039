//! How metadata files are named: `metadata/<version>-<uuid>.metadata.json` (Iceberg specification, file system tables,
//! and the convention of all catalogs), `.gz.metadata.json` when compressed.

use uuid::Uuid;

use super::Metadata;

/// How a metadata file is compressed (`write.metadata.compression-codec`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not.
    None,
    /// With gzip.
    Gzip,
}

impl Compression {
    /// Reads the value of the property; no value means none.
    ///
    /// # Errors
    /// The value, when it is neither `none` nor `gzip`.
    pub fn from_property(value: Option<&str>) -> Result<Self, String> {
        match value {
            None => Ok(Self::None),
            Some(value) if value.eq_ignore_ascii_case("none") => Ok(Self::None),
            Some(value) if value.eq_ignore_ascii_case("gzip") => Ok(Self::Gzip),
            Some(other) => Err(other.to_owned()),
        }
    }
}

/// The name of the file that follows `previous` (a location or a name), or of a table's first.
#[must_use]
pub fn next_file_name(previous: Option<&str>, id: Uuid, compression: Compression) -> String {
    let version = previous.map_or(0, |previous| version_of(previous).map_or(0, |version| version + 1));
    let extension = match compression {
        Compression::None => "metadata.json",
        Compression::Gzip => "gz.metadata.json",
    };
    format!("{version:05}-{id}.{extension}")
}

/// Returns where the metadata files of a table or view are.
#[must_use]
pub fn metadata_folder(metadata: &impl Metadata) -> String {
    match metadata.properties().get("write.metadata.path") {
        Some(folder) => folder.trim_end_matches('/').to_owned(),
        None => format!("{}/metadata", metadata.location().trim_end_matches('/')),
    }
}

/// Returns the version in a file's name, given the name or a location; other catalogs' names may have none.
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
    fn versions_count_up_from_the_previous_name_whoever_wrote_it() {
        let id = Uuid::from_u128(7);
        let after = |previous| next_file_name(previous, id, Compression::None);
        assert_eq!(after(None), format!("00000-{id}.metadata.json"));
        assert_eq!(after(Some("s3://b/t/metadata/00009-x.metadata.json")), format!("00010-{id}.metadata.json"));
        assert_eq!(after(Some("s3://b/t/metadata/v3.metadata.json")), format!("00004-{id}.metadata.json"));
        assert_eq!(after(Some("s3://b/t/metadata/other")), format!("00000-{id}.metadata.json"));
        assert_eq!(next_file_name(None, id, Compression::Gzip), format!("00000-{id}.gz.metadata.json"));
    }

    #[test]
    fn only_known_codecs_are_taken() {
        assert_eq!(Compression::from_property(None), Ok(Compression::None));
        assert_eq!(Compression::from_property(Some("GZIP")), Ok(Compression::Gzip));
        assert_eq!(Compression::from_property(Some("zstd")), Err("zstd".to_owned()));
    }
}
