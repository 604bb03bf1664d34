//! The state: events as columns, folded one after the other.

use std::fmt;

use crate::column::Column;
use crate::parties::{Actions, Parties, NOBODY};
use crate::party::Party;
use crate::shape::{read, Reading, Why};
use crate::texts::{Interned, Role, Sought, TextId, Texts, NO_TEXT};

/// How many events are read before they are stored: enough to wait for memory once and not for each of them.
const GROUP: usize = 16;

/// Stands in `occurred` for an event that claims no time.
pub const NO_TIME: i64 = i64::MIN;

/// A payload as the host hands it over.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// UTF-8.
    Text(&'a str),
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// Erased by law.
    Erased,
}

/// A changed field of an event, all three as numbers of texts.
#[derive(Clone, Copy)]
pub struct Changed {
    /// The field's name.
    pub field: TextId,
    /// The value before.
    pub before: TextId,
    /// The value after.
    pub after: TextId,
}

/// What is kept of an event besides times, resources and changes.
#[derive(Clone, Copy)]
pub struct Mark(u8);

impl Mark {
    const READ: u8 = 0x80;

    /// The mark of an event that was read.
    pub const fn readable(only_reads: bool) -> Self {
        Self(if only_reads { Self::READ } else { 0 })
    }

    /// The mark of an event that could not be read.
    pub const fn unreadable(why: Why) -> Self {
        Self(why as u8)
    }

    /// Why it could not be read, or None when it was.
    pub fn why(self) -> Option<Why> {
        (self.0 & !Self::READ).checked_sub(1).map(|at| Why::ALL[usize::from(at)])
    }

    /// Whether the event says that it only read something.
    pub const fn only_reads(self) -> bool {
        self.0 & Self::READ != 0
    }

    /// The byte in a snapshot.
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// A mark from a byte that `byte` gave.
    pub fn from_byte(byte: u8) -> Option<Self> {
        let known = byte == Self::READ || usize::from(byte) <= Why::ALL.len();
        known.then_some(Self(byte))
    }
}

impl<'a> Payload<'a> {
    fn read(self) -> Result<Reading<'a>, Why> {
        match self {
            Self::Text(text) => read(text),
            Self::NotUtf8 => Err(Why::NotUtf8),
            Self::Erased => Err(Why::Erased),
        }
    }
}

/// An event of one row, with the numbers of what it names.
pub struct Row {
    /// Time of receipt, microseconds since 1970.
    pub time: u64,
    /// The time it claims, or `NO_TIME`.
    pub occurred: i64,
    /// Who acted.
    pub actor: u32,
    /// The type of the action, a number in `State::actions`.
    pub action: u32,
    /// How it ended.
    pub outcome: TextId,
    /// The rest.
    pub mark: Mark,
}

impl Row {
    const fn unreadable(time: u64, why: Why) -> Self {
        let mark = Mark::unreadable(why);
        Self { time, occurred: NO_TIME, actor: NOBODY, action: 0, outcome: NO_TEXT, mark }
    }
}

/// Why a batch was refused whole.
#[derive(Debug, PartialEq, Eq)]
pub struct BadBatch(pub String);

impl fmt::Display for BadBatch {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Everything that was folded. Indexes count events from 0; the sequence number of index i is `first + i`.
pub struct State {
    /// Sequence number of the first event; 0 before there is one.
    pub first: u64,
    /// All texts.
    pub texts: Texts,
    /// The types of actions.
    pub actions: Actions,
    /// Who acted.
    pub actors: Parties,
    /// What was acted on.
    pub resources: Parties,
    /// Per event, never decreasing.
    pub times: Column<u64>,
    /// Per event.
    pub occurred: Column<i64>,
    /// Per event.
    pub actor_of: Column<u32>,
    /// Per event.
    pub action_of: Column<u32>,
    /// Per event.
    pub outcome_of: Column<TextId>,
    /// Per event.
    pub marks: Column<Mark>,
    /// Per event, where its run in `touched` begins.
    pub touched_from: Column<u32>,
    /// Per event, where its run in `changed` begins.
    pub changed_from: Column<u32>,
    /// The resources that events name, run after run.
    pub touched: Column<u32>,
    /// The fields that events change, run after run.
    pub changed: Column<Changed>,
    /// Indexes of the events that could not be read.
    pub unreadable: Column<u32>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            first: 0,
            texts: Texts::default(),
            actions: Actions::default(),
            actors: Parties::new(Role::Actor),
            resources: Parties::new(Role::Resource),
            times: Column::default(),
            occurred: Column::default(),
            actor_of: Column::default(),
            action_of: Column::default(),
            outcome_of: Column::default(),
            marks: Column::default(),
            touched_from: Column::default(),
            changed_from: Column::default(),
            touched: Column::default(),
            changed: Column::default(),
            unreadable: Column::default(),
        }
    }
}

impl State {
    /// How many events were folded.
    pub const fn len(&self) -> u32 {
        self.times.len()
    }

    /// Whether none were.
    pub const fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The sequence number of an index.
    pub fn sequence(&self, event: u32) -> u64 {
        self.first + u64::from(event)
    }

