//! Documents that we accept and Java reads, but PyIceberg or iceberg-rust cannot read.

use super::{Explained, Operation};
use crate::oracle::case::UNCHANGED;
use crate::oracle::verdict::Kind;

const fn python(message: &'static str, reason: &'static str) -> Explained {
    Explained::new(Kind::UnreadableByPython, message, reason)
}

const fn rust(message: &'static str, reason: &'static str) -> Explained {
    Explained::new(Kind::UnreadableByRust, message, reason)
}

const PYTHON_TYPES: &str = "PyIceberg lags behind: it does not know all types of format version 3, nor their parameters as the \
                            specification writes them";
const PYTHON_OLD: &str = "PyIceberg lags behind: it does not read fields that only the oldest tables have";
const PYTHON_BLOBS: &str = "PyIceberg lags behind: it knows only the types of blobs that it writes, where the specification lets \
                            anyone define one";
const RUST_V3: &str = "iceberg-rust lags behind: it does not know all types of format version 3";
const RUST_OLD: &str = "iceberg-rust lags behind: it does not read fields that only the oldest tables have";
const RUST_VOID: &str = "specification: a dropped partition field (void) may outlive its column; iceberg-rust needs it";
const RUST_TRANSFORM: &str = "iceberg-rust lags behind: it fails on an unknown transform, where the specification asks \
                              readers to ignore it";

const RUST_OPERATION: &str =
    "iceberg-rust lags behind: Java, PyIceberg and Go take a summary without an operation for one of `overwrite`";

const RANGE: &str = "an unknown field stays unchanged, also a number beyond 64 bits, which iceberg-rust cannot hold";

pub(super) const ROWS: &[Explained] = &[
    python("'>' not supported", PYTHON_OLD).case("v1-legacy"),
    python("manifest-list | ", PYTHON_OLD),
    python("into a GeometryType", PYTHON_TYPES),
    python("into a GeographyType", PYTHON_TYPES),
    python("'variant'", PYTHON_TYPES),
    python(".field-id | ", PYTHON_OLD).case("table v1; "),
    python(
        "not a primitive type field",
        "PyIceberg takes an unknown field identifier_field_ids for identifier-field-ids",
    )
    .case("identifier_field_ids"),
    python("_ns not supported", PYTHON_TYPES),
    python("blob-metadata", PYTHON_BLOBS).at("/blob-metadata/*/type"),
    rust("MetadataEnum", RUST_OLD).case("v1-legacy"),
    rust("MetadataEnum", RUST_OLD).case("table v1; /partition-spec"),
    rust("only manifest list is supported", RUST_OLD),
    rust("MetadataEnum", RUST_V3).at(UNCHANGED),
    rust("MetadataEnum", RUST_V3).case("type := \"geo"),
    rust("MetadataEnum", RUST_V3).case("element := \"geo"),
    rust("MetadataEnum", RUST_V3).case("key := \"geo"),
    rust("MetadataEnum", RUST_V3).case("value := \"geo"),
    rust("MetadataEnum", RUST_V3).case("\"variant\""),
    rust("MetadataEnum", RUST_V3).case("\"unknown\""),
    rust("MetadataEnum", RUST_TRANSFORM).at("/transform"),
    rust("MetadataEnum", RUST_OPERATION).at("/summary"),
    rust("MetadataEnum", RUST_OPERATION).at("/summary/operation"),
    rust("number out of range", RANGE).case("1e400"),
    Explained::new(Kind::Spelling, "number out of range", RANGE).case("1e400"),
    rust("No column with source column id", RUST_VOID).of(&[Operation::Commit, Operation::Table]),
];
