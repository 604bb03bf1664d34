//! Every distinct text once.

use crate::column::Column;
use crate::index::{hash_bytes, Index};

/// The longest text that is kept, in bytes.
pub const TEXT_BYTES: usize = 4_096;

const ARENA_BITS: u32 = 20;
const ARENA: usize = 1 << ARENA_BITS;

/// Number of a text in `Texts`. `NO_TEXT` stands for "not said".
pub type TextId = u32;

/// The number that is no text.
pub const NO_TEXT: TextId = 0;

/// Where a text stands: `start` counts through all arenas.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    len: u16,
}

/// Interned texts, numbered from 1 in the order of their first appearance.
#[derive(Default)]
pub struct Texts {
    arenas: Vec<Vec<u8>>,
    spans: Column<Span>,
    index: Index,
}

impl Texts {
    /// No texts.
    pub const fn new() -> Self {
        Self { arenas: Vec::new(), spans: Column::new(), index: Index::new() }
    }

    /// How many there are; their numbers are 1 to this.
    pub const fn len(&self) -> u32 {
        self.spans.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The text of a number; `NO_TEXT` reads as the empty text.
    pub fn get(&self, id: TextId) -> &str {
        std::str::from_utf8(self.bytes(id)).unwrap_or_default()
    }

    #[inline]
    fn bytes(&self, id: TextId) -> &[u8] {
        let Some(at) = id.checked_sub(1) else { return &[] };
        let Span { start, len } = self.spans.get(at);
        let within = start as usize & (ARENA - 1);
        &self.arenas[(start >> ARENA_BITS) as usize][within..within + usize::from(len)]
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
        self.index.find(hash, |id| self.bytes(id) == text.as_bytes())
    }

    fn add(&mut self, text: &str, hash: u32) -> TextId {
        assert!(text.len() <= TEXT_BYTES, "callers cut texts before they intern them");
        let full = self.arenas.last().is_none_or(|arena| arena.len() + text.len() > ARENA);
        if full {
            let room = if self.arenas.is_empty() { 0 } else { ARENA };
            self.arenas.push(Vec::with_capacity(room));
        }
        let number = self.arenas.len() - 1;
        let arena = &mut self.arenas[number];
        let start = (number << ARENA_BITS | arena.len()) as u32;
        arena.extend_from_slice(text.as_bytes());
        let id = self.spans.push(Span { start, len: text.len() as u16 }) + 1;
        self.index.insert(hash, id);
        id
    }
}
