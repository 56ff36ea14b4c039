//! Reads what a package must know of a Linux program: its architecture, and whether it needs a C library.

use anyhow::{Context, Result, bail, ensure};

use super::Architecture;

/// How a program finds its C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Linkage {
    /// It is part of the program.
    Static,
    /// The system's loader links it at the start.
    Dynamic,
}

/// The kind of a program header that names the loader.
const PT_INTERP: u32 = 3;

/// Returns the architecture and linkage of a 64-bit little-endian ELF file.
///
/// # Errors
/// Fails if the file is of another format or architecture.
pub(super) fn inspect(file: &[u8]) -> Result<(Architecture, Linkage)> {
    ensure!(file.starts_with(b"\x7fELF\x02\x01"), "not a 64-bit little-endian ELF file");
    let architecture = match u16_at(file, 18)? {
        62 => Architecture::X86_64,
        183 => Architecture::Aarch64,
        other => bail!("unknown architecture (ELF machine {other})"),
    };
    let start = usize::try_from(u64_at(file, 32)?)?;
    let (size, count) = (usize::from(u16_at(file, 54)?), usize::from(u16_at(file, 56)?));
    for index in 0..count {
        if u32_at(file, start + index * size)? == PT_INTERP {
            return Ok((architecture, Linkage::Dynamic));
        }
    }
    Ok((architecture, Linkage::Static))
}

fn bytes_at<const N: usize>(file: &[u8], at: usize) -> Result<[u8; N]> {
    let bytes = file.get(at..).and_then(|rest| rest.first_chunk::<N>());
    bytes.copied().context("the ELF file is cut off")
}

fn u16_at(file: &[u8], at: usize) -> Result<u16> {
    Ok(u16::from_le_bytes(bytes_at(file, at)?))
}

fn u32_at(file: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from_le_bytes(bytes_at(file, at)?))
}

fn u64_at(file: &[u8], at: usize) -> Result<u64> {
    Ok(u64::from_le_bytes(bytes_at(file, at)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a header with one program header of this kind.
    fn program(machine: u16, kind: u32) -> Vec<u8> {
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32..40].copy_from_slice(&64_u64.to_le_bytes());
        file[54..56].copy_from_slice(&56_u16.to_le_bytes());
        file[56..58].copy_from_slice(&1_u16.to_le_bytes());
        file[64..68].copy_from_slice(&kind.to_le_bytes());
        file
    }

    #[test]
    fn program_with_a_loader_is_dynamic() {
        assert_eq!(inspect(&program(62, PT_INTERP)).unwrap(), (Architecture::X86_64, Linkage::Dynamic));
    }

    #[test]
    fn program_without_a_loader_is_static() {
        assert_eq!(inspect(&program(183, 1)).unwrap(), (Architecture::Aarch64, Linkage::Static));
    }

    #[test]
    fn other_and_cut_files_are_refused() {
        assert!(inspect(b"#!/bin/sh").is_err());
        assert!(inspect(&program(40, 1)).is_err());
        assert!(inspect(&program(62, 1)[..60]).is_err());
    }
}
