//! Reading an event's JSON so that every language reads the same of it.

use serde_json::Value;

/// Levels of nesting; what is deeper is not read.
const MAX_DEPTH: usize = 100;

/// Opening brackets in an event, those in texts too: where a view is interpreted, a million of them would use up
/// the fuel of a batch.
const MAX_BRACKETS: usize = 10_000;

/// Read JSON (RFC 8259). `None` where it is none, is nested deeper than [`MAX_DEPTH`] or has more than
/// [`MAX_BRACKETS`], a number beyond a double,
/// or a string with half a surrogate pair.
pub fn read(text: &str) -> Option<Value> {
    let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets > MAX_BRACKETS || (brackets > MAX_DEPTH && depth(text) > MAX_DEPTH) {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn depth(text: &str) -> usize {
    let (mut deepest, mut depth, mut inside) = (0, 0usize, false);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => inside = !inside,
            b'\\' if inside => _ = bytes.next(),
            b'[' | b'{' if !inside => depth += 1,
            b']' | b'}' if !inside => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
