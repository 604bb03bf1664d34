//! Hash tables of `u32` whose keys are stored elsewhere.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

/// Marks a free slot.
const FREE: u32 = u32::MAX;

/// An open-addressed table from the hash of a key to its number. It only finds numbers: nothing is ever read
/// out of it in its own order, so the hash function has no influence on any answer or snapshot.
#[derive(Default)]
pub struct Index {
    slots: Vec<u32>,
    used: u32,
}

impl Index {
    /// An empty table; allocates nothing.
    pub const fn new() -> Self {
        Self { slots: Vec::new(), used: 0 }
    }

    /// The number stored under `hash` for which `same` holds.
    pub fn find(&self, hash: u32, same: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            match self.slots[at] {
                FREE => return None,
                number if same(number) => return Some(number),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Stores a number that is not in it yet. `hash_of` gives the hash of any number stored before.
    pub fn insert(&mut self, hash: u32, number: u32, hash_of: impl Fn(u32) -> u32) {
        if (self.used as usize + 1) * 4 > self.slots.len() * 3 {
            self.grow(hash_of);
        }
        place(&mut self.slots, hash, number);
        self.used += 1;
    }

    fn grow(&mut self, hash_of: impl Fn(u32) -> u32) {
        let mut slots = vec![FREE; (self.slots.len() * 2).max(16)];
        for number in self.slots.iter().copied().filter(|number| *number != FREE) {
            place(&mut slots, hash_of(number), number);
        }
        self.slots = slots;
    }
}

fn place(slots: &mut [u32], hash: u32, number: u32) {
    let mask = slots.len() - 1;
    let mut at = hash as usize & mask;
    while slots[at] != FREE {
        at = (at + 1) & mask;
    }
    slots[at] = number;
}

/// A hash that is hard enough to collide: keys come from whoever may append.
pub fn hash_bytes(bytes: &[u8]) -> u32 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish() as u32
}

/// The hash of a pair of numbers.
pub fn hash_pair(pair: (u32, u32)) -> u32 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(u64::from(pair.0) << 32 | u64::from(pair.1));
    hasher.finish() as u32
}
