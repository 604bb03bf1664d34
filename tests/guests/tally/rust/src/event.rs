//! What tally reads of an event: the member `type`, and that the whole is a JSON object.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What an event says of itself.
pub enum Kind<'a> {
    /// Not a JSON object.
    Unreadable,
    /// An object without a string member `type`.
    Untyped,
    /// The member `type`; the last one, where it stands more than once.
    Of(Cow<'a, str>),
}

impl<'a> Kind<'a> {
    /// Reads one payload; other members are checked to be JSON and skipped.
    pub fn of(payload: &'a str) -> Self {
        let Ok(Event(raw)) = serde_json::from_str::<Event>(payload) else {
            return Kind::Unreadable;
        };
        let Some(raw) = raw.map(RawValue::get).filter(|raw| raw.starts_with('"')) else {
            return Kind::Untyped;
        };
        let inner = &raw[1..raw.len() - 1];
        if !inner.contains('\\') {
            return Kind::Of(Cow::Borrowed(inner));
        }
        serde_json::from_str(raw).map_or(Kind::Unreadable, |text| Kind::Of(Cow::Owned(text)))
    }
}

struct Event<'a>(Option<&'a RawValue>);

impl<'de> Deserialize<'de> for Event<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(EventVisitor)
    }
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Event<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(IsType(is_type)) = members.next_key()? {
            if is_type {
                found = Some(members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Event(found))
    }
}

/// A key is compared as bytes: an unpaired surrogate in a name is JSON, if no text.
struct IsType(bool);

impl<'de> Deserialize<'de> for IsType {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_bytes(IsTypeVisitor)
    }
}

struct IsTypeVisitor;

impl Visitor<'_> for IsTypeVisitor {
    type Value = IsType;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(IsType(name == b"type"))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(IsType(name == "type"))
    }
}
