//! Sizes in bytes, for people.

const MIB: u64 = 1 << 20;

/// Formats a number of bytes with a unit.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..MIB => format!("{} KiB", bytes / 1024),
        _ => format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!([size(7), size(8192), size(68 * MIB + MIB / 2)], ["7 bytes", "8 KiB", "68.5 MiB"]);
    }
}
