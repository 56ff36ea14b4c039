//! The names of primitive types: the accepted spellings, and the canonical spelling for comparison.

use super::types::Primitive;

/// The edge algorithms of a `geography` (specification, "Primitive types").
const EDGE_ALGORITHMS: [&str; 5] = ["spherical", "vincenty", "thomas", "andoyer", "karney"];

/// The maximum precision of a decimal.
const MAX_PRECISION: u8 = 38;

/// Parses the name of a type as leniently as engines write it. Ignores case, and spaces around the name and between its
/// parameters.
///
/// Returns the type and its canonical spelling, which has a space only after the comma of a geography. Keeps unknown names
/// and unreadable parameters unchanged.
pub(super) fn parse(name: &str) -> (Primitive, String) {
    let trimmed = name.trim();
    let lower = trimmed.to_ascii_lowercase();
    if let Some(primitive) = without_parameters(&lower) {
        return (primitive, lower);
    }
    let kept = || name.to_owned();
    if let Some(length) = parameters(&lower, "fixed", '[', ']') {
        let spelling = length.trim().parse::<u32>().map_or_else(|_| kept(), |length| format!("fixed[{length}]"));
        return (Primitive::Fixed, spelling);
    }
    if let Some(digits) = parameters(&lower, "decimal", '(', ')') {
        let digits = digits
            .split_once(',')
            .and_then(|(all, behind)| Some((all.trim().parse::<u32>().ok()?, behind.trim().parse::<u32>().ok()?)));
        return (Primitive::Decimal, digits.map_or_else(kept, |(all, behind)| format!("decimal({all},{behind})")));
    }
    // The name of a coordinate system is case-sensitive.
    if parameters(&lower, "geometry", '(', ')').is_some() {
        let crs = parameters_as_written(trimmed).trim();
        return (Primitive::Geometry, format!("geometry({crs})"));
    }
    if parameters(&lower, "geography", '(', ')').is_some() {
        let spelling = match parameters_as_written(trimmed).split_once(',') {
            None => format!("geography({})", parameters_as_written(trimmed).trim()),
            Some((crs, algorithm)) => {
                format!("geography({}, {})", crs.trim(), algorithm.trim().to_ascii_lowercase())
            }
        };
        return (Primitive::Geography, spelling);
    }
    (Primitive::Other, kept())
}

/// Returns whether the specification and its clients use `name`, as written, for the canonical `spelling`.
pub(super) fn is_spelled_alike(name: &str, spelling: &str) -> bool {
    name == spelling || (spelling.starts_with("decimal(") && name == spelling.replacen(',', ", ", 1))
}

/// Returns whether the parameters in a canonical spelling are valid for the type.
pub(super) fn has_valid_parameters(primitive: Primitive, spelling: &str) -> bool {
    match primitive {
        Primitive::Fixed => parameters(spelling, "fixed", '[', ']')
            .is_some_and(|length| length.parse::<u32>().is_ok_and(|length| i32::try_from(length).is_ok())),
        Primitive::Decimal => {
            let digits = parameters(spelling, "decimal", '(', ')').and_then(|both| both.split_once(','));
            let digits = digits.and_then(|(all, behind)| Some((all.parse::<u8>().ok()?, behind.parse::<u8>().ok()?)));
            digits.is_some_and(|(all, behind)| (1..=MAX_PRECISION).contains(&all) && behind <= all)
        }
        Primitive::Geometry => parameters(spelling, "geometry", '(', ')').is_none_or(is_crs),
        Primitive::Geography => {
            parameters(spelling, "geography", '(', ')').is_none_or(|both| match both.split_once(", ") {
                None => is_crs(both),
                Some((crs, algorithm)) => is_crs(crs) && EDGE_ALGORITHMS.contains(&algorithm),
            })
        }
        _ => true,
    }
}

/// Returns precision and scale of a decimal, from its canonical spelling.
pub(super) fn decimal_digits(spelling: &str) -> Option<(usize, usize)> {
    let (all, behind) = parameters(spelling, "decimal", '(', ')')?.split_once(',')?;
    Some((all.parse().ok()?, behind.parse().ok()?))
}

/// Returns the length of a fixed in bytes, from its canonical spelling.
pub(super) fn fixed_length(spelling: &str) -> Option<usize> {
    parameters(spelling, "fixed", '[', ']')?.parse().ok()
}

fn without_parameters(lower: &str) -> Option<Primitive> {
    Some(match lower {
        "boolean" => Primitive::Boolean,
        "int" => Primitive::Int,
        "long" => Primitive::Long,
        "float" => Primitive::Float,
        "double" => Primitive::Double,
        "date" => Primitive::Date,
        "time" => Primitive::Time,
        "timestamp" | "timestamptz" => Primitive::Timestamp,
        "timestamp_ns" | "timestamptz_ns" => Primitive::TimestampNano,
        "string" => Primitive::String,
        "uuid" => Primitive::Uuid,
        "binary" => Primitive::Binary,
        "unknown" => Primitive::Unknown,
        "variant" => Primitive::Variant,
        "geometry" => Primitive::Geometry,
        "geography" => Primitive::Geography,
        _ => return None,
    })
}

/// Returns the text between the brackets of a type of that name.
fn parameters<'a>(text: &'a str, name: &str, open: char, close: char) -> Option<&'a str> {
    text.strip_prefix(name)?.trim_start().strip_prefix(open)?.strip_suffix(close)
}

/// Returns the text between the first `(` and the `)` at the end.
fn parameters_as_written(text: &str) -> &str {
    text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or_default()
}

/// Returns whether a text can name a coordinate reference system: it is not empty, and does not end the parameters.
fn is_crs(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains([',', '(', ')'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_in_any_case_and_spacing_has_one_spelling() {
        for (written, expected) in [
            ("LONG", "long"),
            ("timestamp ", "timestamp"),
            ("Decimal( 9 , 2 )", "decimal(9,2)"),
            ("decimal (9,2)", "decimal(9,2)"),
            ("FIXED[ 16 ]", "fixed[16]"),
            ("Geometry( EPSG:3857 )", "geometry(EPSG:3857)"),
            ("GEOGRAPHY(OGC:CRS84,KARNEY)", "geography(OGC:CRS84, karney)"),
        ] {
            let (primitive, spelling) = parse(written);
            assert_eq!(spelling, expected);
            assert_ne!(primitive, Primitive::Other);
            assert!(has_valid_parameters(primitive, &spelling), "{written}");
            assert_eq!(parse(&spelling), (primitive, spelling.clone()), "{written} is stable");
        }
    }

    #[test]
    fn name_outside_the_specification_is_unknown() {
        for name in ["strng", "lo ng", "", "decimal", "fixed", "timestamp_tz", "varchar(10)", "int32"] {
            assert_eq!(parse(name), (Primitive::Other, name.to_owned()));
        }
    }

    #[test]
    fn invalid_parameters_are_reported() {
        for name in [
            "decimal(0,0)",
            "decimal(39,1)",
            "decimal(5,6)",
            "decimal(9)",
            "decimal(-1,2)",
            "decimal(9,2,1)",
            "fixed[]",
            "fixed[-1]",
            "fixed[4294967295]",
            "geometry()",
            "geometry( )",
            "geography(,spherical)",
            "geography(OGC:CRS84, foo)",
            "geography(OGC:CRS84, )",
            "geography(a,b,c)",
        ] {
            let (primitive, spelling) = parse(name);
            assert!(!has_valid_parameters(primitive, &spelling), "{name}");
        }
    }
}
