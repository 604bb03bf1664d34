//! JSON (RFC 8259) read as slices of its source: checked, never built, and without recursion.
//!
//! A general reader spends most of its time on what a report never looks at. This one finds where values begin
//! and end; a property test holds it to accept exactly what `serde_json` accepts.

use std::borrow::Cow;

/// The source text of one JSON value, without white space around it.
pub type Piece<'a> = &'a str;

/// Not JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Reads on through a text.
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Begins at the start of a text.
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not white space; it stays to be read.
    #[inline]
    pub fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Reads on when the next byte is this one.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let there = self.next_byte() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Makes sure that nothing follows.
    pub fn end(&mut self) -> Result<(), Unreadable> {
        self.next_byte().map_or(Ok(()), |_| Err(Unreadable))
    }

    /// Whether another element or member follows the one read, in what ends with `close`.
    pub fn more(&mut self, close: u8) -> Result<bool, Unreadable> {
        let next = self.next_byte();
        self.at += 1;
        match next {
            Some(b',') => Ok(true),
            Some(byte) if byte == close => Ok(false),
            _ => Err(Unreadable),
        }
    }

    /// Reads a member's name with the colon after it: what stands between the quotes, and whether that has
    /// escapes.
    pub fn name(&mut self) -> Result<(&'a str, bool), Unreadable> {
        if self.next_byte() != Some(b'"') {
            return Err(Unreadable);
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let name = &self.text[start..self.at - 1];
        if self.take(b':') {
            Ok((name, escaped))
        } else {
            Err(Unreadable)
        }
    }

    /// Reads a whole value of any type and depth.
    #[inline]
    pub fn value(&mut self) -> Result<Piece<'a>, Unreadable> {
        let first = self.next_byte();
        let start = self.at;
        match first {
            Some(b'"') => {
                self.string()?;
            }
            Some(b'{' | b'[') => self.container()?,
            _ => self.plain()?,
        }
        Ok(&self.text[start..self.at])
    }

    /// Reads the two elements of an array of exactly two; anything else stays to be read.
    pub fn pair(&mut self) -> Option<(Piece<'a>, Piece<'a>)> {
        let start = self.at;
        let pair = self.two_elements();
        if pair.is_none() {
            self.at = start;
        }
        pair
    }

    fn two_elements(&mut self) -> Option<(Piece<'a>, Piece<'a>)> {
        if !self.take(b'[') {
            return None;
        }
        let first = self.value().ok()?;
        let second = self.take(b',').then(|| self.value().ok())??;
        self.take(b']').then_some((first, second))
    }

    /// Reads an object or array with all that is in it.
    fn container(&mut self) -> Result<(), Unreadable> {
        let mut open = Open::default();
        loop {
            match self.next_byte().ok_or(Unreadable)? {
                b'"' => {
                    self.string()?;
                }
                b'{' => {
                    self.at += 1;
                    if !self.take(b'}') {
                        open.push(true);
                        self.name()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if !self.take(b']') {
                        open.push(false);
                        continue;
                    }
                }
                _ => self.plain()?,
            }
            if !self.close(&mut open)? {
                return Ok(());
            }
        }
    }

    /// After a value: closes what ends here, and says whether another value must follow.
    fn close(&mut self, open: &mut Open) -> Result<bool, Unreadable> {
        while let Some(object) = open.top() {
            if self.more(if object { b'}' } else { b']' })? {
                if object {
                    self.name()?;
                }
                return Ok(true);
            }
            open.pop();
        }
        Ok(false)
    }

    /// Reads a string, from its quote on, and says whether it has escapes.
    fn string(&mut self) -> Result<bool, Unreadable> {
        let bytes = self.text.as_bytes();
        let (mut at, mut escaped) = (self.at + 1, false);
        loop {
            // Eight bytes at a time, up to the first that is not plain text.
            while let Some(plain) = bytes.get(at..at + 8).map(plain_bytes) {
                at += plain;
                if plain < 8 {
                    break;
                }
            }
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    at += escape_len(&bytes[at..])?;
                    escaped = true;
                }
                Some(0x20..) => at += 1,
                _ => return Err(Unreadable),
            }
        }
        self.at = at + 1;
        Ok(escaped)
    }

    /// Reads a number, true, false or null.
    fn plain(&mut self) -> Result<(), Unreadable> {
        let bytes = &self.text.as_bytes()[self.at..];
        let len = match bytes.first() {
            Some(b't') if bytes.starts_with(b"true") => 4,
            Some(b'f') if bytes.starts_with(b"false") => 5,
            Some(b'n') if bytes.starts_with(b"null") => 4,
            _ => number_len(bytes)?,
        };
        self.at += len;
        Ok(())
    }
}

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

