//! The differences that are meant, each with its reason. A fault of `core` has no row here.

use super::case::{Case, Operation, UNCHANGED};
use super::verdict::{Difference, Kind};

/// A set of differences that have one reason.
pub(crate) struct Explained {
    kind: Kind,
    /// The operations; empty: all.
    operations: &'static [Operation],
    /// What the place of a change ends with; empty: any.
    place: &'static str,
    /// What the change holds, as reports show it; empty: any.
    change: &'static str,
    /// What the message holds.
    message: &'static str,
    pub(crate) reason: &'static str,
}

impl Explained {
    const fn new(kind: Kind, message: &'static str, reason: &'static str) -> Self {
        Self { kind, operations: &[], place: "", change: "", message, reason }
    }

    const fn of(self, operations: &'static [Operation]) -> Self {
        Self { operations, ..self }
    }

    const fn at(self, place: &'static str) -> Self {
        Self { place, ..self }
    }

    const fn changed(self, change: &'static str) -> Self {
        Self { change, ..self }
    }

    pub(crate) fn matches(&self, case: &Case<'_>, difference: &Difference) -> bool {
        self.kind == difference.kind
            && (self.operations.is_empty() || self.operations.contains(&case.source.operation))
            && difference.message.contains(self.message)
            && (self.place.is_empty() || case.places().iter().any(|place| place.ends_with(self.place)))
            && (self.change.is_empty() || case.to_string().contains(self.change))
    }
}

const VIEWS: &[Operation] = &[Operation::View, Operation::ViewCommit, Operation::CreateView];

const TWICE: &str = "a key that stands twice is refused: readers disagree on which one counts, and Java takes the last";
const SOURCE_IDS: &str =
    "Java lags behind: it does not know the specification's source-ids, and so does not check them";
const V4: &str = "format version 4 is not adopted yet";
const VERSIONS: &str = "the specification's format versions start at 1; Java checks only that they are not too new";
const PARAMETER: &str =
    "a known transform with a wrong parameter is a mistake; Java keeps it as a transform that it does not know";
const DECIMAL: &str =
    "the specification says otherwise: a decimal has 1 to 38 digits, not more of them behind the point";
const LATER: &str = "Java reads the document, and fails when what is missing is needed";
const COERCED: &str = "Java's JSON library makes a text or a flag of any number, and no property of null";
const NO_LIST: &str = "Java takes what is no list for an empty one";
const ROW_IDS: &str = "Java does not look at the row ids of a snapshot whose manifests stand in it";
const OVERFLOW: &str = "the sum does not fit a 64-bit integer; Java's overflows";
const IN_ORDER: &str = "an update is applied to what those before it made; Java looks at ids only in the end";
const MINUS_ZERO: &str = "-0 is refused for an integer: iceberg-rust cannot read it";
const NULL: &str = "an optional field that is null counts as absent; Java refuses it";
const ID_IS_GIVEN: &str =
    "the REST specification marks the id as read-only: the server gives it, whatever the client sends";
const METRICS: &str = "Java checks the metrics properties of new tables only; the specification has no such rule, and readers ignore a wrong one";
const SIZE: &str = "Java fails to reserve a list when more snapshots are named than there are";
const LAST_ADDED: &str = "an equal spec that is there already counts as the one added last; Java refuses -1 then";
const STAGED: &str = "a table without a spec or an order is unpartitioned and unsorted; Java fails";
const UUID_ADDED: &str =
    "a table of format version 1 without an id is given one, which newer formats require; Java fails";
const UUID_SPELLING: &str = "a UUID is compared and written as RFC 9562 says; Java takes it for text";
const NEXT_ROW: &str = "the specification says otherwise: the next row id is above all that were assigned; Java adds to the table's number";
const SAME_VERSION: &str = "the same version added twice is one version; Java adds it twice";
const BOUND: &str = "Java binds the transform of a loaded spec to the type that its source had";

