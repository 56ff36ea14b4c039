//! Statistics files and encryption keys: the fields that rules need, and the specification's rules for new ones.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::json::{Edits, Object, join_if_changed, quote, view, without_nulls};
use super::{DocumentError, Properties};

/// A statistics file, identified by its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// The snapshot that it describes.
    pub snapshot_id: i64,
}

/// A partition statistics file, identified by its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStatistics {
    /// The snapshot that it describes.
    pub snapshot_id: i64,
}

/// An encryption key (v3), identified by its id. The key itself is encrypted, and never read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptionKey {
    /// Its id.
    pub id: Box<str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StatisticsView {
    snapshot_id: i64,
    #[serde(rename = "statistics-path")]
    _path: String,
    #[serde(rename = "file-size-in-bytes")]
    _size: i64,
    #[serde(rename = "file-footer-size-in-bytes")]
    _footer_size: i64,
    #[serde(rename = "blob-metadata")]
    _blobs: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct PartitionStatisticsView {
    snapshot_id: i64,
    #[serde(rename = "statistics-path")]
    _path: String,
    #[serde(rename = "file-size-in-bytes")]
    _size: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct EncryptionKeyView {
    key_id: Box<str>,
    encrypted_key_metadata: String,
}

impl Statistics {
    /// Parses a statistics file. Removes optional fields that are null, also in its blobs.
    pub(crate) fn parse(text: &str) -> Result<(Self, Cow<'_, str>), DocumentError> {
        let view: StatisticsView = view("statistics file", text)?;
        Ok((Self { snapshot_id: view.snapshot_id }, Self::spelled(text)?))
    }

    fn spelled(text: &str) -> Result<Cow<'_, str>, DocumentError> {
        if !text.contains("null") {
            return Ok(Cow::Borrowed(text));
        }
        let object = Object::parse("statistics file", text)?;
        let mut edits = Edits::default();
        edits.drop_nulls(&object, &["key-metadata"]);
        let blobs = object.array("blob-metadata")?;
        // `problem` reports a blob that is not an object.
        let spelled = |blob| without_nulls("blob metadata", blob, &["properties"]).unwrap_or(Cow::Borrowed(blob));
        let blobs: Vec<Cow<'_, str>> = blobs.into_iter().map(spelled).collect();
        if let Some(blobs) = join_if_changed(&blobs) {
            edits.set("blob-metadata", blobs);
        }
        Ok(edits.apply(&object, text))
    }

    /// Returns which rule the statistics file in `text` breaks (specification, "Table Statistics").
    pub(crate) fn problem(text: &str) -> Option<String> {
        Self::check(text).err().map(|error| error.to_string())
    }

    fn check(text: &str) -> Result<(), DocumentError> {
        let object = Object::parse("statistics file", text)?;
        object.optional_string("key-metadata")?;
        for blob in object.array("blob-metadata")? {
            let blob = Object::parse("blob metadata", blob)?;
            blob.string("type")?;
            blob.i64("snapshot-id")?;
            blob.i64("sequence-number")?;
            blob.read::<Vec<i32>>("fields", "an array of field ids")?;
            blob.optional_read::<Properties>("properties", "a map of strings")?;
        }
        Ok(())
    }
}

impl PartitionStatistics {
    pub(crate) fn parse(text: &str) -> Result<(Self, Cow<'_, str>), DocumentError> {
        let view: PartitionStatisticsView = view("partition statistics file", text)?;
        Ok((Self { snapshot_id: view.snapshot_id }, Cow::Borrowed(text)))
    }
}

impl EncryptionKey {
    /// Parses a key. Removes optional fields that are null, and adds the Base64 padding that some readers need.
    pub(crate) fn parse(text: &str) -> Result<(Self, Cow<'_, str>), DocumentError> {
        let view: EncryptionKeyView = view("encryption key", text)?;
        let key = Self { id: view.key_id };
        let metadata = padded(&view.encrypted_key_metadata);
        if matches!(metadata, Cow::Borrowed(_)) && !text.contains("null") {
            return Ok((key, Cow::Borrowed(text)));
        }
        let object = Object::parse("encryption key", text)?;
        let mut edits = Edits::default();
        edits.drop_nulls(&object, &["encrypted-by-id", "properties"]);
        edits.correct_string("encrypted-key-metadata", &view.encrypted_key_metadata, &metadata);
        Ok((key, edits.apply(&object, text)))
    }

    /// Returns which rule the key in `text` breaks (specification, "Encryption Keys").
    pub(crate) fn problem(text: &str) -> Option<String> {
        Self::check(text).err().map(|error| error.to_string())
    }

    fn check(text: &str) -> Result<(), DocumentError> {
        let object = Object::parse("encryption key", text)?;
        object.optional_string("encrypted-by-id")?;
        object.optional_read::<Properties>("properties", "a map of strings")?;
        let metadata = object.string("encrypted-key-metadata")?;
        if is_base64(&metadata) {
            return Ok(());
        }
        let shown = quote(&super::json::excerpt(&metadata));
        Err(DocumentError::invalid(format!(
            "Invalid encryption key: field 'encrypted-key-metadata' must be Base64: {shown}"
        )))
    }
}

/// Returns `text` with the missing `=` at the end of Base64.
fn padded(text: &str) -> Cow<'_, str> {
    match text.len() % 4 {
        2 if !text.contains('=') => Cow::Owned(format!("{text}==")),
        3 if !text.contains('=') => Cow::Owned(format!("{text}=")),
        _ => Cow::Borrowed(text),
    }
}

/// Returns whether a text is Base64 with padding (RFC 4648, section 4), in the canonical form.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    // In the canonical form, the unused bits of the last digit are zero.
    let unused_bits = match padding {
        0 => 0,
        1 => 0b11,
        2 => 0b1111,
        _ => return false,
    };
    text.len().is_multiple_of(4)
        && digits.bytes().all(|byte| value(byte).is_some())
        && digits.bytes().last().and_then(value).is_none_or(|last| last & unused_bits == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_canonical_base64_is_refused() {
        for text in ["", "AQID", "AQI=", "AQ==", "+/+/"] {
            assert!(is_base64(text), "{text}");
        }
        for text in ["A", "AQ", "AQI", "AR==", "AQJ=", "A===", "====", "AQ=D", "A-_D", " AQID", "not base64!"] {
            assert!(!is_base64(text), "{text}");
        }
    }

    #[test]
    fn missing_padding_is_added() {
        for (text, expected) in [("AQ", "AQ=="), ("AQI", "AQI="), ("AQID", "AQID"), ("AQ==", "AQ=="), ("A", "A")] {
            assert_eq!(padded(text), expected);
        }
    }

    #[test]
    fn blob_nulls_are_removed_and_missing_blob_fields_refused() {
        let file = |blob: &str| {
            format!(
                r#"{{"snapshot-id":1,"statistics-path":"s3://b/s","file-size-in-bytes":1,"file-footer-size-in-bytes":1,"blob-metadata":[{blob}]}}"#
            )
        };
        let with_null = file(r#"{"type":"t","snapshot-id":1,"sequence-number":1,"fields":[1],"properties":null}"#);
        let (_, json) = Statistics::parse(&with_null).unwrap();
        assert_eq!(json, file(r#"{"type":"t","snapshot-id":1,"sequence-number":1,"fields":[1]}"#));
        assert_eq!(Statistics::problem(&json), None);
        for blob in ["{}", "1", r#"{"type":"t","snapshot-id":1,"sequence-number":1,"fields":["a"]}"#] {
            assert!(Statistics::problem(&file(blob)).is_some(), "{blob}");
        }
    }
}
