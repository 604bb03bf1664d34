//! Values as texts that can be kept once: a text as it is, anything else as JSON behind a mark.

use std::borrow::Cow;
use std::cmp::Ordering;

use report_core::changes::cut;
use report_core::json::Json;
use report_core::scan::{decode, Piece};
use report_core::texts::TEXT_BYTES;
use rust_decimal::Decimal;

/// Begins what is no text.
const JSON: char = '\0';
/// Begins a text that would begin like what is no text.
const TEXT: char = '\u{1}';
/// How much of a value that is too long is shown.
const CUT_BYTES: usize = 256;

/// What a kept text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written<'a> {
    /// A text.
    Text(&'a str),
    /// A number, as it was written.
    Number(&'a str),
    /// True or false.
    Flag(bool),
    /// An object or a list.
    Json(&'a str),
    /// A value that was not kept whole: its length in bytes, and how it begins.
    Cut(&'a str, &'a str),
}

/// Writes a text.
pub fn text(text: Cow<str>) -> Cow<str> {
    if text.len() + TEXT.len_utf8() > TEXT_BYTES && text.len() != TEXT_BYTES {
        return Cow::Owned(shortened(text.len(), &text));
    }
    if text.starts_with([JSON, TEXT]) {
        let marked = format!("{TEXT}{text}");
        return Cow::Owned(if marked.len() > TEXT_BYTES { shortened(text.len(), &text) } else { marked });
    }
    text
}

/// Writes a JSON value that is not null, as an event has it or as `report_core::changes::value` gave it.
pub fn json(piece: Piece) -> Cow<str> {
    if piece.starts_with('"') {
        return match decode(piece) {
            Ok(Some(decoded)) => text(decoded),
            _ => Cow::Owned(format!("{JSON}{piece}")),
        };
    }
    if piece.len() + JSON.len_utf8() > TEXT_BYTES && cut(piece).is_none() {
        return Cow::Owned(shortened(piece.len(), piece));
    }
    Cow::Owned(format!("{JSON}{piece}"))
}

fn shortened(len: usize, text: &str) -> String {
    let end = (0..=CUT_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{JSON}~{len}~{}", &text[..end])
}

/// Reads what was written.
pub fn read(kept: &str) -> Written<'_> {
    if let Some(text) = kept.strip_prefix(TEXT) {
        return Written::Text(text);
    }
    let Some(json) = kept.strip_prefix(JSON) else { return Written::Text(kept) };
    match json.as_bytes().first() {
        Some(b'~') => cut(json).map_or(Written::Json("null"), |(bytes, begins)| Written::Cut(bytes, begins)),
        Some(b't') => Written::Flag(true),
        Some(b'f') => Written::Flag(false),
        Some(b'-' | b'0'..=b'9') => Written::Number(json),
        _ => Written::Json(json),
    }
}

impl Written<'_> {
    /// Writes it into an answer.
    pub fn show(self, out: &mut Json) {
        match self {
            Self::Text(text) => out.text(text),
            Self::Number(json) | Self::Json(json) => out.raw(json),
            Self::Flag(flag) => out.raw(if flag { "true" } else { "false" }),
            Self::Cut(bytes, begins) => {
                out.open('{').key("cut").raw(bytes).key("begins").text(begins).close('}')
            }
        };
    }

    /// The number that it is, where 28 digits hold it.
    pub fn number(self) -> Option<Decimal> {
        match self {
            Self::Number(digits) => number(digits),
            _ => None,
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Flag(false) => 0,
            Self::Flag(true) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
            Self::Json(_) => 4,
            Self::Cut(..) => 5,
        }
    }

    /// The order of values: false, true, numbers by value, texts, other JSON.
    pub fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(two)) => match (number(one), number(two)) {
                (Some(first), Some(second)) => first.cmp(&second),
                (None, None) => one.cmp(two),
                (first, second) => first.is_none().cmp(&second.is_none()),
            },
            (Self::Text(one), Self::Text(two)) | (Self::Json(one), Self::Json(two)) => one.cmp(two),
            (Self::Cut(len, one), Self::Cut(other_len, two)) => one.cmp(two).then_with(|| len.cmp(other_len)),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// A JSON number as a decimal, exactly, or None where 28 digits do not hold it.
pub fn number(digits: &str) -> Option<Decimal> {
    if digits.contains(['e', 'E']) {
        return exponential(digits);
    }
    Decimal::from_str_exact(digits).ok().map(|decimal| decimal.normalize())
}

fn exponential(digits: &str) -> Option<Decimal> {
    let (mantissa, exponent) = digits.split_once(['e', 'E'])?;
    let mantissa = Decimal::from_str_exact(mantissa).ok()?;
    let exponent: i32 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    if mantissa.is_zero() {
        return Some(Decimal::ZERO);
    }
    let mut decimal = mantissa.normalize();
    if exponent < 0 {
        let scale = decimal.scale().checked_add(exponent.unsigned_abs())?;
        decimal.set_scale(scale).ok()?;
        return Some(decimal);
    }
    for _ in 0..exponent {
        decimal = decimal.checked_mul(Decimal::TEN)?;
    }
    Some(decimal.normalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_reads_back() {
        for plain in ["", "a", "\0", "\u{1}x", "~3~x", "true", "12"] {
            assert_eq!(read(&text(Cow::Borrowed(plain))), Written::Text(plain));
        }
        assert_eq!(read(&json("12")), Written::Number("12"));
        assert_eq!(read(&json("true")), Written::Flag(true));
        assert_eq!(read(&json("[1]")), Written::Json("[1]"));
        assert_eq!(read(&json(r#""tr\u0075e""#)), Written::Text("true"));
        for long in [4_094, 4_095, 4_096, 4_097, 9_000] {
            let value = "é".repeat(long / 2);
            let marked = format!("\0{}", &value[2..]);
            for written in [text(Cow::Borrowed(value.as_str())), text(Cow::Owned(marked))] {
                assert!(written.len() <= TEXT_BYTES);
            }
            assert!(json(&format!("[\"{value}\"]")).len() <= TEXT_BYTES);
        }
    }

    #[test]
    fn numbers_are_exact_or_none() {
        let same =
            |one: &str, other: &str| assert_eq!(number(one), Decimal::from_str_exact(other).ok(), "{one}");
        same("1e3", "1000");
        same("-2.50E-1", "-0.25");
        same("0e999999999", "0");
        same("79228162514264337593543950335", "79228162514264337593543950335");
        for beyond in ["1e29", "1e-29", "1e999999999999", "79228162514264337593543950336", "1e-4294967295"] {
            assert_eq!(number(beyond), None, "{beyond}");
        }
        assert_eq!(number("1.0"), number("1"));
    }
}
