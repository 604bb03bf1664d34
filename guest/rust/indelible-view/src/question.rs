//! A question as a view gets it, and the answer that says what it covers.

use serde::Serialize;
use serde_json::{json, Map, Value};

use crate::event::Mark;
use crate::keeping::Folded;
use crate::times::to_iso;

/// What a view answers: a content type and a text.
pub struct Answer {
    /// Such as `application/json`.
    pub content_type: String,
    /// The text.
    pub body: String,
}

impl Answer {
    /// Write a value as JSON.
    pub fn of(value: &impl Serialize) -> Self {
        let body = serde_json::to_string(value).expect("a value that JSON can say");
        Answer { content_type: "application/json".to_owned(), body }
    }
}

/// The time that was asked about, as the host understood `after`, `before`, `tz` and `basis`. Microseconds since 1970:
/// `start` is inside, `end` is not, `None` is open.
pub struct Window {
    /// The first instant inside.
    pub start: Option<i64>,
    /// The first instant after it.
    pub end: Option<i64>,
    /// `received`, or `occurred` for the time that events claim.
    pub basis: String,
    after: Option<String>,
    before: Option<String>,
    tz: String,
}

impl Window {
    fn of(facts: &[(String, String)]) -> Self {
        let text = |name: &str| fact(facts, name).map(str::to_owned);
        let micros = |name: &str| fact(facts, name).and_then(|text| text.parse().ok());
        Window {
            start: micros("window-from"),
            end: micros("window-to"),
            basis: text("basis").unwrap_or_else(|| "received".to_owned()),
            after: text("window-text-after"),
            before: text("window-text-before"),
            tz: text("tz").unwrap_or_else(|| "UTC".to_owned()),
        }
    }

    /// Whether an event is inside.
    pub fn covers(&self, mark: &Mark) -> bool {
        let Some(time) = self.time_of(mark) else { return false };
        self.start.map_or(true, |start| start <= time) && self.end.map_or(true, |end| time < end)
    }

    /// The time that counts; `None` where an event claims none and that is what counts.
    pub fn time_of(&self, mark: &Mark) -> Option<i64> {
        if self.basis == "occurred" {
            mark.occurred()
        } else {
            Some(mark.time())
        }
    }

    fn describe(&self) -> Value {
        let iso = |time: Option<i64>| time.map(to_iso);
        json!({
            "after": self.after,
            "before": self.before,
            "from": iso(self.start),
            "to": iso(self.end),
            "tz": self.tz,
        })
    }
}

/// The last value that a list of facts has for a name.
pub(crate) fn fact<'a>(facts: &'a [(String, String)], name: &str) -> Option<&'a str> {
    facts.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// One question: parameters as they were declared, the window, and what the answer will say it covers.
pub struct Question {
    /// The window that was asked about.
    pub window: Window,
    /// The request's body; refused unless the view takes one.
    pub body: String,
    facts: Vec<(String, String)>,
    values: Map<String, Value>,
    texts: Vec<(String, Vec<String>)>,
    folded: Folded,
    title: &'static str,
    matched: u64,
    first: Option<u64>,
    last: Option<u64>,
    without_time: u64,
}

impl Question {
    pub(crate) fn new(
        values: Map<String, Value>,
        body: String,
        facts: Vec<(String, String)>,
        folded: Folded,
        title: &'static str,
    ) -> Self {
        let listed = |value: &Value| -> Vec<String> {
            let one = std::slice::from_ref(value);
            let values = value.as_array().map_or(one, Vec::as_slice);
            values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let texts = values.iter().map(|(name, value)| (name.clone(), listed(value))).collect();
        let window = Window::of(&facts);
        Question {
            window, body, facts, values, texts, folded, title,
            matched: 0, first: None, last: None, without_time: 0,
        }
    }

    /// What the host knows: `asked-at`, `at-sequence`, `log-name`, …
    pub fn fact(&self, name: &str) -> Option<&str> {
        fact(&self.facts, name)
    }

    /// A parameter as JSON: what was given, its default, or null; an array where it may be repeated.
    ///
    /// # Panics
    /// Where no parameter of that name was declared.
    pub fn value(&self, name: &str) -> &Value {
        self.values.get(name).expect("a parameter that was declared")
    }

    /// The values of a text that may be repeated, or the one value of another.
    pub fn texts(&self, name: &str) -> &[String] {
        self.texts.iter().find(|(known, _)| known == name).map_or(&[], |(_, values)| values)
    }

    /// A text or a choice.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.value(name).as_str()
    }

    /// A whole number.
    pub fn whole(&self, name: &str) -> Option<i64> {
        self.value(name).as_i64()
    }

    /// A flag; false where it was not given and has no default.
    pub fn flag(&self, name: &str) -> bool {
        self.value(name).as_bool().unwrap_or(false)
    }

    /// Whether an event is inside the window; it is counted in the cover if so.
    ///
    /// Ask it last, after the view's own filters: what it says yes to is what `cover.events_matched` counts.
    pub fn matches(&mut self, mark: &Mark) -> bool {
        if !self.window.covers(mark) {
            self.without_time += u64::from(self.window.time_of(mark).is_none());
            return false;
        }
        let sequence = mark.sequence();
        self.matched += 1;
        self.first = Some(self.first.map_or(sequence, |first| first.min(sequence)));
        self.last = Some(self.last.map_or(sequence, |last| last.max(sequence)));
        true
    }

    /// What the answer covers, as far as a view can know it.
    pub fn cover(&self) -> Map<String, Value> {
        let fact = |name| self.fact(name);
        let log = json!({"log_id": fact("log-id"), "name": fact("log-name"), "origin": fact("origin")});
        let mut cover = Map::new();
        let mut put = |name: &str, value: Value| _ = cover.insert(name.to_owned(), value);
        put("view", json!({"title": self.title}));
        put("log", log);
        put("asked_at", json!(fact("asked-at")));
        put("question", self.values.clone().into());
        put("basis", json!(self.window.basis));
        put("window", self.window.describe());
        put("events_folded", self.folded.events.into());
        put("first_folded", json!(self.folded.first));
        put("last_folded", json!(self.folded.last));
        put("events_matched", self.matched.into());
        put("first_matched", json!(self.first));
        put("last_matched", json!(self.last));
        put("unreadable", self.folded.unreadable.into());
        if self.window.basis == "occurred" {
            put("without_time", self.without_time.into());
        }
        cover
    }

    /// Answer with a table and its cover; past `limit` rows it is cut, and the cover says so.
    pub fn table<R: Serialize>(&self, columns: &[&str], rows: &[R], limit: Option<usize>) -> Answer {
        #[derive(Serialize)]
        struct Table<'a, R> {
            columns: &'a [&'a str],
            rows: &'a [R],
            cover: Map<String, Value>,
        }
        let given = &rows[..limit.map_or(rows.len(), |limit| limit.min(rows.len()))];
        let mut cover = self.cover();
        cover.insert("rows".to_owned(), rows.len().into());
        cover.insert("rows_given".to_owned(), given.len().into());
        cover.insert("truncated".to_owned(), (given.len() < rows.len()).into());
        Answer::of(&Table { columns, rows: given, cover })
    }
}
