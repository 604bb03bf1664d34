//! What the parts of snapshots are made of: numbers in LEB128, and a seal of text around the bytes.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;

use crate::question::Fnv;

const CHECKSUM_BYTES: usize = 8;

/// Writes a number, seven bits a byte, the lowest first.
pub fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The base64 (RFC 4648, section 4) of bytes and of their checksum.
pub fn seal(mut bytes: Vec<u8>) -> String {
    let checksum = checksum(&bytes);
    bytes.extend(checksum);
    STANDARD.encode(bytes)
}

/// The bytes that `seal` was given, or None where the text is not whole.
pub fn unseal(text: &str) -> Option<Vec<u8>> {
    let mut bytes = STANDARD.decode(text).ok()?;
    let sum = bytes.split_off(bytes.len().checked_sub(CHECKSUM_BYTES)?);
    (checksum(&bytes) == *sum).then_some(bytes)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut digest = Fnv::new();
    digest.add(bytes);
    digest.finish().to_le_bytes()
}

/// Reads on through bytes; None where they end or are not what was asked for.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// The next byte.
    pub fn bytes(&mut self, count: u64) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A number that `put` wrote.
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> Option<u32> {
        u32::try_from(self.number()?).ok().filter(|number| *number < end)
    }
}
