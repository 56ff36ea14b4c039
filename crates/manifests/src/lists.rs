//! Lists of numbers as bytes: the difference of each to the one before, as an Avro `long`.

/// Appends the encoding of a list.
#[derive(Debug, Default)]
pub(crate) struct ListEncoder {
    bytes: Vec<u8>,
    last: i64,
}

impl ListEncoder {
    /// Begins another list.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.last = 0;
    }

    /// Appends a number.
    pub(crate) fn push(&mut self, number: i64) {
        let difference = number.wrapping_sub(self.last);
        self.last = number;
        let mut left = ((difference << 1) ^ (difference >> 63)).cast_unsigned();
        while left >= 0x80 {
            self.bytes.push((left & 0x7f) as u8 | 0x80);
            left >>= 7;
        }
        self.bytes.push(left as u8);
    }

    /// Returns the encoded list.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The numbers of an encoded list.
#[derive(Debug, Clone)]
pub struct NumberList<'a> {
    bytes: std::slice::Iter<'a, u8>,
    last: i64,
}

impl<'a> NumberList<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter(), last: 0 }
    }
}

impl Iterator for NumberList<'_> {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        let mut encoded = 0_u64;
        for position in 0..10 {
            let byte = *self.bytes.next()?;
            encoded |= u64::from(byte & 0x7f) << (7 * position);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let magnitude = (encoded >> 1).cast_signed();
        self.last = self.last.wrapping_add(if encoded & 1 == 0 { magnitude } else { !magnitude });
        Some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn list_returns_the_numbers_that_were_pushed(numbers: Vec<i64>) {
            let mut encoder = ListEncoder::default();
            encoder.push(9);
            encoder.clear();
            numbers.iter().for_each(|number| encoder.push(*number));
            prop_assert_eq!(NumberList::new(encoder.bytes()).collect::<Vec<_>>(), numbers);
        }
    }
}
