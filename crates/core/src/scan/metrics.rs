//! Whether the statistics of a data file exclude that a row matches a filter.

use super::apply::apply;
use super::bound::{Bound, Comparison, Term, Test};
use super::facts::{Bounds, Share, nans, nulls};
use super::statistics::FileStatistics;
use super::value::ValueType;
use crate::document::Transform;

/// Returns false only if no row of the file matches the filter. Unsure tests return true.
#[must_use]
pub fn may_match(bound: &Bound, file: &dyn FileStatistics) -> bool {
    // Some imported files have a negative count, which is unknown.
    file.record_count() != 0 && may_match_rows(bound, file)
}

fn may_match_rows(bound: &Bound, file: &dyn FileStatistics) -> bool {
    match bound {
        Bound::True => true,
        Bound::False => false,
        Bound::And(parts) => parts.iter().all(|part| may_match_rows(part, file)),
        Bound::Or(parts) => parts.iter().any(|part| may_match_rows(part, file)),
        Bound::Test(test) => may_pass(test, file),
    }
}

fn may_pass(test: &Test, file: &dyn FileStatistics) -> bool {
    use Comparison as C;
    let Test { term, comparison } = test;
    // The other functions return null for null, and only for null.
    if matches!(term.transform, Transform::Void | Transform::Unknown(_)) {
        return true;
    }
    let id = term.field_id;
    let nulls = nulls(file, id);
    match comparison {
        C::IsNull => return nulls != Share::None,
        C::NotNull => return nulls != Share::All,
        C::IsNan => {
            let none = is_column(term) && file.nan_value_count(id) == Some(0);
            return nulls != Share::All && !none;
        }
        C::NotNan => return !(is_column(term) && nans(file, id) == Share::All),
        C::NotEqual(_) | C::NotIn(_) | C::NotStartsWith(_) => {}
        _ if nulls == Share::All => return false,
        _ => {}
    }
    let Some(source) = term.source else { return true };
    let nans = if matches!(source, ValueType::Float | ValueType::Double) { nans(file, id) } else { Share::None };
    match comparison {
        // A NaN is above all numbers for some engines, and the bounds do not include it.
        C::Greater(_) | C::GreaterOrEqual(_) if matches!(nans, Share::Some | Share::All) => return true,
        C::Less(_) | C::LessOrEqual(_) | C::Equal(_) | C::In(_) if nans == Share::All => return false,
        _ => {}
    }
    let complete = nulls == Share::None && nans == Share::None;
    bounds(term, source, file).range().may_match(comparison, complete)
}

/// Returns the bounds of a term. Unknown for a function that does not keep the order.
fn bounds(term: &Term, source: ValueType, file: &dyn FileStatistics) -> Bounds {
    let column = || Bounds::read(file, term.field_id, source);
    match &term.transform {
        Transform::Identity => column(),
        Transform::Truncate(_) | Transform::Year | Transform::Month | Transform::Day | Transform::Hour => {
            column().map(|bound| apply(&term.transform, source, bound))
        }
        Transform::Bucket(_) | Transform::Void | Transform::Unknown(_) => Bounds::default(),
    }
}

fn is_column(term: &Term) -> bool {
    term.transform == Transform::Identity
}
