//! Every distinct text once.

use crate::column::Column;
use crate::index::{hash_bytes, same_bytes, Index};

/// The longest text that is kept, in bytes.
pub const TEXT_BYTES: usize = 4_096;

const ARENA_BITS: u32 = 20;
const ARENA: usize = 1 << ARENA_BITS;

/// Number of a text in `Texts`. `NO_TEXT` stands for "not said".
pub type TextId = u32;

/// The number that is no text.
pub const NO_TEXT: TextId = 0;

/// What a text can stand for: in each role it leads to a number of somebody else's.
#[derive(Clone, Copy)]
pub enum Role {
    /// The id of an actor.
    Actor,
    /// The id of a resource.
    Resource,
    /// A type of action.
    Action,
}

const ROLES: usize = 3;

/// What stands before each text in its arena: its number, its length, and the first to whom it leads in each
/// role, or 0. One look, which in a large log is a wait for memory, then tells whether it is the text that is
/// sought and whom it means.
const HEAD_BYTES: usize = 6 + 4 * ROLES;

/// A text's number, and where its head stands, counted through all arenas.
#[derive(Clone, Copy)]
pub struct Interned {
    /// The number.
    pub id: TextId,
    place: u32,
}

/// A text that is looked for: its hash, and where a text with that hash stood when `approach` went there.
#[derive(Clone, Copy)]
pub struct Sought {
    hash: u32,
    place: u32,
}

/// No place: arenas that far would not fit into the memory.
const NOWHERE: u32 = u32::MAX;

impl Sought {
    /// A text of at most `TEXT_BYTES`, nothing being known of where it is.
    pub fn new(text: &str) -> Self {
        Self { hash: hash_bytes(text.as_bytes()), place: NOWHERE }
    }
}

/// Interned texts, numbered from 1 in the order of their first appearance.
#[derive(Default)]
pub struct Texts {
    arenas: Vec<Vec<u8>>,
    /// The place of each.
    places: Column<u32>,
    /// From hashes to places.
    index: Index,
}

impl Texts {
    /// How many there are; their numbers are 1 to this.
    pub const fn len(&self) -> u32 {
        self.places.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The text of a number; `NO_TEXT` reads as the empty text.
    pub fn get(&self, id: TextId) -> &str {
        self.interned(id).map_or("", |text| std::str::from_utf8(self.bytes(text.place)).unwrap_or_default())
    }

    /// The text of that number, or None for `NO_TEXT`.
    pub fn interned(&self, id: TextId) -> Option<Interned> {
        id.checked_sub(1).map(|at| Interned { id, place: self.places.get(at) })
    }

    /// A text that is there.
    pub fn find(&self, text: &str) -> Option<Interned> {
        self.find_hashed(text, hash_bytes(text.as_bytes()))
    }

    /// A text, which is added where it is new; at most `TEXT_BYTES` long. `sought` was made of it.
    pub fn intern(&mut self, text: &str, sought: Sought) -> Interned {
        debug_assert_eq!(sought.hash, hash_bytes(text.as_bytes()));
        let place = sought.place;
        if place != NOWHERE && same_bytes(self.bytes(place), text.as_bytes()) {
            return Interned { id: read_u32(self.stored(place), 0), place };
        }
        match self.find_hashed(text, sought.hash) {
            Some(known) => known,
            None => self.add(text, sought.hash),
        }
    }

    /// To whom a text leads first in a role; 0 is nobody.
    pub fn leads_to(&self, text: Interned, role: Role) -> u32 {
        read_u32(self.stored(text.place), lead(role))
    }

    /// Makes a text lead to somebody.
    pub fn lead(&mut self, text: Interned, role: Role, number: u32) {
        let at = (text.place as usize & (ARENA - 1)) + lead(role);
        let arena = &mut self.arenas[(text.place >> ARENA_BITS) as usize];
        arena[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }

    /// Looks where texts with these hashes would be, notes that, and gives each place's actor and resource to
    /// `next`. It changes nothing of the texts: these waits for memory pass side by side, and whoever interns
    /// the texts afterwards finds all of it near.
    pub fn approach(&self, sought: &mut [Sought], mut next: impl FnMut(u32, u32)) {
        std::hint::black_box(
            sought.iter().fold(0, |seen: u32, text| seen.wrapping_add(self.index.first(text.hash))),
        );
        for text in sought {
            if let Some(place) = self.index.find(text.hash, |_| true) {
                text.place = place;
                let stored = self.stored(place);
                next(read_u32(stored, lead(Role::Actor)), read_u32(stored, lead(Role::Resource)));
            }
        }
    }

    #[inline]
    fn stored(&self, place: u32) -> &[u8] {
        &self.arenas[(place >> ARENA_BITS) as usize][place as usize & (ARENA - 1)..]
    }

    #[inline]
    fn bytes(&self, place: u32) -> &[u8] {
        let (head, rest) = self.stored(place).split_at(HEAD_BYTES);
        &rest[..usize::from(u16::from_le_bytes([head[4], head[5]]))]
    }

    fn find_hashed(&self, text: &str, hash: u32) -> Option<Interned> {
        let place = self.index.find(hash, |place| same_bytes(self.bytes(place), text.as_bytes()))?;
        Some(Interned { id: read_u32(self.stored(place), 0), place })
    }

    fn add(&mut self, text: &str, hash: u32) -> Interned {
        assert!(text.len() <= TEXT_BYTES, "callers cut texts before they intern them");
        let needed = HEAD_BYTES + text.len();
        if self.arenas.last().is_none_or(|arena| arena.len() + needed > ARENA) {
            let room = if self.arenas.is_empty() { 0 } else { ARENA };
            self.arenas.push(Vec::with_capacity(room));
        }
        let number = self.arenas.len() - 1;
        let arena = &mut self.arenas[number];
        let place = (number << ARENA_BITS | arena.len()) as u32;
        let id = self.places.push(place) + 1;
        arena.extend(id.to_le_bytes());
        arena.extend((text.len() as u16).to_le_bytes());
        arena.extend([0; 4 * ROLES]);
        arena.extend_from_slice(text.as_bytes());
        self.index.insert(hash, place);
        Interned { id, place }
    }
}

const fn lead(role: Role) -> usize {
    6 + 4 * role as usize
}

#[inline]
fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn texts_of_one_hash_are_told_apart_where_they_were_approached() {
        let mut seen = HashMap::new();
        let (one, other) = (0..1_000_000)
            .find_map(|number: u32| {
                let before = seen.insert(hash_bytes(number.to_string().as_bytes()), number)?;
                Some((before.to_string(), number.to_string()))
            })
            .expect("of that many texts two have one hash");
        let mut texts = Texts::default();
        let first = texts.intern(&one, Sought::new(&one)).id;
        let mut sought = [Sought::new(&one), Sought::new(&other)];
        texts.approach(&mut sought, |_, _| {});
        let second = texts.intern(&other, sought[1]).id;
        assert_ne!(first, second);
        assert_eq!(texts.intern(&one, sought[0]).id, first);
        assert_eq!((texts.get(first), texts.get(second)), (one.as_str(), other.as_str()));
    }
}
