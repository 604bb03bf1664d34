//! The JSON that is written: strings and lists of pairs, appended to a buffer.

/// Appends `text` as a JSON string.
pub fn string(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("a string has a JSON form"));
}

/// Appends `[["name","value"],…]`.
pub fn pairs(out: &mut String, pairs: &[(String, String)]) {
    out.push('[');
    for (place, (name, value)) in pairs.iter().enumerate() {
        out.push_str(if place == 0 { "[" } else { ",[" });
        string(out, name);
        out.push(',');
        string(out, value);
        out.push(']');
    }
    out.push(']');
}
