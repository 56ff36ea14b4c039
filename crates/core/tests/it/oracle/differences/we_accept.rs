//! Cases that we accept and Java refuses, and cases that both accept with different results.

use super::{Explained, Operation, REGISTERED};
use crate::oracle::verdict::Kind;

const fn row(message: &'static str, reason: &'static str) -> Explained {
    Explained::new(Kind::OnlyWeAccept, message, reason)
}

const fn result(message: &'static str, reason: &'static str) -> Explained {
    Explained::new(Kind::Result, message, reason)
}

const fn spelling(message: &'static str, reason: &'static str) -> Explained {
    Explained::new(Kind::Spelling, message, reason)
}

const NULL: &str = "an optional field or a property that is null means absent, and is not stored; Java refuses it";
const ID_IS_GIVEN: &str =
    "REST specification: the id is read-only, and the server assigns it whatever the client sends";
const SIZE: &str = "Java fails to reserve a list when more snapshots are named than there are";
const LAST_ADDED: &str = "an equal existing spec counts as the one added last; Java refuses -1 then";
const STAGED: &str = "a table without a spec or an order is unpartitioned and unsorted; Java fails";
const UUID_SPELLING: &str = "a UUID is compared and written as RFC 9562 says; Java takes it for text";
const BOUND: &str = "Java binds the transform of a loaded spec to the type that its source had";
const SPACES: &str = "spaces around a known word are removed: it is stored in the specification's spelling";
const NEXT_ROW: &str =
    "specification: the next row id is above all that were assigned; Java adds to the table's number";
const SAME_VERSION: &str = "the same version added twice is one version; Java adds it twice";

const DECIMAL: &str = "the specification writes decimal(P,S) without a space, Java with one; every reader takes both";
const DEFAULTS: &str = "Java writes the defaults of geometry and geography out; the specification leaves them out";
const HEXADECIMAL: &str = "hexadecimal digits of either case are the same bytes";
const LISTS: &str = "the fields besides the lists are for older readers; Java rewrites them";
const NULL_STAYS: &str = "a registered file stays unchanged, and every reader treats an optional null as absent";
const SLASH: &str = "Java removes trailing slashes of a location when it reads it; a registered file stays unchanged";

pub(super) const ROWS: &[Explained] = &[
    row("Cannot parse missing int: spec-id", ID_IS_GIVEN),
    row("Cannot parse missing int: order-id", ID_IS_GIVEN),
    row("spec-id: null", ID_IS_GIVEN),
    row("order-id: null", ID_IS_GIVEN),
    row("NullPointerException", NULL).case("-default\": null"),
    row("null", NULL).case(": null"),
    row("null", NULL).case(":= null"),
    row("arraySize cannot be negative", SIZE),
    row("no spec has been added", LAST_ADDED),
    row("build: NullPointerException", STAGED).of(&[Operation::CreateCommit]),
    row("Cannot reassign uuid", UUID_SPELLING),
    row("Invalid source type date for transform: day", BOUND),
    row("build: NumberFormatException", "spaces around the number in this property do no harm: it is not kept")
        .at("/properties/format-version"),
    row("Cannot parse type string to primitive", SPACES),
    row("Invalid snapshot ref type", SPACES),
    row("Unexpected null order", SPACES),
    row("Invalid sort direction", SPACES),
    row("loss of view dialects", SPACES).at("/representations/*/type"),
    row("unsupported view representation", SPACES).at("/representations/*/type"),
    row(
        "Cannot parse default as a",
        "a default of a float or double column may be written without a point; it is stored with one",
    ),
    Explained::new(
        Kind::Unreadable,
        "Cannot parse default as a",
        "a registered default without a point that no 64 bits hold, or a negative zero, is a floating-point number for JSON \
         readers; Java alone asks for the point",
    )
    .of(REGISTERED),
    row("Cannot parse missing int: source-id", "Java lags behind: it does not know the specification's source-ids")
        .at("/+source-ids"),
    row("Cannot find source column for partition field", SPACES).case("void"),
    spelling("/default-spec-id: ours", LISTS).of(REGISTERED),
    result("/table-uuid", UUID_SPELLING),
    result("/next-row-id", NEXT_ROW),
    result("/current-version-id", SAME_VERSION).case("twice"),
    result("/transform: ours", SPACES),
    result("/operation: ours", SPACES),
    spelling("ours \"decimal(", DECIMAL),
    spelling("ours \"geometry", DEFAULTS),
    spelling("ours \"geography", DEFAULTS),
    spelling("-default: ours \"00ff\"", HEXADECIMAL),
    spelling("/schema/", LISTS).of(&[Operation::Table]),
    spelling("/partition-spec/", LISTS).of(&[Operation::Table]),
    spelling("/partition-spec: ", LISTS).of(&[Operation::Table]),
    spelling("/default-sort-order-id: ours", LISTS).of(REGISTERED),
    spelling("null is written", NULL_STAYS).of(REGISTERED),
    spelling(": ours null", NULL_STAYS).of(REGISTERED),
    spelling("/current-snapshot-id: ours -1", NULL_STAYS).of(REGISTERED),
    spelling("/location: ours", SLASH).of(REGISTERED),
];
