//! A state as text in parts, and back. The same parts in every language (`guest/README.md`).

use std::vec::IntoIter;

use serde::de::DeserializeOwned;
use serde::Serialize;
use serde_json::{json, Map, Value};

use crate::event::Event;

const FORMAT: &str = "indelible-view 1";
const RUN: usize = 2_000;
const PART_BYTES: usize = 1 << 20;
const MOST_BYTES: usize = 16 << 20;

/// What an answer rests on; the SDK counts it.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Folded {
    /// How many events were folded.
    pub events: u64,
    /// The first of them.
    pub first: Option<u64>,
    /// The last of them.
    pub last: Option<u64>,
    /// How many of them are no JSON object.
    pub unreadable: u64,
}

impl Folded {
    pub(crate) fn add(&mut self, event: &Event) {
        self.events += 1;
        self.first = self.first.or(Some(event.sequence()));
        self.last = Some(event.sequence());
        self.unreadable += u64::from(!event.readable());
    }
}

/// Members of a state that wait to be written: a name, and a value, or a run of items.
enum Piece {
    Whole(String, Value),
    List(String, Vec<Value>),
    Dict(String, Vec<(String, Value)>),
}

/// The parts of a state, made one by one: the host gives each the fuel of one batch.
pub struct Parts {
    head: Option<String>,
    members: IntoIter<(String, Value)>,
    waiting: Vec<Piece>, // the next one is the last
}

impl Parts {
    /// Begin; the error says why the state cannot be kept.
    pub fn new(state: &impl Serialize, folded: Folded) -> Result<Self, String> {
        let members = match serde_json::to_value(state) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err("it is no struct with named fields".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        let mut members: Vec<(String, Value)> = members.into_iter().collect();
        members.sort_by(|one, other| one.0.cmp(&other.0));
        let counts = json!([folded.events, folded.first, folded.last, folded.unreadable]);
        let head = json!({"format": FORMAT, "folded": counts}).to_string();
        Ok(Parts { head: Some(head), members: members.into_iter(), waiting: Vec::new() })
    }

    /// The next part; `None` past the last one. The error says why the state cannot be kept.
    pub fn next(&mut self) -> Result<Option<String>, String> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head));
        }
        if self.waiting.is_empty() {
            let Some((name, value)) = self.members.next() else { return Ok(None) };
            self.cut(name, value);
        }
        while let Some(piece) = self.waiting.pop() {
            let text = write(&piece);
            if text.len() <= PART_BYTES || piece.len() <= 1 {
                if text.len() > MOST_BYTES {
                    return Err(format!("one item of {} takes more than 16 MiB", piece.name()));
                }
                return Ok(Some(text));
            }
            let (one, other) = piece.halve();
            self.waiting.extend([other, one]);
        }
        Ok(None)
    }

    fn cut(&mut self, name: String, value: Value) {
        let mut pieces = Vec::new();
        match value {
            Value::Array(items) => {
                pieces.push(Piece::List(name.clone(), Vec::new()));
                pieces.extend(runs(items).map(|run| Piece::List(name.clone(), run)));
            }
            Value::Object(items) => {
                pieces.push(Piece::Dict(name.clone(), Vec::new()));
                let items: Vec<_> = items.into_iter().collect();
                pieces.extend(runs(items).map(|run| Piece::Dict(name.clone(), run)));
            }
            value => pieces.push(Piece::Whole(name, value)),
        }
        pieces.reverse();
        self.waiting = pieces;
    }
}

fn runs<T>(items: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    let mut items = items.into_iter();
    std::iter::from_fn(move || {
        let run: Vec<T> = items.by_ref().take(RUN).collect();
        (!run.is_empty()).then_some(run)
    })
}

impl Piece {
    fn name(&self) -> &str {
        match self {
            Piece::Whole(name, _) | Piece::List(name, _) | Piece::Dict(name, _) => name,
        }
    }

    fn len(&self) -> usize {
        match self {
            Piece::Whole(..) => 1,
            Piece::List(_, items) => items.len(),
            Piece::Dict(_, items) => items.len(),
        }
    }

    fn halve(self) -> (Piece, Piece) {
        let half = self.len() / 2;
        match self {
            Piece::List(name, mut items) => {
                let rest = items.split_off(half);
                (Piece::List(name.clone(), items), Piece::List(name, rest))
            }
            Piece::Dict(name, mut items) => {
                let rest = items.split_off(half);
                (Piece::Dict(name.clone(), items), Piece::Dict(name, rest))
            }
            whole @ Piece::Whole(..) => (whole, Piece::Whole(String::new(), Value::Null)),
        }
    }
}

fn write(piece: &Piece) -> String {
    match piece {
        Piece::Whole(name, value) => json!({"name": name, "value": value}).to_string(),
        Piece::List(name, items) => json!({"name": name, "list": items}).to_string(),
        Piece::Dict(name, items) => {
            let items: Map<String, Value> = items.iter().cloned().collect();
            json!({"name": name, "dict": items}).to_string()
        }
    }
}

/// Puts parts together again.
#[derive(Default)]
pub struct Restoring {
    members: Map<String, Value>,
    folded: Folded,
    next: u32,
}

impl Restoring {
    /// Take the next part.
    pub fn add(&mut self, part: u32, text: &str) -> Result<(), String> {
        if part != self.next {
            return Err("the parts are not in their order".to_owned());
        }
        self.next += 1;
        let put = if part == 0 { Self::head } else { Self::put };
        serde_json::from_str(text)
            .ok()
            .and_then(|members| put(self, members))
            .ok_or_else(|| "not a snapshot of this kind".to_owned())
    }

    /// Return the state, after the last part.
    pub fn finish<T: DeserializeOwned>(self) -> Result<(T, Folded), String> {
        let state = serde_json::from_value(self.members.into());
        state.map(|state| (state, self.folded)).map_err(|error| error.to_string())
    }

    fn head(&mut self, mut members: Map<String, Value>) -> Option<()> {
        if members.get("format")?.as_str()? != FORMAT {
            return None;
        }
        let (events, first, last, unreadable) = serde_json::from_value(members.remove("folded")?).ok()?;
        self.folded = Folded { events, first, last, unreadable };
        Some(())
    }

    fn put(&mut self, mut members: Map<String, Value>) -> Option<()> {
        let name = members.get("name")?.as_str()?.to_owned();
        if let Some(Value::Array(items)) = members.remove("list") {
            self.members.entry(name).or_insert_with(|| json!([])).as_array_mut()?.extend(items);
        } else if let Some(Value::Object(items)) = members.remove("dict") {
            self.members.entry(name).or_insert_with(|| json!({})).as_object_mut()?.extend(items);
        } else {
            self.members.insert(name, members.remove("value")?);
        }
        Some(())
    }
}
