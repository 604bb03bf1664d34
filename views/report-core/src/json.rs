//! Writes compact JSON.

/// A JSON text that grows; the caller keeps it balanced, commas come by themselves.
#[derive(Default)]
pub struct Json {
    out: String,
}

impl Json {
    /// Nothing written yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes were written.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The text.
    pub fn finish(self) -> String {
        self.out
    }

    /// Begins an object or array.
    pub fn open(&mut self, bracket: char) -> &mut Self {
        self.comma();
        self.out.push(bracket);
        self
    }

    /// Ends an object or array.
    pub fn close(&mut self, bracket: char) -> &mut Self {
        self.out.push(bracket);
        self
    }

    /// Begins a member of an object.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.text(name);
        self.out.push(':');
        self
    }

    /// Writes a string.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.comma();
        self.out.push('"');
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte < 0x20 || byte == b'"' || byte == b'\\' {
                self.out.push_str(&text[from..at]);
                self.escape(byte);
                from = at + 1;
            }
        }
        self.out.push_str(&text[from..]);
        self.out.push('"');
        self
    }

    /// Writes a string, or null where there is none.
    pub fn text_or_null(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.raw("null"),
        }
    }

    /// Writes a whole number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.raw(&number.to_string())
    }

    /// Writes a whole number, or null where there is none.
    pub fn number_or_null(&mut self, number: Option<u64>) -> &mut Self {
        match number {
            Some(number) => self.number(number),
            None => self.raw("null"),
        }
    }

    /// Writes what is JSON already.
    pub fn raw(&mut self, json: &str) -> &mut Self {
        self.comma();
        self.out.push_str(json);
        self
    }

    fn comma(&mut self) {
        if !matches!(self.out.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.out.push(',');
        }
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'\n' => self.out.push_str("\\n"),
            b'\r' => self.out.push_str("\\r"),
            b'\t' => self.out.push_str("\\t"),
            b'"' | b'\\' => self.out.extend(['\\', char::from(byte)]),
            _ => self.out.push_str(&format!("\\u{byte:04x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_reads_back() {
        let every: String = (0..0x300).filter_map(char::from_u32).chain("\"\\😀\u{fffd}".chars()).collect();
        let mut json = Json::new();
        json.text(&every);
        assert_eq!(serde_json::from_str::<String>(&json.finish()).ok(), Some(every));
    }

    #[test]
    fn members_and_elements_are_separated() {
        let mut json = Json::new();
        json.open('{')
            .key("a")
            .open('[')
            .number(1)
            .text("[")
            .raw("{}")
            .text("")
            .close(']')
            .key("b")
            .raw("null")
            .close('}');
        assert_eq!(json.finish(), r#"{"a":[1,"[",{},""],"b":null}"#);
    }
}
