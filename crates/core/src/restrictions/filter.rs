//! Row filters by field id, and their JSON in the form with `left`, `right` and `child` (expressions specification, appendix B).

use super::restriction::RestrictionError;
use crate::document::{SchemaIndex, Transform};
use crate::scan::columns::ColumnNames;
use crate::scan::expression::{Expression, Operation, Predicate, Reference};
use crate::scan::literal::{Literal, Scalar};

/// Returns the filter with field ids in the place of names. Names are compared with case.
///
/// # Errors
/// `Filter` if a column does not exist; `Function` if it tests a function of a column.
pub(super) fn by_id(expression: &Expression, index: &SchemaIndex<'_>) -> Result<Expression, RestrictionError> {
    resolve(expression, &ColumnNames::new(index, true))
}

fn resolve(expression: &Expression, names: &ColumnNames<'_>) -> Result<Expression, RestrictionError> {
    let all = |parts: &[Expression]| parts.iter().map(|part| resolve(part, names)).collect::<Result<Vec<_>, _>>();
    Ok(match expression {
        Expression::True | Expression::False => expression.clone(),
        Expression::And(parts) => Expression::And(all(parts)?),
        Expression::Or(parts) => Expression::Or(all(parts)?),
        Expression::Not(child) => Expression::Not(Box::new(resolve(child, names)?)),
        Expression::Predicate(predicate) => {
            if predicate.transform != Transform::Identity {
                return Err(RestrictionError::Function(predicate.transform.to_string()));
            }
            let id = match &predicate.reference {
                Reference::Name(name) => names.id(name)?,
                Reference::Id(id) => *id,
            };
            Expression::Predicate(Predicate { reference: Reference::Id(id), ..predicate.clone() })
        }
    })
}

/// Returns the ids of the columns that a filter tests.
pub(super) fn field_ids(expression: &Expression, ids: &mut Vec<i32>) {
    match expression {
        Expression::True | Expression::False => {}
        Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| field_ids(part, ids)),
        Expression::Not(child) => field_ids(child, ids),
        Expression::Predicate(predicate) => {
            if let Reference::Id(id) = predicate.reference {
                ids.push(id);
            }
        }
    }
}

/// Returns the JSON of a filter whose columns are named by id.
pub(super) fn to_json(expression: &Expression) -> String {
    match expression {
        Expression::True => "true".to_owned(),
        Expression::False => "false".to_owned(),
        Expression::And(parts) => tree("and", parts, "true"),
        Expression::Or(parts) => tree("or", parts, "false"),
        Expression::Not(child) => format!("{{\"type\":\"not\",\"child\":{}}}", to_json(child)),
        Expression::Predicate(predicate) => predicate_json(predicate),
    }
}

/// Returns a balanced tree of binary operators, since clients read it with recursive functions.
fn tree(operator: &str, parts: &[Expression], if_empty: &str) -> String {
    match parts {
        [] => if_empty.to_owned(),
        [part] => to_json(part),
        _ => {
            let (left, right) = parts.split_at(parts.len() / 2);
            let (left, right) = (tree(operator, left, if_empty), tree(operator, right, if_empty));
            format!("{{\"type\":\"{operator}\",\"left\":{left},\"right\":{right}}}")
        }
    }
}

fn predicate_json(predicate: &Predicate) -> String {
    let column = match &predicate.reference {
        Reference::Id(id) => format!("{{\"type\":\"reference\",\"id\":{id}}}"),
        Reference::Name(name) => format!("{{\"type\":\"reference\",\"name\":{}}}", quoted(name)),
    };
    let kind = predicate.operation.name();
    match (predicate.operation, predicate.literals.as_slice()) {
        (Operation::In | Operation::NotIn, literals) => {
            let values: Vec<String> = literals.iter().map(literal_json).collect();
            format!("{{\"type\":\"{kind}\",\"child\":{column},\"values\":[{}]}}", values.join(","))
        }
        (_, []) => format!("{{\"type\":\"{kind}\",\"child\":{column}}}"),
        (_, [literal, ..]) => {
            format!("{{\"type\":\"{kind}\",\"left\":{column},\"right\":{}}}", literal_json(literal))
        }
    }
}

fn literal_json(literal: &Literal) -> String {
    let value = match &literal.scalar {
        Scalar::Boolean(value) => value.to_string(),
        // With all its digits.
        Scalar::Number(text) => text.to_string(),
        Scalar::Text(text) => quoted(text),
    };
    match literal.data_type {
        Some(data_type) => {
            format!("{{\"type\":\"literal\",\"value\":{value},\"data-type\":{}}}", quoted(&data_type.to_string()))
        }
        None => format!("{{\"type\":\"literal\",\"value\":{value}}}"),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
