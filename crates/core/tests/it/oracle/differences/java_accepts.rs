//! Cases that Java accepts and we refuse.

use super::{Explained, Operation, REGISTERED};
use crate::oracle::verdict::Kind;

const fn row(message: &'static str, reason: &'static str) -> Explained {
    Explained::new(Kind::OnlyJavaAccepts, message, reason)
}

const TWICE: &str = "a repeated key is refused: readers disagree on which one counts, and Java uses the last";
const SOURCE_IDS: &str =
    "Java lags behind: it does not know the specification's source-ids, and so does not check them";
const V4: &str = "format version 4 is not adopted yet";
const VERSIONS: &str = "the specification's format versions start at 1; Java checks only that they are not too new";
const PARAMETER: &str = "a known transform with a wrong parameter is a mistake; Java keeps it as an unknown transform";
const DECIMAL: &str = "specification: a decimal has 1 to 38 digits, and no larger scale";
const LATER: &str = "Java reads the document, and fails when it needs the missing or repeated part";
const COERCED: &str = "Java's JSON library converts any number to a text or a flag, and drops a property that is null";
const NO_LIST: &str = "Java reads any value other than a list as an empty list";
const ROW_IDS: &str = "Java ignores the row ids of a snapshot that lists its manifests itself";
const OVERFLOW: &str = "the sum does not fit a 64-bit integer; Java's overflows";
const IN_ORDER: &str = "each update is applied to the result of those before it; Java checks ids only at the end";
const MINUS_ZERO: &str = "-0 is refused for an integer: iceberg-rust cannot read it";
const UUID: &str = "specification: it is a UUID; Java accepts any text; PyIceberg cannot read others";
const AS_IT_CAME: &str =
    "a registered file stays unchanged, and readers other than Java know only the specification's spelling";
const RESERVED: &str = "specification: field ids above 2147483447 are reserved";
const OPERATION: &str =
    "specification: a summary has one of four operations; PyIceberg and iceberg-rust cannot read others";
const NO_OPERATION: &str =
    "specification: a new snapshot has an operation; without one a document is read, and only iceberg-rust refuses it";
const REQUIRED: &str = "specification: required in this format version; Java fills in a value";
const LEGACY: &str = "specification: these fields of format version 1 are required, and written for the oldest readers; Java ignores \
                      them where it finds the lists";
const KEY_METADATA: &str = "specification: a text; Java does not read it";
const UNTIL_V3: &str = "specification: of format version 3; Java checks it only when a schema is added";
const MANIFESTS: &str =
    "specification: only format version 1 has manifests in a snapshot; other readers cannot read them in newer ones";
const NEGATIVE: &str = "specification: it counts from 0; Java does not check the lower bound";
const EMPTY: &str = "an empty value is useless; Java fails when it uses the value";
const OWN_PARENT: &str = "a snapshot that is its own parent makes an endless history";
const SPACED: &str =
    "spaces around a transform are removed, and then it does not fit its column; Java keeps it as an unknown transform";

pub(super) const ROWS: &[Explained] = &[
    row("", "half of a surrogate pair is no text: PyIceberg and iceberg-rust cannot read it").case(r"\ud800"),
    row("types are nested deeper", "types that are nested hundreds of levels deep exhaust the stack of a reader"),
    row("appears twice", TWICE),
    row("duplicate field", TWICE),
    row("must be a map of strings", TWICE).case("again := "),
    row("'source-ids' must be", SOURCE_IDS),
    row("ource", SOURCE_IDS).at("/+source-ids"),
    row("a transform of 2 columns", SOURCE_IDS),
    row("unsupported version 4", V4),
    row("Unsupported format version: v4", V4),
    row("Cannot read unsupported version", VERSIONS),
    row("Unsupported format version", VERSIONS),
    row("Invalid transform: bucket", PARAMETER),
    row("Invalid transform: truncate", PARAMETER),
    row("Invalid source type", SPACED).at("/transform"),
    row("has wrong parameters", DECIMAL),
    row("need a field-id from v2 on", REQUIRED),
    row("location must not be empty", EMPTY),
    row(
        "multiple fields for name .",
        "a column without a name has the names below it begin with a point, as others may",
    ),
    row("is not a string like", "specification: a value of microseconds has six digits; Java cuts more of them off"),
    row("Cannot find partition spec with default-spec-id", LATER),
    row("Cannot find sort order with default-sort-order-id", LATER),
    row("of the current view version", LATER),
    row("Cannot find current version", LATER),
    row("Cannot add multiple queries for dialect", LATER).of(REGISTERED),
    row("Invalid create table request: field", COERCED).of(&[Operation::Create]),
    row("Invalid array", NO_LIST).of(&[Operation::Table]),
    row(
        "Cannot use partition field id more than once",
        "specification: the id of a partition field is unique; Java does not check it",
    ),
    row("Invalid added-rows", ROW_IDS),
    row("Invalid first-row-id", ROW_IDS),
    row("no row ids are left", OVERFLOW),
    row("before last snapshot log entry", OVERFLOW).at("/last-updated-ms"),
    row("to unknown s", IN_ORDER).of(&[Operation::Commit]),
    row("`-0.0`", MINUS_ZERO),
    row("must be an array of", MINUS_ZERO).case(":= -0"),
    row("integer: -0", MINUS_ZERO),
    row("the default -0 is not", MINUS_ZERO),
    row(
        "Cannot reassign table UUID",
        "specification: a table's UUID must not change, since clients that hold the table then fail",
    ),
    row("Invalid UUID", UUID),
    row("-uuid is not a UUID", UUID),
    row("which the specification writes", AS_IT_CAME).of(REGISTERED),
    row("is null: leave it out", AS_IT_CAME).of(REGISTERED),
    row("is not in the specification's form", AS_IT_CAME).of(REGISTERED),
    row("is reserved, as all above", RESERVED),
    row("is not one of append, replace, overwrite, delete", OPERATION),
    row("its summary has no operation", NO_OPERATION).of(&[Operation::Commit]),
    row("missing field 'summary'", REQUIRED),
    row("missing field 'sequence-number'", REQUIRED),
    row("schema-id is missing", REQUIRED).of(REGISTERED),
    row(
        "manifests",
        "specification: manifests are left out where there is a manifest-list; Java does not look at them then",
    )
    .at("/+manifests"),
    row("schema: ", LEGACY).of(&[Operation::Table]).case("table v1"),
    row("schema: ", LEGACY).of(&[Operation::Table]).at("/+schema"),
    row("partition-spec: ", LEGACY).of(&[Operation::Table]),
    row("/schema is missing", LEGACY).of(&[Operation::Table]),
    row("/partition-spec is missing", LEGACY).of(&[Operation::Table]),
    row("'key-metadata' must be a string", KEY_METADATA),
    row("is not supported until v3", UNTIL_V3).of(REGISTERED),
    row("Cannot upgrade to v", MANIFESTS),
    row("-sequence-number is negative", NEGATIVE),
    row("-row-id is negative", NEGATIVE),
    row("is empty", EMPTY),
    row("View location must not be empty", EMPTY),
    row("there is no query", "a view has a query; Java's server checks it before the classes that are asked here"),
    row("it is its own parent", OWN_PARENT),
    row("must be Base64", "RFC 4648: Base64 is padded; Java takes it without, and iceberg-rust does not"),
    row("main is a tag", "specification: main is a branch; Java checks it only when a reference is set"),
    row(
        "means that there is no snapshot",
        "-1 is what Java writes for no snapshot, so that a snapshot of this id is lost",
    ),
    row("the default 1e400", "no 64-bit number holds it; Java stores infinity, which is no JSON"),
];
