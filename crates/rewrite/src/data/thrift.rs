//! Walks over structures of Thrift's compact protocol, in which Parquet writes footers and headers of pages.
//!
//! The Parquet reader allocates what lengths claim, and reads a known field by its number, whatever type the field says that it has.
//! A walk refuses fields with other types than [`Shape`] has for them, so both see the same lengths.
//!
//! Source: `thrift-compact-protocol.md` in the documentation of Apache Thrift.

/// The deepest nesting. Parquet's own structures have less than ten levels.
const DEEPEST: u32 = 32;

/// The type of a value.
pub(super) enum Shape {
    Bool,
    I8,
    I16,
    I32,
    I64,
    Double,
    Binary,
    List(&'static Shape),
    Struct(Fields),
}

/// The fields of a structure with the numbers from 1 on. Others may have any type.
pub(super) type Fields = &'static [Shape];

impl Shape {
    /// Returns whether the protocol has values of this type under this number.
    const fn has_kind(&self, kind: u8) -> bool {
        match self {
            Self::Bool => matches!(kind, 1 | 2),
            Self::I8 => kind == 3,
            Self::I16 => kind == 4,
            Self::I32 => kind == 5,
            Self::I64 => kind == 6,
            Self::Double => kind == 7,
            Self::Binary => kind == 8,
            Self::List(_) => kind == 9,
            Self::Struct(_) => kind == 12,
        }
    }
}

/// Walks over the structure at the start of `bytes`, and calls `number` with each of its 32-bit numbers, after the numbers of the
/// fields that lead to it. Returns `None` if the structure is not complete, a field has another type than `fields` says, or a length
/// is more than the bytes that are left.
pub(super) fn walk_struct(bytes: &[u8], fields: Fields, number: &mut dyn FnMut(&[i16], i64)) -> Option<()> {
    Walk { rest: bytes, path: Vec::new(), number }.structure(fields, 0)
}

struct Walk<'b, 'n> {
    rest: &'b [u8],
    path: Vec<i16>,
    number: &'n mut dyn FnMut(&[i16], i64),
}

impl Walk<'_, '_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn structure(&mut self, fields: Fields, depth: u32) -> Option<()> {
        let mut id = 0_i16;
        loop {
            let header = self.byte()?;
            let (delta, kind) = (header >> 4, header & 15);
            if kind == 0 {
                return Some(());
            }
            id = if delta == 0 { i16::try_from(self.zigzag()?).ok()? } else { id.checked_add(i16::from(delta))? };
            let known = usize::try_from(id).ok().and_then(|id| fields.get(id.checked_sub(1)?));
            if known.is_some_and(|shape| !shape.has_kind(kind)) {
                return None;
            }
            self.path.push(id);
            match kind {
                // The header of a field has its truth value.
                1 | 2 => {}
                5 => {
                    let value = self.zigzag()?;
                    (self.number)(&self.path, value);
                }
                kind => self.value(kind, known, depth)?,
            }
            self.path.pop();
        }
    }

    fn value(&mut self, kind: u8, known: Option<&'static Shape>, depth: u32) -> Option<()> {
        match kind {
            3 => self.skip(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.varint()?;
                self.skip(length)
            }
            9 | 12 if depth >= DEEPEST => None,
            9 => self.list(if let Some(Shape::List(element)) = known { Some(*element) } else { None }, depth + 1),
            12 => self.structure(if let Some(Shape::Struct(fields)) = known { fields } else { &[] }, depth + 1),
            // Parquet has no sets, maps and UUIDs, nor lists of truth values here. The reader does not know their lengths.
            _ => None,
        }
    }

    fn list(&mut self, element: Option<&'static Shape>, depth: u32) -> Option<()> {
        let header = self.byte()?;
        let (short, kind) = (header >> 4, header & 15);
        let count = if short == 15 { self.varint()? } else { u64::from(short) };
        let is_other = count > 0 && element.is_some_and(|element| !element.has_kind(kind));
        // Each value has at least one byte.
        if is_other || count > self.rest.len() as u64 {
            return None;
        }
        for _ in 0..count {
            self.value(kind, element, depth)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIELDS: Fields = &[Shape::I32, Shape::I32, Shape::Struct(&[Shape::I32]), Shape::List(&Shape::Binary)];

    fn numbers(bytes: &[u8]) -> Option<Vec<(Vec<i16>, i64)>> {
        let mut found = Vec::new();
        walk_struct(bytes, FIELDS, &mut |path, value| found.push((path.to_vec(), value))).map(|()| found)
    }

    #[test]
    fn numbers_of_a_structure_are_found_in_both_forms_of_fields() {
        // Fields 1 and 2 by their distance, a structure with a number of its own, and field 2 again by its number.
        let bytes = [0x15, 0x02, 0x15, 0x80, 0x02, 0x1c, 0x15, 0x08, 0x00, 0x05, 0x04, 0x06, 0x00, 0xff];
        assert_eq!(numbers(&bytes), Some(vec![(vec![1], 1), (vec![2], 128), (vec![3, 1], 4), (vec![2], 3)]));
    }

    #[test]
    fn claims_beyond_the_end_are_refused() {
        let two_gib = [0xff, 0xff, 0xff, 0xff, 0x07];
        for (what, header) in
            [("text", &[0x58_u8][..]), ("list of structures", &[0x59, 0xfc]), ("known list", &[0x49, 0xf8])]
        {
            let bytes = [header, &two_gib, &[0; 100]].concat();
            assert_eq!(numbers(&bytes), None, "{what}");
        }
        assert_eq!(numbers(&[0x15]), None, "a number without its value");
        assert_eq!(numbers(&[0x15, 0x02]), None, "no end");
        assert_eq!(numbers(&[0x5c; 200]), None, "nested too deeply");
        assert_eq!(numbers(&[0x58, 0x02, b'a', b'b', 0x00]), Some(Vec::new()));
    }

    #[test]
    fn known_field_of_another_type_is_refused() {
        assert_eq!(numbers(&[0x16, 0x02, 0x00]), None, "a number of 64 bits");
        assert_eq!(numbers(&[0x11, 0x00]), None, "a truth value");
        assert_eq!(numbers(&[0x3c, 0x16, 0x02, 0x00, 0x00]), None, "in a structure");
        assert_eq!(numbers(&[0x49, 0x15, 0x02, 0x00]), None, "a list of numbers");
        assert_eq!(numbers(&[0x49, 0x05, 0x00]), Some(Vec::new()), "an empty list has no type");
        assert_eq!(numbers(&[0x06, 0x0a, 0x02, 0x00]), Some(Vec::new()), "a field that is not known");
        // The reader takes 65,537 for 1, and finds no values in a list of truth values.
        assert_eq!(numbers(&[0x06, 0x82, 0x80, 0x08, 0x02, 0x00]), None);
        assert_eq!(numbers(&[0x59, 0x11, 0x01, 0x00]), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end_the_walk(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            numbers(&bytes);
        }
    }
}
