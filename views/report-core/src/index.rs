//! Hash tables of `u32` whose keys are stored elsewhere.

/// Marks a free slot; the number in it is no number of a key.
const FREE: Slot = Slot { hash: 0, number: u32::MAX };

/// A key's number, with its hash, so that other keys are passed over without being looked at.
#[derive(Clone, Copy, PartialEq)]
struct Slot {
    hash: u32,
    number: u32,
}

/// An open-addressed table from the hash of a key to its number. It only finds numbers: nothing is ever read
/// out of it in its own order, so the hash function has no influence on any answer or snapshot.
#[derive(Default)]
pub struct Index {
    slots: Vec<Slot>,
    used: u32,
}

impl Index {
    /// The number stored under `hash` for which `same` holds.
    pub fn find(&self, hash: u32, same: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            match self.slots[at] {
                FREE => return None,
                slot if slot.hash == hash && same(slot.number) => return Some(slot.number),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// What is in the slot where a hash would be looked for first; of no meaning.
    #[inline]
    pub fn first(&self, hash: u32) -> u32 {
        let mask = self.slots.len().wrapping_sub(1);
        self.slots.get(hash as usize & mask).map_or(0, |slot| slot.number)
    }

    /// Stores a number that is not in it yet.
    pub fn insert(&mut self, hash: u32, number: u32) {
        if (self.used as usize + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        place(&mut self.slots, Slot { hash, number });
        self.used += 1;
    }

    fn grow(&mut self) {
        let mut slots = vec![FREE; (self.slots.len() * 2).max(16)];
        for slot in self.slots.iter().filter(|slot| **slot != FREE) {
            place(&mut slots, *slot);
        }
        self.slots = slots;
    }
}

fn place(slots: &mut [Slot], slot: Slot) {
    let mask = slots.len() - 1;
    let mut at = slot.hash as usize & mask;
    while slots[at] != FREE {
        at = (at + 1) & mask;
    }
    slots[at] = slot;
}

/// SipHash-1-3 with a key of zeroes: keys come from whoever may append, and a weaker hash could be made to
/// collide at will. (The hasher of the standard library is the same, built for pieces of unknown number, and
/// takes three times as long here.)
struct Sip([u64; 4]);

impl Sip {
    const fn new() -> Self {
        // "somepseudorandomlygeneratedbytes"
        Self([0x736f_6d65_7073_6575, 0x646f_7261_6e64_6f6d, 0x6c79_6765_6e65_7261, 0x7465_6462_7974_6573])
    }

    #[inline]
    fn round(&mut self) {
        let [a, b, c, d] = &mut self.0;
        *a = a.wrapping_add(*b);
        *c = c.wrapping_add(*d);
        *b = b.rotate_left(13) ^ *a;
        *d = d.rotate_left(16) ^ *c;
        *a = a.rotate_left(32).wrapping_add(*d);
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *d = d.rotate_left(21) ^ *a;
        *c = c.rotate_left(32);
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    #[inline]
    fn finish(mut self) -> u32 {
        self.0[2] ^= 0xff;
        for _ in 0..3 {
            self.round();
        }
        let [a, b, c, d] = self.0;
        (a ^ b ^ c ^ d) as u32
    }
}

/// The hash of some bytes.
pub fn hash_bytes(bytes: &[u8]) -> u32 {
    let mut sip = Sip::new();
    let mut words = bytes.chunks_exact(8);
    for word in words.by_ref() {
        sip.word(word.try_into().map_or(0, u64::from_le_bytes));
    }
    let rest = words.remainder().iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    sip.word((bytes.len() as u64) << 56 | rest);
    sip.finish()
}

/// Whether two runs of bytes are the same, eight at a time: WebAssembly has no faster way of its own.
#[inline]
pub fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    let (words, others) = (one.chunks_exact(8), other.chunks_exact(8));
    let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_ne_bytes);
    one.len() == other.len()
        && words.remainder().iter().eq(others.remainder())
        && words.zip(others).all(|(one, other)| word(one) == word(other))
}

/// The hash of a pair of numbers.
pub fn hash_pair(pair: (u32, u32)) -> u32 {
    let mut sip = Sip::new();
    sip.word(u64::from(pair.0) << 32 | u64::from(pair.1));
    sip.finish()
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher as _;

    use super::*;

    #[test]
    fn bytes_are_the_same_only_where_all_are() {
        let bytes: Vec<u8> = (0..40).collect();
        for len in 0..bytes.len() {
            assert!(same_bytes(&bytes[..len], &bytes[..len]));
            assert!(!same_bytes(&bytes[..len], &bytes[..len + 1]));
            for at in 0..len {
                let mut other = bytes[..len].to_vec();
                other[at] ^= 1;
                assert!(!same_bytes(&bytes[..len], &other), "byte {at} of {len}");
            }
        }
    }

    #[test]
    fn it_is_the_hash_of_the_standard_library() {
        let bytes: Vec<u8> = (0..100).collect();
        for len in 0..bytes.len() {
            let mut hasher = std::collections::hash_map::DefaultHasher::new();
            hasher.write(&bytes[..len]);
            assert_eq!(hash_bytes(&bytes[..len]), hasher.finish() as u32, "{len} bytes");
        }
    }
}
