//! What was folded, its report, and its snapshot.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::event::Kind;
use crate::exports::indelible::view::view::{Batch, Form};
use crate::json;

const CONFIG: &str = "config takes only fail-at and trap-at, each a whole number";
const NO_SNAPSHOT: &str = "not a snapshot of a tally";
const ROWS_A_PART: usize = 100;

/// Ends the instance. Inlined, so that it is `unreachable` in every tally.
pub fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

/// Where to fail, and how.
#[derive(Clone, Copy, Default)]
pub struct Config {
    fail_at: u64,
    trap_at: u64,
}

impl Config {
    /// Empty text, or a JSON object of `fail-at` and `trap-at`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut config = Self::default();
        if text.is_empty() {
            return Ok(config);
        }
        let members: BTreeMap<String, u64> = serde_json::from_str(text).map_err(|_| CONFIG)?;
        for (name, value) in members {
            match name.as_str() {
                "fail-at" => config.fail_at = value,
                "trap-at" => config.trap_at = value,
                _ => return Err(CONFIG.to_owned()),
            }
        }
        Ok(config)
    }

    /// Fails or traps when the batch holds the event that it was told of; the earlier one decides.
    pub fn check(self, first: u64, count: usize) -> Result<(), String> {
        let holds = |at: u64| at >= first && at - first < count as u64;
        let (fails, traps) = (holds(self.fail_at), holds(self.trap_at));
        if traps && !(fails && self.fail_at <= self.trap_at) {
            trap();
        }
        if fails {
            return Err(format!("told to fail at {}", self.fail_at));
        }
        Ok(())
    }
}

/// A place in the log: sequence and time.
type Place = (u64, u64);

#[derive(Default)]
pub struct State {
    bytes: u64,
    erased: u64,
    events: u64,
    unreadable: u64,
    untyped: u64,
    first: Option<Place>,
    last: Option<Place>,
    types: BTreeMap<String, u64>,
    writers: BTreeMap<String, u64>,
    parts_restored: u32,
}

fn count(rows: &mut BTreeMap<String, u64>, name: &str, by: u64) {
    if let Some(row) = rows.get_mut(name) {
        *row += by;
    } else {
        rows.insert(name.to_owned(), by);
    }
}

impl State {
    pub fn fold(&mut self, batch: &Batch) {
        let events = batch.payloads.len();
        let (Some(&from), Some(&to)) = (batch.times.first(), batch.times.last()) else { return };
        self.first.get_or_insert((batch.first_sequence, from));
        self.last = Some((batch.first_sequence + events as u64 - 1, to));
        self.events += events as u64;
        for (place, payload) in batch.payloads.iter().enumerate() {
            self.bytes += payload.len() as u64;
            self.fold_one(payload, batch.forms.get(place).copied().unwrap_or(Form::Text));
        }
        if batch.writer_of.is_empty() {
            count(&mut self.writers, &batch.writers[0], events as u64);
        }
        for &writer in &batch.writer_of {
            count(&mut self.writers, &batch.writers[writer as usize], 1);
        }
    }

    fn fold_one(&mut self, payload: &str, form: Form) {
        match form {
            Form::Erased => self.erased += 1,
            Form::Base64 => self.unreadable += 1,
            Form::Text => match Kind::of(payload) {
                Kind::Unreadable => self.unreadable += 1,
                Kind::Untyped => self.untyped += 1,
                Kind::Of(name) => count(&mut self.types, &name, 1),
            },
        }
    }

    /// The report, as one JSON object; with `only`, the counts of those types, 0 included.
    pub fn report(&self, only: Option<&[&str]>) -> String {
        let asked: BTreeMap<String, u64> = only.map_or_else(
            || self.types.clone(),
            |only| only.iter().map(|&t| (t.to_owned(), self.types.get(t).copied().unwrap_or(0))).collect(),
        );
        let mut out = format!("{{\"bytes\":{},\"counts\":", self.bytes);
        rows(&mut out, &asked);
        write!(out, ",\"erased\":{},\"events\":{},\"first\":", self.erased, self.events).unwrap();
        place(&mut out, self.first);
        out.push_str(",\"last\":");
        place(&mut out, self.last);
        write!(out, ",\"unreadable\":{},\"untyped\":{},\"writers\":", self.unreadable, self.untyped).unwrap();
        rows(&mut out, &self.writers);
        out.push('}');
        out
    }

    /// Part 0 holds the numbers; each later part a hundred rows: types, then writers.
    pub fn part(&self, part: usize) -> Option<String> {
        let Some(part) = part.checked_sub(1) else {
            return Some(self.numbers());
        };
        let kinds = [("t", &self.types), ("w", &self.writers)];
        let rows = kinds.into_iter().flat_map(|(kind, rows)| rows.iter().map(move |row| (kind, row)));
        let mut out = String::new();
        for (kind, (name, number)) in rows.skip(part.checked_mul(ROWS_A_PART)?).take(ROWS_A_PART) {
            write!(out, "{kind} {number} ").unwrap();
            json::string(&mut out, name);
            out.push('\n');
        }
        (!out.is_empty()).then_some(out)
    }

    fn numbers(&self) -> String {
        let (first, last) = (self.first.unwrap_or_default(), self.last.unwrap_or_default());
        format!(
            "tally 1 {} {} {} {} {} {} {} {} {}\n",
            self.bytes, self.erased, self.events, self.unreadable, self.untyped, first.0, first.1, last.0, last.1
        )
    }

    /// Takes the parts in their order from 0; anything that is no snapshot is refused.
    pub fn restore(&mut self, part: u32, text: &str, _last: bool) -> Result<(), String> {
        if part != 0 && part != self.parts_restored {
            return Err(NO_SNAPSHOT.to_owned());
        }
        let done = if part == 0 { self.restore_numbers(text) } else { self.restore_rows(text) };
        self.parts_restored = part + 1;
        done.ok_or_else(|| NO_SNAPSHOT.to_owned())
    }

    fn restore_numbers(&mut self, text: &str) -> Option<()> {
        let numbers: Result<Vec<u64>, _> =
            text.strip_prefix("tally 1 ")?.strip_suffix('\n')?.split(' ').map(str::parse).collect();
        let [bytes, erased, events, unreadable, untyped, s1, t1, s2, t2] = numbers.ok()?.try_into().ok()?;
        let some = |place| (events > 0).then_some(place);
        *self = Self {
            bytes,
            erased,
            events,
            unreadable,
            untyped,
            first: some((s1, t1)),
            last: some((s2, t2)),
            ..Self::default()
        };
        Some(())
    }

    fn restore_rows(&mut self, text: &str) -> Option<()> {
        for line in text.strip_suffix('\n')?.split('\n') {
            let mut words = line.splitn(3, ' ');
            let rows = match words.next()? {
                "t" => &mut self.types,
                "w" => &mut self.writers,
                _ => return None,
            };
            let number = words.next()?.parse().ok()?;
            rows.insert(serde_json::from_str(words.next()?).ok()?, number);
        }
        Some(())
    }
}

fn rows(out: &mut String, rows: &BTreeMap<String, u64>) {
    out.push('{');
    for (place, (name, number)) in rows.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        json::string(out, name);
        write!(out, ":{number}").unwrap();
    }
    out.push('}');
}

fn place(out: &mut String, place: Option<Place>) {
    match place {
        Some((sequence, time)) => write!(out, "{{\"sequence\":{sequence},\"time\":{time}}}").unwrap(),
        None => out.push_str("null"),
    }
}
