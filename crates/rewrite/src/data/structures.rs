//! Parquet's structures in footers and headers of pages, which are checked before the Parquet reader reads them.
//!
//! Source: `parquet.thrift` in the Parquet format.

use super::thrift::{Fields, Shape, walk_struct};
use Shape::{Binary, Bool, Double, I8, I16, I32, I64, List, Struct};

const EMPTY: Shape = Struct(&[]);
const STATISTICS: Shape = Struct(&[Binary, Binary, I64, I64, Binary, Binary, Bool, Bool]);
const KEY_VALUES: Shape = List(&Struct(&[Binary, Binary]));

const FOOTER: Fields = &[
    I32,
    List(&SCHEMA_ELEMENT),
    I64,
    List(&ROW_GROUP),
    KEY_VALUES,
    Binary,
    // The order of a column.
    List(&Struct(&[EMPTY])),
    ENCRYPTION,
    Binary,
];
const SCHEMA_ELEMENT: Shape = Struct(&[I32, I32, I32, Binary, I32, I32, I32, I32, I32, LOGICAL_TYPE]);
const LOGICAL_TYPE: Shape = Struct(&[
    EMPTY,
    EMPTY,
    EMPTY,
    EMPTY,
    // Decimals.
    Struct(&[I32, I32]),
    EMPTY,
    TIME,
    TIME,
    // Nothing has the number 9.
    EMPTY,
    // Integers.
    Struct(&[I8, Bool]),
    EMPTY,
    EMPTY,
    EMPTY,
    EMPTY,
    EMPTY,
    // Variants, geometries and geographies.
    Struct(&[I8]),
    Struct(&[Binary]),
    Struct(&[Binary, I32]),
]);
const TIME: Shape = Struct(&[Bool, Struct(&[EMPTY, EMPTY, EMPTY])]);
const ROW_GROUP: Shape = Struct(&[List(&COLUMN_CHUNK), I64, I64, List(&Struct(&[I32, Bool, Bool])), I64, I64, I16]);
const COLUMN_CHUNK: Shape = Struct(&[Binary, I64, COLUMN, I64, I32, I64, I32, COLUMN_ENCRYPTION, Binary]);
const COLUMN: Shape = Struct(&[
    I32,
    List(&I32),
    List(&Binary),
    I32,
    I64,
    I64,
    I64,
    KEY_VALUES,
    I64,
    I64,
    I64,
    STATISTICS,
    // How many pages have an encoding.
    List(&Struct(&[I32, I32, I32])),
    I64,
    I32,
    // Statistics of sizes.
    Struct(&[I64, List(&I64), List(&I64)]),
    // Geospatial statistics.
    Struct(&[Struct(&[Double, Double, Double, Double, Double, Double, Double, Double]), List(&I32)]),
]);
const ENCRYPTION: Shape = Struct(&[Struct(&[Binary, Binary, Bool]), Struct(&[Binary, Binary, Bool])]);
const COLUMN_ENCRYPTION: Shape = Struct(&[EMPTY, Struct(&[List(&Binary), Binary])]);

const PAGE_HEADER: Fields = &[
    I32,
    I32,
    I32,
    I32,
    // A data page, an index page, a dictionary, and a data page in its second version.
    Struct(&[I32, I32, I32, I32, STATISTICS]),
    EMPTY,
    Struct(&[I32, I32, Bool]),
    Struct(&[I32, I32, I32, I32, I32, I32, Bool, STATISTICS]),
];

/// Returns whether a footer is one of Parquet, and has what its lengths claim.
pub(super) fn is_footer(bytes: &[u8]) -> bool {
    walk_struct(bytes, FOOTER, &mut |_, _| {}).is_some()
}

/// Checks the header of a page at the start of `bytes`. The Parquet reader allocates the size and the values that it claims.
///
/// # Errors
/// Says why the page cannot be read in `most_bytes`.
pub(super) fn check_page_header(bytes: &[u8], most_bytes: u64) -> Result<(), String> {
    let (mut unpacked, mut largest, mut values) = (0, 0, 0);
    let walked = walk_struct(bytes, PAGE_HEADER, &mut |path, value| {
        let value = u64::try_from(value).unwrap_or(u64::MAX);
        match path {
            [2] => (unpacked, largest) = (value, largest.max(value)),
            [3] => largest = largest.max(value),
            // The count of a dictionary.
            [7, 1] => values = values.max(value),
            _ => {}
        }
    });
    if walked.is_none() {
        return Err("the header of a page is damaged, or too long".to_owned());
    }
    if largest > most_bytes {
        return Err(format!("a page says that it has {largest} bytes, and the memory for it is {most_bytes}"));
    }
    // A value has at least one byte.
    if values > unpacked {
        return Err(format!("a dictionary says that it has {values} values in {unpacked} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    // As zigzag numbers: 64, 2 GiB - 1, and -1.
    const SMALL: &[u8] = &[0x80, 0x01];
    const HUGE: &[u8] = &[0xfe, 0xff, 0xff, 0xff, 0x0f];
    const NEGATIVE: &[u8] = &[0x01];

    /// The header of a data page: its kind, its size unpacked and stored, and the header of its values.
    fn header(unpacked: &[u8], stored: &[u8]) -> Vec<u8> {
        [&[0x15, 0x00, 0x15], unpacked, &[0x15], stored, &[0x2c, 0x15, 0x02, 0x00, 0x00]].concat()
    }

    #[test]
    fn page_that_claims_more_than_its_memory_is_refused_by_its_header() {
        assert!(check_page_header(&header(SMALL, SMALL), 64).is_ok());
        assert!(check_page_header(&header(SMALL, SMALL), 63).is_err());
        for (unpacked, stored) in [(HUGE, SMALL), (SMALL, HUGE), (NEGATIVE, SMALL), (SMALL, NEGATIVE)] {
            let refused = check_page_header(&header(unpacked, stored), 64 << 20).unwrap_err();
            assert!(refused.contains("memory"), "{refused}");
        }
        let twice = [&[0x15, 0x00][..], &[0x15], SMALL, &[0x15], SMALL, &[0x05, 0x04], HUGE, &[0x00]].concat();
        assert!(check_page_header(&twice, 64 << 20).is_err(), "the last of two sizes counts");
    }

    #[test]
    fn dictionary_that_claims_more_values_than_bytes_is_refused_by_its_header() {
        let dictionary = |values: &[u8]| {
            [&[0x15, 0x04, 0x15], SMALL, &[0x15], SMALL, &[0x4c, 0x15], values, &[0x15, 0x00, 0x00, 0x00]].concat()
        };
        assert!(check_page_header(&dictionary(SMALL), 64 << 20).is_ok());
        for values in [HUGE, NEGATIVE] {
            let refused = check_page_header(&dictionary(values), 64 << 20).unwrap_err();
            assert!(refused.contains("dictionary"), "{refused}");
        }
    }
}
