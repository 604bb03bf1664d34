//! What an event says it changed: fields, and their values before and after as the JSON that was written.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::pieces::{elements, entries, members, object};
use crate::scan::{unit, Piece, Scanner};
use crate::shape::{kept, Why};
use crate::texts::TEXT_BYTES;

/// How deep a value may nest and still be kept whole: readers of answers may recurse.
const VALUE_DEPTH: usize = 64;
/// How much of a value that is not kept whole is shown.
const CUT_BYTES: usize = 256;
/// Begins a value that was not kept whole; no JSON value begins so.
const CUT_MARK: char = '~';

/// One changed field. A value that the event does not tell is absent, which is not the same as null.
#[derive(Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The field, where it has a name.
    pub field: Option<Cow<'a, str>>,
    /// The value before, as `value` gives it.
    pub before: Option<Cow<'a, str>>,
    /// The value after.
    pub after: Option<Cow<'a, str>>,
}

impl Change<'_> {
    /// Field, value before and value after, in the order in which they are kept.
    pub fn texts(&self) -> [Option<&str>; 3] {
        [self.field.as_deref(), self.before.as_deref(), self.after.as_deref()]
    }
}

members!(PairMember {
    Before = "old" | "before" | "from" | "old_value" | "oldValue",
    After = "new" | "after" | "to" | "new_value" | "newValue",
});

members!(ChangeMember {
    Field = "field" | "name" | "path" | "key" | "attribute" | "property",
    Before = "old" | "before" | "from" | "old_value" | "oldValue",
    After = "new" | "after" | "to" | "new_value" | "newValue" | "value",
});

/// Reads `{field: [before, after]}`, `{field: {"old": …, "new": …}}`, `{field: after}`, or an array of objects
/// that each have a field and values. Anything else says nothing.
pub fn read_changes(piece: Piece) -> Result<Vec<Change>, Why> {
    match piece.as_bytes()[0] {
        b'{' => from_object(piece),
        b'[' => from_array(piece),
        _ => Ok(Vec::new()),
    }
}

fn from_object(piece: Piece) -> Result<Vec<Change>, Why> {
    let mut changes = Vec::new();
    let mut failed = None;
    entries(piece, |field, scanner| {
        match from_entry(field, scanner) {
            Ok(change) => changes.push(change),
            Err(why) => failed = failed.or(Some(why)),
        }
        Ok(())
    })?;
    if changes.len() > 1 {
        keep_last_of_each(&mut changes);
    }
    failed.map_or(Ok(changes), Err)
}

/// Reads the value of a member, whatever comes of it.
fn from_entry<'a>(field: Cow<'a, str>, scanner: &mut Scanner<'a>) -> Result<Change<'a>, Why> {
    let values = before_after(scanner);
    if field.len() > TEXT_BYTES {
        return Err(Why::TooLong);
    }
    let (before, after) = values?;
    Ok(Change { field: Some(field), before: before.map(value), after: after.map(value) })
}

fn from_array(piece: Piece) -> Result<Vec<Change>, Why> {
    let mut found = Vec::new();
    elements(piece, |element| found.extend(from_element(element).transpose()))?;
    found.into_iter().collect()
}

/// Of members with one name the last one counts, as everywhere; those left keep their order.
fn keep_last_of_each(changes: &mut Vec<Change>) {
    let mut seen = HashSet::with_capacity(changes.len());
    let last: Vec<bool> = changes.iter().rev().map(|change| seen.insert(change.field.as_deref())).collect();
    if last.contains(&false) {
        let mut last = last.into_iter().rev();
        changes.retain(|_| last.next().unwrap_or(true));
    }
}

fn from_element(piece: Piece) -> Result<Option<Change>, Why> {
    let Some(members) = object::<{ ChangeMember::COUNT }>(piece, ChangeMember::of)? else { return Ok(None) };
    let field = members.get(ChangeMember::Field as usize).map_or(Ok(None), kept)?;
    let before = members.stated(ChangeMember::Before as usize).map(value);
    let after = members.stated(ChangeMember::After as usize).map(value);
    let says = field.is_some() || before.is_some() || after.is_some();
    Ok(says.then_some(Change { field, before, after }))
}

type Values<'a> = (Option<Piece<'a>>, Option<Piece<'a>>);

