//! Columns that grow without ever being copied whole.

const CHUNK_BITS: u32 = 14;
const CHUNK: usize = 1 << CHUNK_BITS;
const MASK: u32 = CHUNK as u32 - 1;

/// A vector in chunks of 16,384 values: growing it never needs twice its memory, which a linear memory
/// that cannot shrink would keep for ever. Indexes are `u32`, as wide as that memory's addresses.
pub struct Column<T> {
    chunks: Vec<Vec<T>>,
    len: u32,
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Copy> Column<T> {
    /// How many values it holds.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a value at the end and returns its index.
    pub fn push(&mut self, value: T) -> u32 {
        if self.len & MASK == 0 {
            // The first chunk grows as a vector does, so that a small view stays small.
            let room = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        let at = self.len;
        self.chunks[(at >> CHUNK_BITS) as usize].push(value);
        self.len += 1;
        at
    }

    /// The value at `at`; panics past the end.
    #[inline]
    pub fn get(&self, at: u32) -> T {
        self.chunks[(at >> CHUNK_BITS) as usize][(at & MASK) as usize]
    }

    /// Replaces the value at `at`; panics past the end.
    pub fn set(&mut self, at: u32, value: T) {
        self.chunks[(at >> CHUNK_BITS) as usize][(at & MASK) as usize] = value;
    }

    /// The last value.
    pub fn last(&self) -> Option<T> {
        self.len.checked_sub(1).map(|at| self.get(at))
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.chunks.iter().flatten().copied()
    }

    /// The first index whose value does not satisfy `before`, in a column where all that do come first.
    pub fn partition_point(&self, before: impl Fn(T) -> bool) -> u32 {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if before(self.get(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
