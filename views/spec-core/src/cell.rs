//! One cell of an answer, and how cells compare.

use std::borrow::Cow;
use std::cmp::Ordering;

use report_core::instant;
use report_core::json::Json;
use report_core::texts::{TextId, Texts, NO_TEXT};
use rust_decimal::Decimal;

use crate::bucket::Buckets;
use crate::written::{read, Written};

/// Digits after the point of seconds that are told in microseconds.
pub const MICROS_DIGITS: u32 = 6;

/// The tag of nothing: no text, count or time that can be told has it.
const NOTHING: u64 = 1 << 63;

/// A value in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// Nothing.
    Null,
    /// True or false.
    Flag(bool),
    /// A count or a sequence number.
    Whole(u64),
    /// A sum, or a delay in seconds.
    Number(Decimal),
    /// Microseconds since 1970.
    Time(i64),
    /// A run of time.
    Bucket(i64),
    /// What is written in a kept text.
    Text(TextId),
}

impl Cell {
    /// What is written in a kept text, or nothing.
    pub const fn of_text(text: TextId) -> Self {
        if text == NO_TEXT {
            Self::Null
        } else {
            Self::Text(text)
        }
    }

    /// A number that tells what events say of one subject apart.
    pub fn tag(self) -> u64 {
        match self {
            Self::Null => NOTHING,
            Self::Flag(flag) => u64::from(flag),
            // Of one event only delays are numbers that are not written in it.
            Self::Number(mut number) => {
                number.rescale(MICROS_DIGITS);
                number.mantissa() as u64
            }
            Self::Whole(number) => number,
            Self::Time(number) | Self::Bucket(number) => number as u64,
            Self::Text(text) => u64::from(text),
        }
    }

    /// The number that it is.
    pub fn number(self, texts: &Texts) -> Option<Decimal> {
        match self {
            Self::Whole(number) => Some(Decimal::from(number)),
            Self::Number(number) => Some(number),
            Self::Text(text) => read(texts.get(text)).number(),
            _ => None,
        }
    }

    /// How it is written, where it is a text, a number or a flag.
    pub fn words(self, texts: &Texts) -> Option<Cow<'_, str>> {
        match self {
            Self::Null | Self::Time(_) | Self::Bucket(_) => None,
            Self::Flag(flag) => Some(Cow::Borrowed(if flag { "true" } else { "false" })),
            Self::Whole(number) => Some(Cow::Owned(number.to_string())),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Text(text) => written_words(read(texts.get(text))).map(Cow::Borrowed),
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Flag(_) => 1,
            Self::Whole(_) | Self::Number(_) => 2,
            Self::Time(_) | Self::Bucket(_) => 3,
            Self::Text(_) => 4,
        }
    }

    /// The order of cells of one column.
    pub fn order(self, other: Self, texts: &Texts) -> Ordering {
        match (self, other) {
            (Self::Text(one), Self::Text(two)) if one == two => Ordering::Equal,
            (Self::Text(one), Self::Text(two)) => read(texts.get(one)).order(read(texts.get(two))),
            (Self::Flag(one), Self::Flag(two)) => one.cmp(&two),
            (Self::Whole(one), Self::Whole(two)) => one.cmp(&two),
            (Self::Number(one), Self::Number(two)) => one.cmp(&two),
            (Self::Time(one), Self::Time(two)) | (Self::Bucket(one), Self::Bucket(two)) => one.cmp(&two),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    /// Writes it into an answer.
    pub fn show(self, texts: &Texts, buckets: Option<&Buckets>, out: &mut Json) {
        match self {
            Self::Null => out.raw("null"),
            Self::Flag(flag) => out.raw(if flag { "true" } else { "false" }),
            Self::Whole(number) => out.number(number),
            Self::Number(number) => out.raw(&number.normalize().to_string()),
            Self::Time(micros) => out.text(&instant::format(micros.clamp(instant::FIRST, instant::LAST))),
            Self::Bucket(bucket) => out.text_or_null(buckets.map(|all| all.label(bucket)).as_deref()),
            Self::Text(text) => {
                read(texts.get(text)).show(out);
                out
            }
        };
    }
}

/// How a value is written, where it is a text, a number or a flag.
pub const fn written_words(written: Written<'_>) -> Option<&str> {
    match written {
        Written::Text(words) | Written::Number(words) => Some(words),
        Written::Flag(true) => Some("true"),
        Written::Flag(false) => Some("false"),
        Written::Json(_) | Written::Cut(..) => None,
    }
}
