//! An event as a view gets it.

use std::cell::OnceCell;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reading::read;
use crate::times::{parse_instant, to_iso};

/// Members that may hold the time which an event claims; the first that is an RFC 3339 instant counts.
const CLAIMED: [&str; 4] = ["occurred_at", "time", "eventTime", "@timestamp"];

/// How a payload was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The event's bytes.
    Text,
    /// Base64 of them, since they are not UTF-8.
    Base64,
    /// Nothing: the payload is gone.
    Erased,
}

/// What a state keeps of an event to ask about its window later: sequence, time, claimed time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Mark(u64, i64, Option<i64>);

impl Mark {
    /// The event's place in the log.
    pub fn sequence(&self) -> u64 {
        self.0
    }

    /// When the server received it, microseconds since 1970.
    pub fn time(&self) -> i64 {
        self.1
    }

    /// When it says it happened, microseconds since 1970.
    pub fn occurred(&self) -> Option<i64> {
        self.2
    }
}

/// One event. Reading any of it never fails, whatever the bytes are.
pub struct Event {
    sequence: u64,
    time: i64,
    writer: String,
    text: String,
    form: Form,
    json: OnceCell<Option<Value>>,
}

impl Event {
    pub(crate) fn new(sequence: u64, time: i64, writer: String, text: String, form: Form) -> Self {
        Event { sequence, time, writer, text, form, json: OnceCell::new() }
    }

    /// Its place in the log: 1, 2, 3…
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When the server received it, microseconds since 1970; never less than that of the event before.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// The same as RFC 3339.
    pub fn iso(&self) -> String {
        to_iso(self.time)
    }

    /// The UUID of the key that appended it.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    /// How the payload was handed over.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The event's bytes: base64 of them where they are not UTF-8, empty where they were erased.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The event as JSON, where it is JSON.
    pub fn json(&self) -> Option<&Value> {
        let read = || if self.form == Form::Text { read(&self.text) } else { None };
        self.json.get_or_init(read).as_ref()
    }

    /// Whether the event is a JSON object. Those that are not are counted in `cover.unreadable`.
    pub fn readable(&self) -> bool {
        self.json().is_some_and(Value::is_object)
    }

    /// What stands at a path of names, such as `&["context", "ip"]`.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self.json()?, |value, name| value.as_object()?.get(*name))
    }

    /// The id at a path: a text that is not empty, or the member `id` of an object.
    pub fn id(&self, path: &[&str]) -> Option<&str> {
        let value = self.get(path)?;
        let id = value.as_object().map_or(Some(value), |object| object.get("id"))?;
        id.as_str().filter(|id| !id.is_empty())
    }

    /// The time that the event claims, microseconds since 1970; `None` where it claims no exact one.
    pub fn occurred(&self) -> Option<i64> {
        let members = self.json()?.as_object()?;
        CLAIMED.iter().find_map(|name| parse_instant(members.get(*name)?.as_str()?))
    }

    /// What a state keeps to ask `question.matches(&mark)` later.
    pub fn mark(&self) -> Mark {
        Mark(self.sequence, self.time, self.occurred())
    }
}