    /// The resources that an event names, each once.
    pub fn touched(&self, event: u32) -> impl Iterator<Item = u32> + '_ {
        (self.touched_from.get(event)..end(&self.touched_from, event, self.touched.len()))
            .map(|at| self.touched.get(at))
    }

    /// The places in `changed` of the fields that an event changes.
    pub fn changed(&self, event: u32) -> std::ops::Range<u32> {
        self.changed_from.get(event)..end(&self.changed_from, event, self.changed.len())
    }

    /// Checks that a batch follows what was folded; the state is untouched where it does not.
    pub fn accept(&mut self, first_sequence: u64, times: &[u64], payloads: usize) -> Result<(), BadBatch> {
        let next = self.sequence(self.len());
        let last = self.times.last().unwrap_or(0);
        let ordered =
            times.first().is_none_or(|time| *time >= last) && times.windows(2).all(|two| two[0] <= two[1]);
        if times.len() != payloads {
            return Err(BadBatch(format!("{payloads} payloads came with {} times", times.len())));
        }
        if !self.is_empty() && first_sequence != next {
            return Err(BadBatch(format!("sequence {next} should follow, {first_sequence} came")));
        }
        if !ordered {
            return Err(BadBatch(format!(
                "a time of receipt decreases at or after sequence {first_sequence}"
            )));
        }
        if self.is_empty() {
            self.first = first_sequence;
        }
        Ok(())
    }

    /// Folds the events of an accepted batch, a few at a time: all of them are read before any is stored, so
    /// that the waits for memory of one are not added to those of the next. Nothing depends on how many.
    pub fn fold<'a>(&mut self, times: &[u64], mut payloads: impl Iterator<Item = Payload<'a>>) {
        let (mut readings, mut sought) = (Vec::with_capacity(GROUP), Vec::new());
        for times in times.chunks(GROUP) {
            readings.clear();
            sought.clear();
            for payload in payloads.by_ref().take(times.len()) {
                let reading = payload.read();
                if let Ok(reading) = &reading {
                    reading.each_text(|text| sought.push(Sought::new(text)));
                }
                readings.push(reading);
            }
            self.approach(&mut sought);
            let mut sought = sought.iter();
            for (time, reading) in times.iter().zip(&readings) {
                match reading {
                    Ok(reading) => self.fold_reading(*time, reading, &mut sought),
                    Err(why) => self.push(&Row::unreadable(*time, *why)),
                }
            }
        }
    }

    fn approach(&self, sought: &mut [Sought]) {
        self.texts.approach(sought, |actor, resource| {
            self.actors.approach(actor);
            self.resources.approach(resource);
        });
    }

    /// Stores what an event says. `sought` has its texts, in the order of `each_text`.
    fn fold_reading(&mut self, time: u64, reading: &Reading, sought: &mut InOrder) {
        let event = self.len();
        let texts = &mut self.texts;
        let action = intern(texts, reading.action.as_deref(), sought);
        let row = Row {
            time,
            occurred: reading.occurred.unwrap_or(NO_TIME),
            actor: meet(&mut self.actors, texts, reading.actor.as_ref(), event, sought),
            action: action.map_or(0, |action| self.actions.intern(texts, action)),
            outcome: number(intern(texts, reading.outcome.as_deref(), sought)),
            mark: Mark::readable(reading.read),
        };
        self.push(&row);
        for party in &reading.resources {
            let resource = meet(&mut self.resources, &mut self.texts, Some(party), event, sought);
            self.touch(event, resource);
        }
        for change in &reading.changes {
            let [field, before, after] =
                change.texts().map(|text| number(intern(&mut self.texts, text, sought)));
            self.changed.push(Changed { field, before, after });
        }
    }

    /// Adds an event that names no resource and no change yet.
    pub fn push(&mut self, row: &Row) {
        let event = self.times.push(row.time);
        self.occurred.push(row.occurred);
        self.actor_of.push(row.actor);
        self.action_of.push(row.action);
        self.outcome_of.push(row.outcome);
        self.marks.push(row.mark);
        self.touched_from.push(self.touched.len());
        self.changed_from.push(self.changed.len());
        if row.mark.why().is_some() {
            self.unreadable.push(event);
        } else {
            self.actors.link(row.actor, event);
        }
    }

    /// Notes that the newest event names a resource; named again it stays one.
    pub fn touch(&mut self, event: u32, resource: u32) {
        let first = self.touched_from.get(event) == self.touched.len();
        if first || self.resources.newest(resource) != Some(event) {
            self.resources.link(resource, event);
            self.touched.push(resource);
        }
    }
}

fn end(starts: &Column<u32>, event: u32, all: u32) -> u32 {
    if event + 1 < starts.len() {
        starts.get(event + 1)
    } else {
        all
    }
}

type InOrder<'a> = std::slice::Iter<'a, Sought>;

fn intern(texts: &mut Texts, text: Option<&str>, sought: &mut InOrder) -> Option<Interned> {
    Some(texts.intern(text?, *sought.next()?))
}

fn number(text: Option<Interned>) -> TextId {
    text.map_or(NO_TEXT, |text| text.id)
}

fn meet(
    parties: &mut Parties,
    texts: &mut Texts,
    party: Option<&Party>,
    event: u32,
    sought: &mut InOrder,
) -> u32 {
    let Some([kind, id, name]) = party.map(Party::texts) else { return NOBODY };
    let kind = number(intern(texts, kind, sought));
    let Some(id) = intern(texts, id, sought) else { return NOBODY };
    let met = parties.intern(texts, kind, id);
    parties.name(met, event, number(intern(texts, name, sought)));
    met
}
