//! Secrets in settings that are shown.

use crate::base::secret::Secret;

/// Serializes a secret as its default, an empty text.
pub(super) fn as_empty_text<S: serde::Serializer>(_: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str("")
}
