//! The state: what a plan keeps of each event, as columns.

use std::borrow::Cow;

use report_core::column::Column;
use report_core::shape::{read, Why};
use report_core::state::{Payload, NO_TIME};
use report_core::texts::{Sought, TextId, Texts, NO_TEXT};

use crate::pick::{passes, Picked};
use crate::plan::Plan;
use crate::spec::Member;

/// How many events are read before they are stored: enough to wait for memory once and not for each of them.
const GROUP: usize = 16;

/// What a batch says of its events, besides their payloads.
pub struct Batch<'b> {
    /// Sequence number of the first one.
    pub first_sequence: u64,
    /// Time of receipt of each, microseconds since 1970.
    pub times: &'b [u64],
    /// The keys that wrote them.
    pub writers: &'b [String],
    /// For each its place in `writers`, or empty where there is one.
    pub writer_of: &'b [u32],
}

/// What an event may have several of: for each event a run of them, and what is kept of each.
#[derive(Default)]
pub struct Runs {
    /// Per kept event, where its run begins.
    pub from: Column<u32>,
    /// How many there are.
    pub len: u32,
    /// What is kept of each; those that are not kept stay empty.
    pub told: [Column<TextId>; 3],
}

impl Runs {
    /// The places of an event's run.
    pub fn of(&self, event: u32) -> std::ops::Range<u32> {
        let end = if event + 1 < self.from.len() { self.from.get(event + 1) } else { self.len };
        self.from.get(event)..end
    }
}

/// An event that could not be read.
#[derive(Clone, Copy)]
pub struct Unreadable {
    /// Its place in the log, from the first event folded on.
    pub offset: u32,
    /// Its time of receipt.
    pub time: u64,
    /// Why.
    pub why: Why,
}

/// Everything that is kept. Events count from 0; only those that may match are kept.
#[derive(Default)]
pub struct Kept {
    /// Sequence number of the first event folded; 0 before there is one.
    pub first: u64,
    /// How many were folded.
    pub folded: u32,
    /// The time of receipt of the last one.
    pub last_time: u64,
    /// All texts.
    pub texts: Texts,
    /// Per kept event, its place in the log, from the first event folded on.
    pub offsets: Column<u32>,
    /// Per kept event, never decreasing.
    pub times: Column<u64>,
    /// Per kept event, the time it claims or `NO_TIME`.
    pub occurred: Column<i64>,
    /// Per kept event, where that is asked for.
    pub reads: Column<bool>,
    /// For each source of the plan, per kept event; those that are not kept stay empty.
    pub singles: Vec<Column<TextId>>,
    /// Resources, where they are asked for.
    pub resources: Runs,
    /// Changes, where they are asked for.
    pub changes: Runs,
    /// Events that could not be read.
    pub unreadable: Column<Unreadable>,
}

/// One event as it is stored.
pub struct Entry<'e> {
    /// Its place in the log.
    pub offset: u32,
    /// Its time of receipt.
    pub time: u64,
    /// The time it claims, or `NO_TIME`.
    pub occurred: i64,
    /// Whether it only reads.
    pub reads: bool,
    /// Its other values.
    pub picked: Picked<'e>,
}

impl Kept {
    /// Nothing yet, for a plan.
    pub fn new(plan: &Plan) -> Self {
        Self { singles: plan.sources.iter().map(|_| Column::default()).collect(), ..Self::default() }
    }

    /// The sequence number of a kept event.
    pub fn sequence(&self, event: u32) -> u64 {
        self.first + u64::from(self.offsets.get(event))
    }

    /// How many events are kept.
    pub const fn len(&self) -> u32 {
        self.offsets.len()
    }

    /// Whether none are.
    pub const fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Checks that a batch follows what was folded; the state is untouched where it does not.
    pub fn accept(&mut self, batch: &Batch, payloads: usize) -> Result<(), String> {
        let (first, times) = (batch.first_sequence, batch.times);
        let next = self.first + u64::from(self.folded);
        let ordered = times.first().is_none_or(|time| *time >= self.last_time)
            && times.windows(2).all(|two| two[0] <= two[1]);
        let writers = batch.writers.len();
        let written = batch.writer_of.is_empty() || batch.writer_of.len() == payloads;
        if times.len() != payloads {
            return Err(format!("{payloads} payloads came with {} times", times.len()));
        }
        if !written || batch.writer_of.iter().any(|at| *at as usize >= writers) {
            return Err("the writers of a batch do not fit its events".to_owned());
        }
        if self.folded > 0 && first != next {
            return Err(format!("sequence {next} should follow, {first} came"));
        }
        if !ordered {
            return Err(format!("a time of receipt decreases at or after sequence {first}"));
        }
        if u32::try_from(payloads).ok().and_then(|count| self.folded.checked_add(count)).is_none() {
            return Err("a report covers at most 4,294,967,295 events".to_owned());
        }
        if self.folded == 0 {
            self.first = first;
        }
        Ok(())
    }