/// The values before and after where a value tells both, or names what it tells; else all of it is after. The
/// commonest are read first as what they are: an array of two, so that its elements are not read twice.
fn before_after<'a>(scanner: &mut Scanner<'a>) -> Result<Values<'a>, Why> {
    if let Some((before, after)) = scanner.pair() {
        return Ok((Some(before), Some(after)));
    }
    let piece = scanner.value()?;
    let members = object::<{ PairMember::COUNT }>(piece, PairMember::of)?.filter(|members| !members.others);
    let stated = members.map(|members| {
        (members.stated(PairMember::Before as usize), members.stated(PairMember::After as usize))
    });
    Ok(stated.filter(|stated| *stated != (None, None)).unwrap_or((None, Some(piece))))
}

/// The JSON text of a value, fit to stand in an answer and to be kept: what is too long or too deep is cut,
/// and says so.
pub fn value(piece: Piece) -> Cow<str> {
    if piece.len() > TEXT_BYTES || (piece.len() > VALUE_DEPTH && depth(piece) > VALUE_DEPTH) {
        let end =
            (0..=CUT_BYTES.min(piece.len())).rev().find(|end| piece.is_char_boundary(*end)).unwrap_or(0);
        return Cow::Owned(format!("{CUT_MARK}{}{CUT_MARK}{}", piece.len(), &piece[..end]));
    }
    if piece.as_bytes().contains(&b'\\') {
        return Cow::Owned(without_lone_surrogates(piece));
    }
    Cow::Borrowed(piece)
}

/// The length in bytes and the beginning of a value that was cut, or None for a whole one.
pub fn cut(value: &str) -> Option<(&str, &str)> {
    value.strip_prefix(CUT_MARK)?.split_once(CUT_MARK)
}

fn depth(piece: Piece) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in piece.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// Replaces escaped halves of surrogate pairs, which many JSON readers refuse, by U+FFFD.
fn without_lone_surrogates(piece: Piece) -> String {
    let mut out = String::with_capacity(piece.len());
    let mut rest = piece;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let escape = match (unit(rest), rest.get(6..).and_then(unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => &rest[..12],
            (Some(0xD800..=0xDFFF), _) => {
                out.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            (Some(_), _) => &rest[..6],
            (None, _) => &rest[..2],
        };
        out.push_str(escape);
        rest = &rest[escape.len()..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(piece: Piece) -> Vec<(String, Option<String>, Option<String>)> {
        let own = |text: &Option<Cow<str>>| text.as_ref().map(|text| text.to_string());
        let changes = read_changes(piece).unwrap_or_default();
        changes
            .iter()
            .map(|change| (own(&change.field).unwrap_or_default(), own(&change.before), own(&change.after)))
            .collect()
    }

    fn change(before: Option<&str>, after: &str) -> Vec<(String, Option<String>, Option<String>)> {
        vec![("f".to_owned(), before.map(str::to_owned), Some(after.to_owned()))]
    }

    #[test]
    fn only_an_array_of_two_is_before_and_after() {
        assert_eq!(shown(r#"{"f": [1 , [2, {"a": 3}]]}"#), change(Some("1"), r#"[2, {"a": 3}]"#));
        for value in ["[]", "[1]", "[1, 2, 3]", r#"{"a": [1, 2]}"#, r#"{"old": 1, "b": 2}"#, "7"] {
            assert_eq!(shown(&format!(r#"{{"f":{value}}}"#)), change(None, value), "{value}");
        }
        assert_eq!(shown(r#"{"f": {"old": [1, 2], "new": [3]}}"#), change(Some("[1, 2]"), "[3]"));
    }

    #[test]
    fn what_comes_first_says_why_nothing_is_read() {
        let long = "x".repeat(TEXT_BYTES + 1);
        let unreadable = r#""f": {"\ud800": 1}"#;
        let first = |piece: String| read_changes(&piece).err();
        assert_eq!(first(format!(r#"{{"{long}": [1, 2], {unreadable}}}"#)), Some(Why::TooLong));
        assert_eq!(first(format!(r#"{{{unreadable}, "{long}": [1, 2]}}"#)), Some(Why::NotJson));
        assert_eq!(first(format!(r#"{{"{long}": {{"\ud800": 1}}}}"#)), Some(Why::TooLong));
    }
}
