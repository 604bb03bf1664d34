//! Objects and arrays in pieces. Of duplicated members the last one counts.

use std::borrow::Cow;

use crate::index::same_bytes;
use crate::scan::{decode, unescaped, Piece, Scanner, Unreadable};

/// Slots of a table of names: a power of two, with room to spare.
const SLOTS: usize = 128;

/// Looks names up among a fixed set: a hash table made when this is compiled, since every event asks it for
/// every member it has.
pub struct Names {
    names: &'static [(&'static str, usize)],
    /// For each slot the place in `names` plus one; 0 is free.
    slots: [u8; SLOTS],
}

impl Names {
    /// A table of at most 64 names.
    pub const fn new(names: &'static [(&'static str, usize)]) -> Self {
        assert!(names.len() <= SLOTS / 2);
        let mut slots = [0; SLOTS];
        let mut at = 0;
        while at < names.len() {
            let mut slot = Self::slot(names[at].0.as_bytes());
            while slots[slot] != 0 {
                slot = (slot + 1) % SLOTS;
            }
            at += 1;
            slots[slot] = at as u8;
        }
        Self { names, slots }
    }

    /// The number that belongs to a name.
    #[inline]
    pub fn find(&self, name: &str) -> Option<usize> {
        let mut slot = Self::slot(name.as_bytes());
        while self.slots[slot] != 0 {
            let (known, number) = self.names[usize::from(self.slots[slot]) - 1];
            if same_bytes(known.as_bytes(), name.as_bytes()) {
                return Some(number);
            }
            slot = (slot + 1) % SLOTS;
        }
        None
    }

    const fn slot(name: &[u8]) -> usize {
        if name.is_empty() {
            return 0;
        }
        let (first, last, middle) =
            (name[0] as usize, name[name.len() - 1] as usize, name[name.len() / 2] as usize);
        (first + last * 3 + middle * 7 + name.len() * 5) % SLOTS
    }
}

/// Names the members that a reader wants: an enum, how many there are, and the look-up by name.
macro_rules! members {
    ($name:ident { $($member:ident = $($text:literal)|+),+ $(,)? }) => {
        #[derive(Clone, Copy)]
        enum $name { $($member),+ }
        impl $name {
            const COUNT: usize = [$($name::$member),+].len();
            fn of(text: &str) -> Option<usize> {
                static NAMES: crate::pieces::Names =
                    crate::pieces::Names::new(&[$($(($text, $name::$member as usize)),+),+]);
                NAMES.find(text)
            }
            #[allow(dead_code)] // not every reader asks for groups
            const fn bit(self) -> u64 {
                1 << self as u64
            }
        }
    };
}
pub(crate) use members;

/// The wanted members of one object.
pub struct Members<'a, const N: usize> {
    found: [Option<Piece<'a>>; N],
    /// Which of the first 64 were found, a bit each.
    seen: u64,
    /// Whether it has members besides the wanted ones.
    pub others: bool,
}

impl<const N: usize> Default for Members<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a, const N: usize> Members<'a, N> {
    /// None read yet.
    pub const fn new() -> Self {
        Self { found: [None; N], seen: 0, others: false }
    }

    /// The member's value, also where it is null.
    #[inline]
    pub fn stated(&self, member: usize) -> Option<Piece<'a>> {
        self.found[member]
    }

    /// The member's value, where it is not null.
    #[inline]
    pub fn get(&self, member: usize) -> Option<Piece<'a>> {
        self.found[member].filter(|piece| piece.as_bytes()[0] != b'n')
    }

    /// Whether any of these members, a bit each, is there. Most events have few: a whole group of look-ups is
    /// passed over in one step.
    #[inline]
    pub const fn any(&self, members: u64) -> bool {
        self.seen & members != 0
    }

    /// Takes from `inner` what this object does not have.
    pub fn complete_from(&mut self, inner: &Self) {
        for member in 0..N {
            self.found[member] = self.get(member).or(inner.found[member]);
        }
        self.seen |= inner.seen;
    }

    /// Reads the object that `text` is, and says whether it is one.
    pub fn read(&mut self, text: &'a str, of: impl Fn(&str) -> Option<usize>) -> Result<bool, Unreadable> {
        let mut scanner = Scanner::new(text);
        if scanner.next_byte() != Some(b'{') {
            scanner.value()?;
            scanner.end()?;
            return Ok(false);
        }
        each_member(&mut scanner, |name, scanner| {
            let value = scanner.value()?;
            match of(&name) {
                Some(member) => {
                    self.found[member] = Some(value);
                    self.seen |= 1_u64.checked_shl(member as u32).unwrap_or_default();
                }
                None => self.others = true,
            }
            Ok(())
        })?;
        scanner.end()?;
        Ok(true)
    }
}

/// Gives each member's name to `take`, which reads the value.
#[inline]
fn each_member<'a>(
    scanner: &mut Scanner<'a>,
    mut take: impl FnMut(Cow<'a, str>, &mut Scanner<'a>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    scanner.take(b'{');
    let mut more = !scanner.take(b'}');
    while more {
        let (name, escaped) = scanner.name()?;
        take(unescaped(name, escaped)?, scanner)?;
        more = scanner.more(b'}')?;
    }
    Ok(())
}

/// Reads the members of a piece that may be an object; any other value has none.
pub fn object<'a, const N: usize>(
    piece: Piece<'a>,
    of: impl Fn(&str) -> Option<usize>,
) -> Result<Option<Members<'a, N>>, Unreadable> {
    if !piece.starts_with('{') {
        return Ok(None);
    }
    let mut members = Members::new();
    members.read(piece, of)?;
    Ok(Some(members))
}

/// All members of the object that a piece is, in order, duplicates included; `take` reads the value.
pub fn entries<'a>(
    piece: Piece<'a>,
    take: impl FnMut(Cow<'a, str>, &mut Scanner<'a>) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    each_member(&mut Scanner::new(piece), take)
}

/// The elements of the array that a piece is.
pub fn elements<'a>(piece: Piece<'a>, mut take: impl FnMut(Piece<'a>)) -> Result<(), Unreadable> {
    let mut scanner = Scanner::new(piece);
    let mut more = scanner.take(b'[') && !scanner.take(b']');
    while more {
        take(scanner.value()?);
        more = scanner.more(b']')?;
    }
    Ok(())
}

/// The text of a string or a number that says something: neither the empty string, nor of another type. A
/// number is the digits that were written, so that no large one is rounded into another.
#[inline]
pub fn text(piece: Piece) -> Result<Option<Cow<str>>, Unreadable> {
    let text = match piece.as_bytes()[0] {
        b'"' => decode(piece)?,
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(piece)),
        _ => None,
    };
    Ok(text.filter(|text| !text.is_empty()))
}