    /// Folds the events of an accepted batch. Nothing depends on how they are grouped.
    pub fn fold<'a>(
        &mut self,
        plan: &Plan,
        members: &[Option<Member>],
        batch: &'a Batch,
        mut payloads: impl Iterator<Item = Payload<'a>>,
    ) {
        let (mut entries, mut sought) = (Vec::with_capacity(GROUP), Vec::new());
        for (group, times) in batch.times.chunks(GROUP).enumerate() {
            entries.clear();
            sought.clear();
            for (at, time) in times.iter().enumerate() {
                let Some(payload) = payloads.next() else { break };
                let writer_of = batch.writer_of.get(group * GROUP + at).copied().unwrap_or(0);
                let writer = batch.writers.get(writer_of as usize).map_or("", String::as_str);
                match self.read(plan, *time, payload, writer) {
                    Ok(entry) if passes(plan, &entry.picked, members) => entries.push(entry),
                    Ok(_) => {}
                    Err(why) => {
                        self.unreadable.push(Unreadable { offset: self.folded, time: *time, why });
                    }
                }
                self.folded += 1;
                self.last_time = *time;
            }
            for entry in &entries {
                each_text(plan, &entry.picked, |text| sought.push(Sought::new(text)));
            }
            self.texts.approach(&mut sought, |_, _| {});
            let mut sought = sought.iter();
            for entry in &entries {
                self.store(plan, entry, &mut sought);
            }
        }
    }

    fn read<'a>(
        &self,
        plan: &Plan,
        time: u64,
        payload: Payload<'a>,
        writer: &'a str,
    ) -> Result<Entry<'a>, Why> {
        let text = match payload {
            Payload::Text(text) => text,
            Payload::NotUtf8 => return Err(Why::NotUtf8),
            Payload::Erased => return Err(Why::Erased),
        };
        let reading = read(text)?;
        let (occurred, reads) = (reading.occurred.unwrap_or(NO_TIME), reading.read);
        let picked = Picked::new(plan, text, reading, writer);
        Ok(Entry { offset: self.folded, time, occurred, reads, picked })
    }

    fn store(&mut self, plan: &Plan, entry: &Entry, sought: &mut std::slice::Iter<Sought>) {
        self.push(plan, entry.offset, entry.time, entry.occurred, entry.reads);
        let texts = &mut self.texts;
        let mut intern = |text: &Option<Cow<str>>| match text {
            Some(text) => sought.next().map_or(NO_TEXT, |sought| texts.intern(text, *sought).id),
            None => NO_TEXT,
        };
        for (at, text) in entry.picked.singles.iter().enumerate().filter(|(at, _)| plan.kept[*at]) {
            self.singles[at].push(intern(text));
        }
        for (kept, runs, all) in [
            (plan.resources, &mut self.resources, &entry.picked.resources),
            (plan.changes, &mut self.changes, &entry.picked.changes),
        ] {
            let Some(kept) = kept else { continue };
            for one in all {
                for place in (0..3).filter(|place| kept[*place]) {
                    let text = intern(&one[place]);
                    runs.told[place].push(text);
                }
                runs.len += 1;
            }
        }
    }

    /// Adds an event without its texts.
    pub fn push(&mut self, plan: &Plan, offset: u32, time: u64, occurred: i64, reads: bool) {
        self.offsets.push(offset);
        self.times.push(time);
        self.occurred.push(occurred);
        if plan.reads {
            self.reads.push(reads);
        }
        if plan.resources.is_some() {
            self.resources.from.push(self.resources.len);
        }
        if plan.changes.is_some() {
            self.changes.from.push(self.changes.len);
        }
    }
}

/// Visits the texts that are kept of an event, in the order in which they are.
fn each_text(plan: &Plan, picked: &Picked, mut visit: impl FnMut(&str)) {
    for (_, text) in picked.singles.iter().enumerate().filter(|(at, _)| plan.kept[*at]) {
        text.iter().for_each(|text| visit(text));
    }
    for (kept, all) in [(plan.resources, &picked.resources), (plan.changes, &picked.changes)] {
        let Some(kept) = kept else { continue };
        for one in all {
            (0..3)
                .filter(|place| kept[*place])
                .for_each(|place| one[place].iter().for_each(|text| visit(text)));
        }
    }
}