/// How many of eight bytes come before the first that is a quote, a backslash or a control character. Bytes
/// are compared side by side in one word: subtracting borrows only where a byte was too small, and what is
/// above the first such byte does not matter.
#[inline]
fn plain_bytes(bytes: &[u8]) -> usize {
    let Ok(bytes) = <[u8; 8]>::try_from(bytes) else { return 0 };
    let word = u64::from_le_bytes(bytes);
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let special = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control;
    (special & HIGHS).trailing_zeros() as usize / 8
}

fn escape_len(bytes: &[u8]) -> Result<usize, Unreadable> {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') if bytes.len() >= 6 && bytes[2..6].iter().all(u8::is_ascii_hexdigit) => Ok(6),
        _ => Err(Unreadable),
    }
}

fn number_len(bytes: &[u8]) -> Result<usize, Unreadable> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return Err(Unreadable);
    }
    at += whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        at += 1 + fraction;
        (fraction > 0).then_some(()).ok_or(Unreadable)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        at += exponent;
        (exponent > 0).then_some(()).ok_or(Unreadable)?;
    }
    Ok(at)
}

/// The objects and arrays that are open, one bit each: a depth of 64 needs no memory.
#[derive(Default)]
struct Open {
    top: u64,
    depth: usize,
    below: Vec<u64>,
}

impl Open {
    fn push(&mut self, object: bool) {
        if self.depth > 0 && self.depth % 64 == 0 {
            self.below.push(self.top);
        }
        self.top = self.top << 1 | u64::from(object);
        self.depth += 1;
    }

    const fn top(&self) -> Option<bool> {
        if self.depth == 0 {
            None
        } else {
            Some(self.top & 1 == 1)
        }
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.top >>= 1;
        if self.depth > 0 && self.depth % 64 == 0 {
            self.top = self.below.pop().unwrap_or_default();
        }
    }
}

/// The text that a string means, or None for what is no string. Escaped halves of surrogate pairs mean none.
#[inline]
pub fn decode(piece: Piece) -> Result<Option<Cow<str>>, Unreadable> {
    match piece.as_bytes() {
        [b'"', inner @ .., b'"'] => {
            let text = &piece[1..piece.len() - 1];
            unescaped(text, has_escape(inner)).map(Some)
        }
        _ => Ok(None),
    }
}

/// The text that stands between two quotes.
#[inline]
pub fn unescaped(text: &str, escaped: bool) -> Result<Cow<'_, str>, Unreadable> {
    if escaped {
        unescape(text).map(Cow::Owned)
    } else {
        Ok(Cow::Borrowed(text))
    }
}

/// Whether there is a backslash among the inner bytes of a string.
#[inline]
fn has_escape(inner: &[u8]) -> bool {
    let words = inner.chunks_exact(8);
    words.remainder().contains(&b'\\') || words.clone().any(|word| plain_bytes(word) < 8)
}

fn unescape(text: &str) -> Result<String, Unreadable> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (meant, len) = match rest.as_bytes()[1] {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => code_point(rest)?,
            other => (char::from(other), 2),
        };
        out.push(meant);
        rest = &rest[len..];
    }
    Ok(out + rest)
}

fn code_point(text: &str) -> Result<(char, usize), Unreadable> {
    let high = u32::from(unit(text).ok_or(Unreadable)?);
    match (high, text.get(6..).and_then(unit).map(u32::from)) {
        (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) => {
            let point = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            Ok((char::from_u32(point).ok_or(Unreadable)?, 12))
        }
        _ => Ok((char::from_u32(high).ok_or(Unreadable)?, 6)),
    }
}

/// The code unit of a `\uXXXX` that `text` begins with.
pub fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}
