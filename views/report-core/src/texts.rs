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

/// What stands before each text in its arena: its number and its length, so that one look tells whether it is
/// the text that is sought.
const HEAD_BYTES: usize = 6;

/// Interned texts, numbered from 1 in the order of their first appearance.
#[derive(Default)]
pub struct Texts {
    arenas: Vec<Vec<u8>>,
    /// Where each text's head stands, counted through all arenas.
    places: Column<u32>,
    /// From hashes to places.
    index: Index,
}

impl Texts {
    /// No texts.
    pub const fn new() -> Self {
        Self { arenas: Vec::new(), places: Column::new(), index: Index::new() }
    }

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
        let Some(at) = id.checked_sub(1) else { return "" };
        std::str::from_utf8(self.at(self.places.get(at)).1).unwrap_or_default()
    }

    /// The number and the text at a place.
    #[inline]
    fn at(&self, place: u32) -> (TextId, &[u8]) {
        let stored = &self.arenas[(place >> ARENA_BITS) as usize][place as usize & (ARENA - 1)..];
        let (head, rest) = stored.split_at(HEAD_BYTES);
        let id = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
        (id, &rest[..usize::from(u16::from_le_bytes([head[4], head[5]]))])
    }

    /// The number of a text that is there.
    pub fn find(&self, text: &str) -> Option<TextId> {
        self.find_hashed(text, hash_bytes(text.as_bytes()))
    }

    /// The number of a text, which is added where it is new; at most `TEXT_BYTES` long.
    pub fn intern(&mut self, text: &str) -> TextId {
        let hash = hash_bytes(text.as_bytes());
        match self.find_hashed(text, hash) {
            Some(id) => id,
            None => self.add(text, hash),
        }
    }

    fn find_hashed(&self, text: &str, hash: u32) -> Option<TextId> {
        let place = self.index.find(hash, |place| same_bytes(self.at(place).1, text.as_bytes()))?;
        Some(self.at(place).0)
    }

    fn add(&mut self, text: &str, hash: u32) -> TextId {
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
        arena.extend_from_slice(text.as_bytes());
        self.index.insert(hash, place);
        id
    }
}
