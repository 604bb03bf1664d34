//! JSON in pieces: objects are read member by member as slices of the source, without building values.
//!
//! What nobody asks for is skipped without recursion, so depth costs no stack. Of duplicated members the last
//! one counts.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::Deserializer;

/// The source text of one JSON value.
pub type Piece<'a> = &'a str;

/// Not JSON, or not of the wanted type.
#[derive(Debug)]
pub struct Unreadable;

/// Names the members that a reader wants: an enum, how many there are, and the look-up by name.
macro_rules! members {
    ($name:ident { $($member:ident = $($text:literal)|+),+ $(,)? }) => {
        #[derive(Clone, Copy)]
        enum $name { $($member),+ }
        impl $name {
            const COUNT: usize = [$($name::$member),+].len();
            fn of(text: &str) -> Option<usize> {
                match text {
                    $($($text)|+ => Some($name::$member as usize),)+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use members;

/// The wanted members of one object.
pub struct Members<'a, const N: usize> {
    found: [Option<Piece<'a>>; N],
    /// Whether it has members besides the wanted ones.
    pub others: bool,
}

impl<'a, const N: usize> Members<'a, N> {
    /// The member's value, also where it is null.
    pub fn stated(&self, member: usize) -> Option<Piece<'a>> {
        self.found[member]
    }

    /// The member's value, where it is not null.
    pub fn get(&self, member: usize) -> Option<Piece<'a>> {
        self.found[member].filter(|piece| *piece != "null")
    }

    /// Takes from `inner` what this object does not have.
    pub fn complete_from(&mut self, inner: &Self) {
        for member in 0..N {
            self.found[member] = self.get(member).or(inner.found[member]);
        }
    }
}

struct MembersVisitor<const N: usize>(fn(&str) -> Option<usize>);

impl<'de, const N: usize> Visitor<'de> for MembersVisitor<N> {
    type Value = Members<'de, N>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members { found: [None; N], others: false };
        while let Some(wanted) = map.next_key_seed(KeySeed(self.0))? {
            match wanted {
                Some(member) => members.found[member] = Some(map.next_value::<&RawValue>()?.get()),
                None => {
                    map.next_value::<IgnoredAny>()?;
                    members.others = true;
                }
            }
        }
        Ok(members)
    }
}

/// Looks a member's name up without owning it.
struct KeySeed(fn(&str) -> Option<usize>);

impl<'de> serde::de::DeserializeSeed<'de> for KeySeed {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<usize>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((self.0)(name))
    }
}

/// Reads the wanted members of the object that `text` is.
pub fn object<'a, const N: usize>(
    text: &'a str,
    of: fn(&str) -> Option<usize>,
) -> Result<Members<'a, N>, serde_json::Error> {
    let mut reader = Deserializer::from_str(text);
    let members = reader.deserialize_map(MembersVisitor(of))?;
    reader.end()?;
    Ok(members)
}

/// Reads the members of a piece that may be an object; any other value has none.
pub fn object_in<'a, const N: usize>(piece: Piece<'a>, of: fn(&str) -> Option<usize>) -> Option<Members<'a, N>> {
    piece.starts_with('{').then(|| object(piece, of).ok()).flatten()
}

/// All members of an object, in order, duplicates included.
pub struct Entries<'a>(pub Vec<(Cow<'a, str>, Piece<'a>)>);

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            entries.push((name, map.next_value::<&RawValue>()?.get()));
        }
        Ok(Entries(entries))
    }
}

/// A name that is borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}

/// The members of the object that a piece is.
pub fn entries(piece: Piece) -> Result<Entries, Unreadable> {
    Deserializer::from_str(piece).deserialize_map(EntriesVisitor).map_err(|_| Unreadable)
}

/// The elements of the array that a piece is.
pub fn elements(piece: Piece) -> Result<Vec<Piece>, Unreadable> {
    let elements: Vec<&RawValue> = serde_json::from_str(piece).map_err(|_| Unreadable)?;
    Ok(elements.into_iter().map(RawValue::get).collect())
}

struct PairVisitor;

impl<'de> Visitor<'de> for PairVisitor {
    type Value = Option<(Piece<'de>, Piece<'de>)>;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let first = seq.next_element::<&RawValue>()?;
        let second = seq.next_element::<&RawValue>()?;
        let mut more = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(first.zip(second).filter(|_| !more).map(|(first, second)| (first.get(), second.get())))
    }
}

/// The two elements of a piece that is an array of exactly two.
pub fn pair(piece: Piece) -> Option<(Piece, Piece)> {
    Deserializer::from_str(piece).deserialize_seq(PairVisitor).ok().flatten()
}

/// The text of a string or a number that says something: neither the empty string, nor of another type. A
/// number is the digits that were written, so that no large one is rounded into another.
pub fn text(piece: Piece) -> Result<Option<Cow<str>>, Unreadable> {
    let text = match piece.as_bytes() {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => Cow::Borrowed(&piece[1..piece.len() - 1]),
        [b'"', ..] => Cow::Owned(serde_json::from_str(piece).map_err(|_| Unreadable)?),
        [b'-' | b'0'..=b'9', ..] => Cow::Borrowed(piece),
        _ => Cow::Borrowed(""),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}