const PYTHON_TYPES: &str = "PyIceberg lags behind: it does not know all types of format version 3, nor their parameters as the specification writes them";
const PYTHON_OLD: &str = "PyIceberg lags behind: it does not read what only the oldest tables have";
const PYTHON_BLOBS: &str = "PyIceberg lags behind: it knows only the types of blobs that it writes, where the specification lets anyone define one";
const RUST_V3: &str = "iceberg-rust lags behind: it does not know all of format version 3";
const RUST_OLD: &str = "iceberg-rust lags behind: it does not read what only the oldest tables have";
const RUST_VOID: &str =
    "a dropped partition field may outlive its column (specification, void); iceberg-rust needs the column";

/// All of them.
pub(crate) const EXPLAINED: &[Explained] = &[
    Explained::new(Kind::OnlyJavaAccepts, "appears twice", TWICE),
    Explained::new(Kind::OnlyJavaAccepts, "duplicate field", TWICE),
    Explained::new(Kind::OnlyJavaAccepts, "must be a map of strings", TWICE).changed("again := "),
    Explained::new(Kind::OnlyJavaAccepts, "'source-ids' must be", SOURCE_IDS),
    Explained::new(Kind::OnlyJavaAccepts, "source", SOURCE_IDS).at("/+source-ids"),
    Explained::new(Kind::OnlyJavaAccepts, "unsupported version 4", V4),
    Explained::new(Kind::OnlyJavaAccepts, "Unsupported format version: v4", V4),
    Explained::new(Kind::OnlyJavaAccepts, "Cannot read unsupported version", VERSIONS),
    Explained::new(Kind::OnlyJavaAccepts, "Unsupported format version", VERSIONS),
    Explained::new(Kind::OnlyJavaAccepts, "Invalid transform: bucket", PARAMETER),
    Explained::new(Kind::OnlyJavaAccepts, "Invalid transform: truncate", PARAMETER),
    Explained::new(Kind::OnlyJavaAccepts, "has wrong parameters", DECIMAL),
    Explained::new(Kind::OnlyJavaAccepts, "Cannot find partition spec with default-spec-id", LATER),
    Explained::new(Kind::OnlyJavaAccepts, "Cannot find sort order with default-sort-order-id", LATER),
    Explained::new(Kind::OnlyJavaAccepts, "of the current view version", LATER),
    Explained::new(Kind::OnlyJavaAccepts, "Cannot find current version", LATER),
    Explained::new(Kind::OnlyJavaAccepts, "Invalid create table request: field", COERCED).of(&[Operation::Create]),
    Explained::new(Kind::OnlyJavaAccepts, "Invalid array", NO_LIST).of(&[Operation::Table]),
    Explained::new(
        Kind::OnlyJavaAccepts,
        "Cannot use partition field id more than once",
        "the specification says otherwise: the id of a partition field is unique; Java does not check it",
    ),
    Explained::new(Kind::OnlyJavaAccepts, "Invalid added-rows", ROW_IDS),
    Explained::new(Kind::OnlyJavaAccepts, "Invalid first-row-id", ROW_IDS),
    Explained::new(Kind::OnlyJavaAccepts, "no row ids are left", OVERFLOW),
    Explained::new(Kind::OnlyJavaAccepts, "before last snapshot log entry", OVERFLOW).at("/last-updated-ms"),
    Explained::new(Kind::OnlyJavaAccepts, "to unknown s", IN_ORDER).of(&[Operation::Commit]),
    Explained::new(Kind::OnlyJavaAccepts, "`-0.0`", MINUS_ZERO),
    Explained::new(Kind::OnlyJavaAccepts, "must be an array of", MINUS_ZERO).changed(":= -0"),
    Explained::new(
        Kind::OnlyJavaAccepts,
        "Cannot reassign table UUID",
        "the specification says otherwise: a table's UUID must not change, since clients that hold the table then fail",
    ),
    Explained::new(
        Kind::OnlyJavaAccepts,
        "Invalid UUID",
        "the specification says otherwise: it is a UUID, for which Java takes any text",
    ),
    Explained::new(
        Kind::OnlyJavaAccepts,
        "View location must not be empty",
        "a view without a location cannot be written; Java's server notices when it writes",
    ),
    Explained::new(
        Kind::OnlyJavaAccepts,
        "there is no query",
        "a view has a query; Java's server checks it before the classes that are asked here",
    ),
    Explained::new(Kind::OnlyWeAccept, "Cannot parse missing int: spec-id", ID_IS_GIVEN),
    Explained::new(Kind::OnlyWeAccept, "Cannot parse missing int: order-id", ID_IS_GIVEN),
    Explained::new(Kind::OnlyWeAccept, "spec-id: null", ID_IS_GIVEN),
    Explained::new(Kind::OnlyWeAccept, "order-id: null", ID_IS_GIVEN),
    Explained::new(Kind::OnlyWeAccept, "field-id: null", NULL),
    Explained::new(Kind::OnlyWeAccept, "parent-snapshot-id: null", NULL),
    Explained::new(Kind::OnlyWeAccept, "stageCreate flag: null", NULL),
    Explained::new(Kind::OnlyWeAccept, "non-object value: properties: null", NULL),
    Explained::new(Kind::OnlyWeAccept, "Invalid metrics config", METRICS),
    Explained::new(Kind::OnlyWeAccept, "arraySize cannot be negative", SIZE),
    Explained::new(Kind::OnlyWeAccept, "no spec has been added", LAST_ADDED),
    Explained::new(Kind::OnlyWeAccept, "build: NullPointerException", STAGED).of(&[Operation::CreateCommit]),
    Explained::new(Kind::OnlyWeAccept, "UUID is required", UUID_ADDED),
    Explained::new(Kind::OnlyWeAccept, "Cannot reassign uuid", UUID_SPELLING).of(VIEWS),
    Explained::new(Kind::OnlyWeAccept, "Invalid source type date for transform: day", BOUND),
    Explained::new(
        Kind::OnlyWeAccept,
        "build: NumberFormatException",
        "spaces around the number in this property do no harm: it is not kept",
    )
    .at("/properties/format-version"),
    Explained::new(Kind::Result, "/table-uuid", UUID_SPELLING),
    Explained::new(Kind::Result, "/next-row-id", NEXT_ROW),
    Explained::new(Kind::Result, "/current-version-id", SAME_VERSION).changed("twice"),
    Explained::new(Kind::UnreadableByPython, "'>' not supported", PYTHON_OLD).at(UNCHANGED),
    Explained::new(Kind::UnreadableByPython, "manifest-list | ", PYTHON_OLD),
    Explained::new(Kind::UnreadableByPython, "into a GeometryType", PYTHON_TYPES),
    Explained::new(Kind::UnreadableByPython, "into a GeographyType", PYTHON_TYPES),
    Explained::new(Kind::UnreadableByPython, "Unsupported field type: 'variant'", PYTHON_TYPES),
    Explained::new(Kind::UnreadableByPython, "type timestamp_ns not supported", PYTHON_TYPES),
    Explained::new(Kind::UnreadableByPython, "blob-metadata", PYTHON_BLOBS).at("/blob-metadata/*/type"),
    Explained::new(Kind::UnreadableByRust, "TableMetadataEnum", RUST_OLD).at(UNCHANGED).changed("v1-legacy"),
    Explained::new(Kind::UnreadableByRust, "only manifest list is supported", RUST_OLD),
    Explained::new(Kind::UnreadableByRust, "TableMetadataEnum", RUST_V3).at(UNCHANGED).changed("v3"),
    Explained::new(Kind::UnreadableByRust, "No column with source column id", RUST_VOID),
];
